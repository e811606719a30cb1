//! The proof as one side sees it: bytes in, bytes out.

use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};

use countersign_core::{KerberosFailure, KerberosRefusal, ServiceName};

use crate::acceptor::{Judge, Judged};
use crate::diagnose::refusal;
use crate::frame::{Decoder, Frame};
use crate::initiator::{Begin, Begun, Conclude, Explain};
use crate::work::Job;
use crate::{AcceptorCredential, Channel, Done, InitiatorCredential, Proved, Terms, Work};

/// One side of a proof, inside a channel that keeps others from reading and changing its bytes.
///
/// The caller moves bytes between [`Self::transmit`] and the peer's [`Self::handle_input`], runs
/// what [`Self::take_work`] hands out, and asks [`Self::poll`] until it is decided. Nothing of the
/// application may pass before that.
///
/// A client is done when its confirmation is on the way, so its plaintext may follow at once. A
/// server is done when it has that confirmation. If it is wrong there, nothing is left to be said
/// here: the client reads plaintext already, and has to be told by the channel, with an alert.
pub struct Exchange {
    id: Id,
    state: State,
    decoder: Decoder,
    output: Vec<u8>,
}

/// Tells exchanges of this process apart, so that what came out of the work of one is never taken
/// for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u64);

enum State {
    Concluded,
    ExpectConfirmation(Box<Judged>),
    ExpectReply(Box<Begun>),
    ExpectRequest(Box<Opening>),
    Failed(KerberosFailure),
    Proved(Box<Proved>),
    Ready(Job),
    Working,
}

/// What an acceptor begins with.
struct Opening {
    credential: AcceptorCredential,
    channel: Channel,
    terms: Terms,
}

/// What came out of a piece of work.
pub(crate) enum Outcome {
    /// A client has a token for the server.
    Begun { begun: Begun, token: Vec<u8> },
    /// A client is satisfied, and this is its confirmation.
    Concluded { proved: Proved, confirmation: Vec<u8> },
    /// Nothing comes of it, and the peer is told so.
    Failed { failure: KerberosFailure, token: Vec<u8> },
    /// A server is satisfied with the ticket, and answers.
    Judged { judged: Judged, confirmation: Vec<u8>, token: Vec<u8> },
    /// The peer has refused.
    Refused(KerberosFailure),
}

impl Exchange {
    /// Begins as the client, which asks for a service by name and proves itself with the
    /// credential.
    pub fn initiate(
        asked: &ServiceName,
        credential: InitiatorCredential,
        channel: Channel,
        terms: Terms,
    ) -> Self {
        let begin = Begin::new(asked.clone(), credential, channel, terms);
        Self::new(State::Ready(Job::Begin(Box::new(begin))))
    }

    /// Begins as the server, which is the services of the credential.
    pub fn accept(credential: AcceptorCredential, channel: Channel, terms: Terms) -> Self {
        Self::new(State::ExpectRequest(Box::new(Opening { credential, channel, terms })))
    }

    /// Takes bytes from the peer, and returns how many. The rest is not for this: it comes after
    /// the last message of the peer, or has to wait until the work at hand is done.
    pub fn handle_input(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while self.is_listening()
            && let Some(rest @ [_, ..]) = bytes.get(taken..)
        {
            match self.decoder.take(rest) {
                Ok((used, frame)) => {
                    taken += used;
                    if let Some(frame) = frame {
                        self.handle_frame(frame);
                    }
                }
                Err(error) => {
                    self.fail(KerberosFailure::Protocol { what: error.what().to_owned() }, &[]);
                }
            }
        }
        taken
    }

    /// Hands out work, if there is some. Until it is finished, nothing else goes on.
    pub fn take_work(&mut self) -> Option<Work> {
        match mem::replace(&mut self.state, State::Working) {
            State::Ready(mut job) => {
                if let Job::Begin(begin) = &mut job {
                    begin.prepare();
                }
                Some(Work { id: self.id, job })
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Takes what came out of the work that was handed out. Anything else is an error of the
    /// caller, and the end of this exchange.
    pub fn finish(&mut self, done: Done) {
        if done.id != self.id || !matches!(self.state, State::Working) {
            let text = "work was finished that this exchange did not hand out".to_owned();
            return self.fail(KerberosFailure::Other { text }, &[]);
        }
        match *done.outcome {
            Outcome::Begun { begun, token } => {
                let asked = begun.asked().as_bytes().to_vec();
                self.send(&Frame::Request { asked, token }, State::ExpectReply(Box::new(begun)));
            }
            Outcome::Concluded { proved, confirmation } => {
                self.send(&Frame::Confirmation(confirmation), State::Proved(Box::new(proved)));
            }
            Outcome::Failed { failure, token } => self.fail(failure, &token),
            Outcome::Judged { judged, confirmation, token } => {
                let reply = Frame::Reply { confirmation, token };
                self.send(&reply, State::ExpectConfirmation(Box::new(judged)));
            }
            Outcome::Refused(failure) => self.state = State::Failed(failure),
        }
    }

    /// Appends what is to be sent to the peer. After a failure too: it is told why.
    pub fn transmit(&mut self, into: &mut Vec<u8>) {
        into.append(&mut self.output);
    }

    /// Returns what the peer proved, once; `None` is that it is not decided, or was told already.
    ///
    /// # Errors
    ///
    /// Nothing was proved, and nothing will be.
    pub fn poll(&mut self) -> Result<Option<Proved>, KerberosFailure> {
        match mem::replace(&mut self.state, State::Concluded) {
            State::Proved(proved) => Ok(Some(*proved)),
            other => {
                self.state = other;
                match &self.state {
                    State::Failed(failure) => Err(failure.clone()),
                    _ => Ok(None),
                }
            }
        }
    }

    /// Returns, on a server, whose ticket it judged, while the client has not confirmed that yet.
    /// Nothing may rest on it but that a client is turned away by [`Self::turn_away`].
    pub fn unconfirmed(&self) -> Option<&Proved> {
        match &self.state {
            State::ExpectConfirmation(judged) => Some(judged.proved()),
            _ => None,
        }
    }

    /// Turns a client away whom the rules of the server do not let in, and tells it so instead of
    /// what is ready to be sent.
    pub fn turn_away(&mut self) {
        if let State::ExpectConfirmation(_) = self.state {
            self.output.clear();
            let frame = Frame::Refusal { reason: KerberosRefusal::NotAllowed, token: Vec::new() };
            // It has a few bytes.
            let _ = frame.encode(&mut self.output);
            let text = "the client was turned away".to_owned();
            self.state = State::Failed(KerberosFailure::Other { text });
        }
    }

    /// Returns whether it is decided, one way or the other.
    pub fn is_concluded(&self) -> bool {
        matches!(self.state, State::Concluded | State::Failed(_) | State::Proved(_))
    }

    fn new(state: State) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = Id(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { id, state, decoder: Decoder::default(), output: Vec::new() }
    }

    fn is_listening(&self) -> bool {
        matches!(
            self.state,
            State::ExpectConfirmation(_) | State::ExpectReply(_) | State::ExpectRequest(_)
        )
    }

    fn handle_frame(&mut self, frame: Frame) {
        let state = mem::replace(&mut self.state, State::Working);
        match (state, frame) {
            (State::ExpectRequest(opening), Frame::Request { asked, token }) => {
                let Opening { credential, channel, terms } = *opening;
                let judge = Judge { credential, channel, terms, asked, token };
                self.state = State::Ready(Job::Judge(Box::new(judge)));
            }
            (State::ExpectReply(begun), Frame::Reply { confirmation, token }) => {
                let conclude = Conclude { begun: *begun, confirmation, token };
                self.state = State::Ready(Job::Conclude(Box::new(conclude)));
            }
            (State::ExpectReply(begun), Frame::Refusal { reason, token }) if !token.is_empty() => {
                let explain = Explain { begun: *begun, reason, token };
                self.state = State::Ready(Job::Explain(Box::new(explain)));
            }
            (State::ExpectConfirmation(judged), Frame::Confirmation(code)) => {
                self.state = match judged.confirm(&code) {
                    Ok(proved) => State::Proved(Box::new(proved)),
                    // Not said to the peer: see the head of this type.
                    Err(failure) => State::Failed(failure),
                };
            }
            (state, Frame::Refusal { reason, .. }) => {
                if let State::ExpectReply(begun) = state {
                    begun.refused(reason);
                }
                self.refused(reason);
            }
            (_, frame) => {
                let what = format!("it sent {} out of turn", named(&frame));
                self.fail(KerberosFailure::Protocol { what }, &[]);
            }
        }
    }

    fn refused(&mut self, reason: KerberosRefusal) {
        self.state = State::Failed(KerberosFailure::RefusedByPeer { reason, detail: None });
    }

    /// Sends a message and goes on, unless no peer would take it.
    fn send(&mut self, frame: &Frame, next: State) {
        self.state = next;
        if frame.encode(&mut self.output).is_err() {
            let text = "a Kerberos token is longer than 128 KiB".to_owned();
            self.fail(KerberosFailure::Other { text }, &[]);
        }
    }

    /// Ends it, and tells the peer, as long as it listens to us.
    fn fail(&mut self, failure: KerberosFailure, token: &[u8]) {
        if !matches!(self.state, State::Concluded | State::Failed(_) | State::Proved(_)) {
            let frame = Frame::Refusal { reason: refusal(&failure), token: token.to_vec() };
            // It cannot be too long: a token that would be is left out.
            let _ = frame.encode(&mut self.output);
        }
        self.state = State::Failed(failure);
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Concluded => "concluded",
            State::ExpectConfirmation(_) => "expects a confirmation",
            State::ExpectReply(_) => "expects a reply",
            State::ExpectRequest(_) => "expects a request",
            State::Failed(_) => "failed",
            State::Proved(_) => "proved",
            State::Ready(_) => "has work",
            State::Working => "works",
        };
        write!(f, "Exchange({state})")
    }
}

fn named(frame: &Frame) -> &'static str {
    match frame {
        Frame::Confirmation(_) => "a confirmation",
        Frame::Refusal { .. } => "a refusal",
        Frame::Reply { .. } => "a reply",
        Frame::Request { .. } => "a request",
    }
}
