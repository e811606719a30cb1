//! The proof inside the association: its bytes, and what it came to.

use countersign_core::{Evidence, HandshakeError, PeerName, Sid};
use countersign_tls::{Proven, foresee_admission, join_proof};

use super::{Asks, Association, Phase};
use crate::engine::{Moment, Output};
use crate::error::{ACCESS_DENIED, UNEXPECTED_MESSAGE, from_alert};
use crate::frame::Frame;

impl Association {
    /// Takes one record's plaintext of an association that has agreed on a proof.
    pub(super) fn handle_frame(&mut self, plain: &[u8], now: Moment) {
        let Some(frame) = Frame::read(plain) else {
            return self.break_off("it sent a record that is neither data nor of its proof");
        };
        let Some(framed) = &mut self.framed else { return };
        match (frame, self.phase) {
            (Frame::Data(datagram), Phase::Secured) => {
                self.outputs.push_back(Output::Deliver(datagram.to_vec()));
            }
            (Frame::Data(datagram), Phase::Proving) => framed.early.keep(datagram),
            // The peer has not heard that we have broken off.
            (Frame::Data(_), _) => self.tell_refusal(),
            (Frame::Part { number, bytes }, phase) => {
                let is_more = framed.inbound.take(number, bytes);
                let ack = framed.inbound.ack();
                let _sent = self.write(&Frame::Ack(ack).write());
                if is_more && phase == Phase::Proving {
                    self.outputs.push_back(Output::ProofMoves);
                }
                if phase == Phase::Refused {
                    self.tell_refusal();
                }
            }
            (Frame::Ack(ack), phase) => {
                if framed.outbound.acknowledge(ack, now.instant).is_err() {
                    return self.break_off("it acknowledged what was never sent");
                }
                if framed.outbound.take_room() && phase == Phase::Proving {
                    self.outputs.push_back(Output::ProofMoves);
                }
                self.send_parts(now);
                if phase == Phase::Refused && self.framed.as_ref().is_some_and(|it| it.owes_refusal)
                {
                    self.tell_refusal();
                }
            }
            (Frame::Refusal { alert }, _) => {
                let _answered = self.stream.shutdown();
                self.collect();
                self.end(Err(from_alert(alert)));
            }
        }
    }

    /// Sends the parts of our proof whose turn it is.
    pub(super) fn send_parts(&mut self, now: Moment) {
        while let Some((number, bytes)) =
            self.framed.as_mut().and_then(|framed| framed.outbound.next(now.instant))
        {
            let part = Frame::Part { number, bytes }.write();
            if self.write(&part).is_err() {
                return;
            }
        }
    }

    /// Says that we have broken off, unless the peer still lacks parts of what we said before: they
    /// may tell it more.
    pub(super) fn tell_refusal(&mut self) {
        let Some(framed) = &mut self.framed else { return };
        if framed.outbound.is_empty() {
            framed.owes_refusal = false;
            let _told = self.write(&Frame::Refusal { alert: ACCESS_DENIED }.write());
        }
    }

    /// Ends it with a peer that does not keep to the protocol inside the records.
    pub(super) fn break_off(&mut self, what: &str) {
        let _told = self.write(&Frame::Refusal { alert: UNEXPECTED_MESSAGE }.write());
        self.abandon(HandshakeError::Protocol { what: what.to_owned() });
    }

    /// Takes bytes of our part, and sends as many as may be on the way.
    pub(super) fn deliver_proof(&mut self, bytes: &[u8], now: Moment) -> usize {
        let (Some(framed), Phase::Proving) = (&mut self.framed, self.phase) else { return 0 };
        let taken = framed.outbound.take(bytes);
        self.send_parts(now);
        taken
    }

    /// Ends the proof well, if what it has proved does.
    pub(super) fn conclude_proof(
        &mut self,
        proven: Proven,
        now: Moment,
    ) -> Result<(), HandshakeError> {
        let ended = self.framed.as_ref().map_or(Ok(()), |framed| framed.check_end());
        let evidence = ended.and_then(|()| self.joined(proven.clone(), now));
        let evidence = evidence.inspect_err(|_| self.refuse_proof(now))?;
        let Some(framed) = &mut self.framed else { return Ok(()) };
        framed.proven = Some(Box::new(proven));
        let early = framed.early.take();
        framed.stop();
        // The client's last word, which we have, was its answer to all that we said.
        if let Asks::Server(_) = self.asks {
            framed.outbound.clear();
        }
        self.phase = Phase::Secured;
        self.outputs.push_back(Output::Secured(Box::new(evidence)));
        self.outputs.extend(early.into_iter().map(Output::Deliver));
        Ok(())
    }

    /// Ends the proof badly.
    pub(super) fn refuse_proof(&mut self, now: Moment) {
        if self.phase != Phase::Proving {
            return;
        }
        self.phase = Phase::Refused;
        if let Some(framed) = &mut self.framed {
            framed.stop();
            framed.owes_refusal = true;
        }
        self.send_parts(now);
        self.tell_refusal();
    }

    /// Says whether a client of this name and these groups would be let in.
    pub(super) fn foreseen(&self, name: &PeerName, groups: &[Sid]) -> Result<(), HandshakeError> {
        let question = self.verdict.question().filter(|_| self.phase == Phase::Proving);
        let answer = self.verdict.found().and_then(Result::ok);
        match question {
            Some(question) => foresee_admission(&question, answer.as_ref(), name, groups),
            None => Err(no_proof()),
        }
    }

    /// Joins what the proof and the certificate have proved.
    pub(super) fn joined(&self, proven: Proven, now: Moment) -> Result<Evidence, HandshakeError> {
        let none = no_proof;
        let (Phase::Proving, Some(framed)) = (self.phase, &self.framed) else { return Err(none()) };
        let question = self.verdict.question().ok_or_else(none)?;
        // A certificate that does not do proves nothing, and need not.
        let answer = self.verdict.found().and_then(Result::ok);
        let protection = framed.protection.clone().held_since(now.time);
        join_proof(&question, answer.as_ref(), proven, protection)
    }
}

fn no_proof() -> HandshakeError {
    HandshakeError::OurSide { what: "no proof is under way".to_owned() }
}
