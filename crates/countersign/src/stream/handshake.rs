//! A handshake on its way, one step at a time.

use std::io;
use std::net::TcpStream as Tcp;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use countersign_kerberos::{Done, Work};
use countersign_sys::{Interest, Wire};
use countersign_tls::{Engine, Output};

use super::{Channel, Inbound};
use crate::clock;
use crate::core::{Cleartext, HandshakeError, KerberosFailure};
use crate::kerberos::{Party, ProofUnderWay, Step};

/// A handshake that never waits: [`Self::advance`] goes as far as the socket lets it.
#[derive(Debug)]
pub(crate) struct Handshake {
    socket: Tcp,
    engine: Engine,
    inbound: Inbound,
    cleartext: Cleartext,
    started: Instant,
    /// What we bring to a proof inside the connection, until that begins.
    party: Option<Party>,
    proof: Option<Box<ProofUnderWay>>,
}

/// How often a handshake reads before others have their turn: a peer that sends without end, as
/// TLS permits once its own handshake is over, would keep the thread to itself.
const READS: usize = 2;

/// How far a handshake has come.
#[derive(Debug)]
pub(crate) enum Advance {
    /// It is over, and the channel is open; in clear only if that was permitted.
    Open(Box<Channel>),
    /// It is over: the peer cannot do security, and cleartext is permitted, but this connection
    /// has been used up on finding out.
    TryInClear,
    /// It needs the socket to be ready.
    Wait(Box<Handshake>, Interest),
    /// It needs this to be done on a thread that may block, and then [`Handshake::resume`].
    Work(Box<Handshake>, Work),
    /// It is over. What waited for the peer has been sent as far as it went.
    Refused(Waiting, HandshakeError),
}

/// A connection that is over, whose socket has yet to be closed with care.
#[derive(Debug)]
pub(crate) struct Waiting(Tcp);

impl Waiting {
    /// Reads away what the peer still sends; closing over unread bytes would reset the
    /// connection, and the alert that says why could be lost. Returns whether the peer is done.
    pub(crate) fn drain(&self) -> bool {
        let mut sink = [0; 4096];
        // A bound, so that a peer that sends without end gets no more than a time slice.
        for _ in 0..16 {
            match countersign_sys::receive(&self.0, &mut sink, false) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
        false
    }

    pub(crate) fn socket(&self) -> &Tcp {
        &self.0
    }
}

impl Handshake {
    pub(crate) fn new(socket: Tcp, engine: Engine, cleartext: Cleartext) -> Self {
        Self {
            socket,
            engine,
            inbound: Inbound::default(),
            cleartext,
            started: Instant::now(),
            party: None,
            proof: None,
        }
    }

    /// Brings this to a proof inside the connection, if the peers agree on one.
    #[must_use]
    pub(crate) fn with_party(mut self, party: Party) -> Self {
        self.party = Some(party);
        self
    }

    /// Counts the time from then, and not from now.
    #[must_use]
    pub(crate) fn started_at(mut self, started: Instant) -> Self {
        self.started = started;
        self
    }

    pub(crate) fn socket(&self) -> &Tcp {
        &self.socket
    }

    /// Returns until when to wait: a handshake may take `time`; a peer that may be unable to do
    /// security has `insecure_after` for its first byte. `None` is for ever.
    pub(crate) fn deadline(&self, time: Duration, insecure_after: Duration) -> Option<Instant> {
        let may_be_silent =
            self.cleartext == Cleartext::DangerIfPeerCannot && !self.engine.has_heard();
        self.started.checked_add(if may_be_silent { time.min(insecure_after) } else { time })
    }

    /// Goes as far as the socket lets it, or work of ours.
    pub(crate) fn advance(mut self) -> Advance {
        let mut reads = 0;
        loop {
            // Who has just spoken waits for an answer, which is not there yet.
            let spoke = self.engine.wants_transmit();
            match self.flush() {
                Ok(true) => {}
                Ok(false) => return Advance::Wait(Box::new(self), Interest::Write),
                // The peer may have said why before it went.
                Err(_) if self.receive_last_words() => {}
                Err(error) => return self.lost(&error),
            }
            match self.engine.poll(clock::now()) {
                Ok(Output::Secured(evidence)) => {
                    let delegated = self.proof.as_mut().and_then(|proof| proof.take_delegated());
                    let Self { socket, engine, inbound, .. } = self;
                    let channel = Channel::secured(socket, engine, inbound, *evidence, delegated);
                    return Advance::Open(Box::new(channel));
                }
                Ok(Output::Prove(binding)) => match self.party.take() {
                    Some(party) => {
                        self.proof = Some(Box::new(ProofUnderWay::begin(party, &binding)));
                    }
                    None => {
                        let what = "a proof was agreed on that nobody prepared".to_owned();
                        let error = self.engine.refuse(HandshakeError::OurSide { what });
                        return self.refused(error);
                    }
                },
                Ok(_) if spoke && self.proof.is_none() => {
                    return Advance::Wait(Box::new(self), Interest::Read);
                }
                Ok(_) => {}
                Err(error) => return self.refused(error),
            }
            if let Some(proof) = &mut self.proof {
                match proof.step(&mut self.engine) {
                    Ok(Step::Concluded | Step::Send) => continue,
                    Ok(Step::Wait) if self.engine.wants_transmit() => continue,
                    Ok(Step::Wait) => {}
                    Ok(Step::Work(work)) => return Advance::Work(Box::new(self), work),
                    Err(error) => return self.refused(error),
                }
            }
            if self.inbound.unused().is_empty() {
                // Others wait for this thread, and the deadline is looked at in between.
                if reads == READS {
                    return Advance::Wait(Box::new(self), Interest::Read);
                }
                reads += 1;
                match self.inbound.receive(self.socket.as_fd(), false) {
                    Ok(0) => {
                        let error = self.engine.handle_end_of_input().err();
                        return self.refused(error.unwrap_or(HandshakeError::Truncated));
                    }
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Advance::Wait(Box::new(self), Interest::Read);
                    }
                    Err(error) => return self.lost(&error),
                }
            }
            match self.engine.handle_input(self.inbound.unused(), clock::now()) {
                // It takes nothing only while plaintext waits, which a proof under way takes first.
                Ok(0) => {
                    let what = "the peer said more than belongs to the handshake".to_owned();
                    return self.refused(HandshakeError::Protocol { what });
                }
                Ok(used) => self.inbound.consume(used),
                Err(error) => return self.refused(error),
            }
        }
    }

    /// Goes on after work that was done; `None` if the thread that did it panicked.
    pub(crate) fn resume(mut self, done: Option<Done>) -> Advance {
        match (&mut self.proof, done) {
            (Some(proof), Some(done)) => {
                proof.finish(done);
                self.advance()
            }
            _ => {
                let what = "the thread that asked for a ticket panicked".to_owned();
                let error = self.engine.refuse(HandshakeError::OurSide { what });
                self.refused(error)
            }
        }
    }

    /// Gives up on a silent peer: with `ALLOW_INSECURE`, one that never said a word counts as one
    /// that cannot do security.
    pub(crate) fn give_up(self, error: HandshakeError) -> Advance {
        let is_working = self.proof.as_ref().is_some_and(|proof| proof.is_working());
        let error = match error {
            // It was not the peer that was silent.
            HandshakeError::TimedOut { after } if is_working => {
                HandshakeError::Kerberos(KerberosFailure::TimedOut { after })
            }
            error => error,
        };
        if self.engine.has_heard() {
            Advance::Refused(Waiting(self.socket), error)
        } else {
            self.refused(error)
        }
    }

    /// Serves a client in clear that sent nothing yet, or nothing like TLS.
    fn open_in_clear(self) -> Advance {
        Advance::Open(Box::new(Channel::clear(self.socket, self.inbound)))
    }

    fn refused(mut self, error: HandshakeError) -> Advance {
        let cannot = matches!(error, HandshakeError::NotTls { .. })
            || (!self.engine.has_heard()
                && matches!(error, HandshakeError::Truncated | HandshakeError::TimedOut { .. }));
        // A peer with which a proof was agreed on can do security, whatever it does then.
        let cannot = cannot && self.proof.is_none();
        if cannot && self.cleartext == Cleartext::DangerIfPeerCannot {
            return if self.engine.is_client() {
                Advance::TryInClear
            } else if matches!(error, HandshakeError::Truncated) {
                Advance::Refused(Waiting(self.socket), error)
            } else {
                self.open_in_clear()
            };
        }
        // The alert that says why; if it cannot go out, the peer learns no more than the end.
        let _alert_sent = self.flush();
        let _half_closed = self.socket.shutdown(std::net::Shutdown::Write);
        Advance::Refused(Waiting(self.socket), error)
    }

    fn lost(self, error: &io::Error) -> Advance {
        let reset =
            matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
        let error = if reset {
            HandshakeError::Truncated
        } else {
            HandshakeError::OurSide { what: error.to_string() }
        };
        self.refused(error)
    }

    /// Returns whether the peer left anything to read.
    fn receive_last_words(&mut self) -> bool {
        if !matches!(self.inbound.receive(self.socket.as_fd(), false), Ok(1..)) {
            return false;
        }
        match self.engine.handle_input(self.inbound.unused(), clock::now()) {
            Ok(used) => {
                self.inbound.consume(used);
                false
            }
            Err(_) => true,
        }
    }

    /// Sends what waits; returns whether all of it went.
    fn flush(&mut self) -> io::Result<bool> {
        flush(&mut self.engine, &self.socket)
    }
}

/// Sends what waits in `engine`, as far as it goes without waiting; returns whether all went.
pub(super) fn flush(engine: &mut Engine, socket: &Tcp) -> io::Result<bool> {
    while engine.wants_transmit() {
        match engine.transmit(&mut Wire::new(socket.as_fd())) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
