//! How peers come, prove who they are, and go.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_core::{Admission, HandshakeError, KerberosUse, SaFields};

use super::proving::ProofId;
use super::{
    Admitting, Arrival, Association, Endpoint, Entrant, Event, Heard, Hello, Limits, Live, Moment,
    Output, Passage, Peer, Pending, Role, Sender, Side, TICK, Wish,
};
use countersign_tls::ProofBinding;

use crate::association::first;
use crate::engine::Engine;
use crate::shape;

/// How long a peer that sent a cookie has to send more: long, since to begin anew while its answer
/// to the old attempt is on the way makes both fail.
const COOKIE_PATIENCE: Duration = Duration::from_secs(5);

impl Endpoint {
    /// Starts an attempt of ours.
    pub(super) fn attempt(&self, wish: Wish, now: Moment) -> Result<Pending, HandshakeError> {
        let Wish { asked, offer, attempts, local, deadline } = wish;
        let engine = Association::client(&self.config, asked.clone(), offer, now)?;
        Ok(Pending {
            random: engine.client_random(),
            engine: Box::new(engine),
            role: Role::Client { asked, offer, attempts, heard: Heard::Nothing },
            local,
            deadline,
            wakes: None,
            proof: None,
        })
    }

    pub(super) fn handle_hello(
        &mut self,
        arrival: Arrival,
        hello: &Hello,
        datagram: &[u8],
        now: Moment,
        admission: &Admitting<'_>,
    ) {
        let address = arrival.from;
        let known = self.peers.get(&address);
        // An attempt that is known is repeated by libssl's own timer.
        if known.is_some_and(|peer| peer.knows(&hello.random))
            || (known.is_none() && self.peers.len() >= self.limits.peers)
        {
            return;
        }
        match self.gate.examine(&self.config, address, hello, datagram, now.instant) {
            Passage::Stopped(Some(answer)) => {
                let (to, from) = (address, arrival.to);
                self.events.push_back(Event::Transmit { to, from, datagram: answer });
            }
            Passage::Stopped(None) => {}
            Passage::Passed(entrant) => {
                if known.is_some_and(|peer| peer.prefers_ours(&hello.random)) {
                    return;
                }
                let Some(admission) = admission(arrival) else { return };
                // Such a client would have to believe a certificate that nobody believes.
                if !self.config.proves_by_certificate() && admission.kerberos() == KerberosUse::Off
                {
                    let what = "there is no certificate to prove who we are".to_owned();
                    let (peer, began) = (address, Side::Theirs);
                    let error = HandshakeError::OurSide { what };
                    return self.events.push_back(Event::Failed { peer, began, error });
                }
                self.admit(arrival, hello, *entrant, admission, now);
            }
        }
    }

    /// Begins a handshake with a peer that has been proved to be at its address. What holds with
    /// it already goes on until this one has come to a good end.
    fn admit(
        &mut self,
        arrival: Arrival,
        hello: &Hello,
        entrant: Entrant,
        admission: Arc<Admission>,
        now: Moment,
    ) {
        let address = arrival.from;
        self.drop_pending(address);
        while let Some((ticket, oldest, limit)) = self.half_open.surplus(address, &self.limits) {
            let leaving = self.peers.get(&oldest).and_then(|peer| peer.leaving.as_ref());
            if leaving.is_some_and(|leaving| leaving.ticket == Some(ticket)) {
                // It has been told once, at least.
                self.drop_leaving(oldest);
            } else {
                let error = HandshakeError::Overloaded { limit };
                self.events.push_back(Event::Failed { peer: oldest, began: Side::Theirs, error });
                self.drop_pending(oldest);
            }
            self.half_open.remove(ticket);
            self.schedule(oldest, now);
        }
        let engine = Association::server(&self.config, entrant, admission, address, now);
        let pending = Pending {
            engine: Box::new(engine),
            role: Role::Server { ticket: self.half_open.add(address) },
            local: arrival.to,
            random: hello.random,
            deadline: now.instant + self.limits.handshake_timeout,
            wakes: None,
            proof: None,
        };
        self.peers.entry(address).or_default().pending = Some(pending);
        self.settle_pending(address, now);
    }

    /// Hands a record in clear to the handshake that it can belong to. A live association takes
    /// those too: a client whose peer's last flight was lost repeats its own from the beginning.
    pub(super) fn handle_clear(
        &mut self,
        address: SocketAddr,
        sender: Sender,
        datagram: &[u8],
        now: Moment,
    ) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        if let Some(Pending { role: Role::Client { heard, .. }, .. }) = &mut peer.pending {
            *heard = match (*heard, sender) {
                (Heard::Nothing, Sender::Gate) => Heard::Cookie(now.instant + COOKIE_PATIENCE),
                (_, Sender::Server) => Heard::Answer,
                (before, _) => before,
            };
        }
        match (&peer.pending, sender) {
            (Some(Pending { role: Role::Client { .. }, .. }), Sender::Client)
            | (Some(Pending { role: Role::Server { .. }, .. }), Sender::Server | Sender::Gate) => {}
            (Some(_), _) => self.feed_pending(address, datagram, now),
            (None, _) => self.feed_live(address, datagram, now),
        }
    }

    pub(super) fn feed_pending(&mut self, address: SocketAddr, datagram: &[u8], now: Moment) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let Some(pending) = &mut peer.pending else { return };
        if pending.proof.is_none() && !shape::is_for_handshake(datagram) {
            return;
        }
        pending.engine.handle_datagram(datagram, now);
        self.settle_pending(address, now);
    }

    pub(super) fn feed_live(&mut self, address: SocketAddr, datagram: &[u8], now: Moment) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let Some(live) = &mut peer.live else { return };
        live.engine.handle_datagram(datagram, now);
        self.settle_live(address, now);
    }

    /// Does what a live association asks for.
    pub(super) fn settle_live(&mut self, address: SocketAddr, now: Moment) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let Some(live) = &mut peer.live else { return };
        let from = live.local;
        loop {
            match live.engine.poll(now) {
                Output::Transmit(datagram) => {
                    self.events.push_back(Event::Transmit { to: address, from, datagram });
                }
                Output::Deliver(datagram) => {
                    live.used = now.instant;
                    live.quiet = now.instant;
                    live.suspected = false;
                    self.events.push_back(Event::Deliver { from: address, datagram });
                }
                Output::Closed(how) => {
                    self.events.push_back(Event::Closed { peer: address, error: how.err() });
                    peer.live = None;
                    return self.schedule(address, now);
                }
                Output::Wait(wakes) => {
                    if std::mem::replace(&mut live.wakes, wakes) != wakes {
                        self.schedule(address, now);
                    }
                    return;
                }
                Output::Prove(_) | Output::ProofMoves | Output::Secured(_) => {}
            }
        }
    }

    /// Does what a handshake asks for.
    pub(super) fn settle_pending(&mut self, address: SocketAddr, now: Moment) {
        let Some(pending) = self.peers.get_mut(&address).and_then(|peer| peer.pending.take())
        else {
            return;
        };
        let mut pending = pending;
        let from = pending.local;
        loop {
            match pending.engine.poll(now) {
                Output::Transmit(datagram) => {
                    self.events.push_back(Event::Transmit { to: address, from, datagram });
                }
                Output::Prove(binding) => self.begin_proof(address, &mut pending, binding),
                Output::ProofMoves => {
                    let moves = |proof| Event::ProofMoves { proof };
                    self.events.extend(pending.proof.map(moves));
                }
                Output::Secured(evidence) => {
                    let Pending { engine, role, random, local, deadline, .. } = pending;
                    let (look, known_by) = match role {
                        Role::Client { asked, offer, .. } => (Some((asked, offer)), Some(deadline)),
                        Role::Server { ticket } => {
                            self.half_open.remove(ticket);
                            (None, None)
                        }
                    };
                    if self.ends_watched(address, now) {
                        let mut engine = engine;
                        engine.close();
                        return Self::transmit_all(
                            &mut self.events,
                            address,
                            from,
                            engine.as_mut(),
                            now,
                        );
                    }
                    let (evidence, watched) = (Arc::from(evidence), SaFields::NONE);
                    let (used, quiet) = (now.instant, now.instant);
                    let live = Live {
                        engine,
                        evidence,
                        used,
                        quiet,
                        suspected: false,
                        asked: look.as_ref().map(|(asked, _)| asked.clone()),
                        look,
                        local,
                        random,
                        watched,
                        wakes: None,
                        known_by,
                    };
                    self.peers.entry(address).or_default().live = Some(live);
                    self.events.push_back(Event::Secured { peer: address });
                    self.schedule(address, now);
                    return self.settle_live(address, now);
                }
                Output::Closed(how) => {
                    let error = how.err().unwrap_or(HandshakeError::Truncated);
                    self.fail(address, pending, error, now);
                    return self.schedule(address, now);
                }
                // Nothing is delivered before it is known from whom.
                Output::Deliver(_) => {}
                Output::Wait(wakes) => {
                    pending.wakes = wakes;
                    self.peers.entry(address).or_default().pending = Some(pending);
                    return self.schedule(address, now);
                }
            }
        }
    }

    /// Hands a proof to those who carry it on.
    fn begin_proof(&mut self, address: SocketAddr, pending: &mut Pending, binding: ProofBinding) {
        let proof = ProofId(self.next_proof);
        self.next_proof += 1;
        self.proofs.insert(proof, address);
        pending.proof = Some(proof);
        let (began, asked) = match &mut pending.role {
            Role::Client { asked, heard, .. } => {
                // However its messages were packed: it is no cookie any more that we wait upon.
                *heard = Heard::Answer;
                (Side::Ours, Some(asked.clone()))
            }
            Role::Server { .. } => (Side::Theirs, None),
        };
        let (peer, local) = (address, pending.local);
        self.events.push_back(Event::Prove { proof, peer, local, began, asked, binding });
    }

    /// Ends a handshake, or begins it anew if a forger could have ended it: in DTLS 1.2 anyone
    /// can send a record in clear that breaks the protocol, or refuses us.
    fn fail(&mut self, address: SocketAddr, pending: Pending, error: HandshakeError, now: Moment) {
        match &pending.role {
            Role::Server { ticket } => self.half_open.remove(*ticket),
            // What comes under keys is no forger's, and a proof that was begun is final.
            Role::Client { .. } if pending.proof.is_some() => {}
            Role::Client { asked, offer, attempts, .. } => {
                let left = match error {
                    HandshakeError::Protocol { .. } => attempts.checked_sub(1),
                    HandshakeError::RefusedByPeer { .. } => attempts.checked_sub(3),
                    _ => None,
                };
                let again = left.map(|attempts| {
                    let (asked, offer, local) = (asked.clone(), *offer, pending.local);
                    let deadline = pending.deadline;
                    self.attempt(Wish { asked, offer, attempts, local, deadline }, now)
                });
                if let Some(Ok(again)) = again
                    && now.instant < again.deadline
                {
                    self.peers.entry(address).or_default().pending = Some(again);
                    return self.settle_pending(address, now);
                }
            }
        }
        self.report(address, &pending.role, error);
        self.drop_proof(&pending);
    }

    /// Tells that a handshake failed.
    pub(super) fn report(&mut self, address: SocketAddr, role: &Role, error: HandshakeError) {
        let began = match role {
            Role::Server { .. } => Side::Theirs,
            // Nothing hangs on a look at a peer whose association goes on.
            Role::Client { .. }
                if self.peers.get(&address).is_some_and(|peer| peer.live.is_some()) =>
            {
                return;
            }
            Role::Client { .. } => Side::Ours,
        };
        self.events.push_back(Event::Failed { peer: address, began, error });
    }

    /// Looks at a peer whose alarm has rung.
    pub(super) fn expire(&mut self, address: SocketAddr, now: Moment) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        if let Some(pending) = &mut peer.pending {
            if pending.deadline <= now.instant {
                let after = self.limits.handshake_timeout;
                if let Some(mut pending) = peer.pending.take() {
                    Self::hang_up(&mut self.events, address, &mut pending, now);
                    let has_answered = pending.proof.is_some();
                    let is_ours = match &mut pending.role {
                        Role::Client { attempts, .. } => {
                            *attempts = 0;
                            true
                        }
                        Role::Server { .. } => false,
                    };
                    self.fail(address, pending, HandshakeError::TimedOut { after }, now);
                    // Who has begun a proof has answered, whatever became of that.
                    if is_ours && !has_answered {
                        self.give_up_suspect(address, after, now);
                    }
                }
            } else if let Role::Client { asked, offer, attempts, heard: Heard::Cookie(until) } =
                &pending.role
                && *until <= now.instant
            {
                let (asked, offer, attempts) = (asked.clone(), *offer, *attempts);
                let (local, deadline) = (pending.local, pending.deadline);
                let wish = Wish { asked, offer, attempts, local, deadline };
                if let Ok(again) = self.attempt(wish, now) {
                    self.peers.entry(address).or_default().pending = Some(again);
                    self.settle_pending(address, now);
                }
            } else if pending.wakes.is_some_and(|at| at <= now.instant) {
                pending.engine.handle_timeout(now);
                self.settle_pending(address, now);
            }
        }
        self.expire_live(address, now);
        self.expire_leaving(address, now);
        self.schedule(address, now);
    }

    fn expire_live(&mut self, address: SocketAddr, now: Moment) {
        let Limits { idle, handshake_timeout: after, .. } = self.limits;
        let live = self.peers.get_mut(&address).and_then(|peer| peer.live.as_mut());
        let Some(live) = live else { return };
        if live.known_by.is_some_and(|by| by <= now.instant) {
            live.known_by = None;
            if live.engine.owes_proof() {
                // It never heard our last word, and so never took us for anyone.
                return self.abort(address, HandshakeError::TimedOut { after }, now);
            }
        }
        if live.used + idle <= now.instant {
            live.engine.close();
        } else if live.wakes.is_some_and(|at| at <= now.instant) {
            live.engine.handle_timeout(now);
        }
        self.settle_live(address, now);
    }

    /// Looks whether a peer that we greeted is still there and knows us, by a handshake beside the
    /// association, which only an authenticated one replaces (RFC 6347 section 4.2.8).
    pub(super) fn probe(&mut self, address: SocketAddr, now: Moment) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let (Some(live), None) = (&mut peer.live, &peer.pending) else { return };
        live.quiet = now.instant;
        let (Some((asked, offer)), local) = (live.look.clone(), live.local) else { return };
        let deadline = now.instant + self.limits.handshake_timeout;
        let wish = Wish { asked, offer, attempts: super::ATTEMPTS, local, deadline };
        // One that cannot begin is no reason to end what works.
        if let Ok(pending) = self.attempt(wish, now) {
            self.peers.entry(address).or_default().pending = Some(pending);
            self.settle_pending(address, now);
        }
    }

    /// Ends an association whose peer the network says is gone, once it has not answered a
    /// handshake either. Neither alone would do: the one is easily forged, and peers that keep to
    /// what they have do not answer the other.
    fn give_up_suspect(&mut self, address: SocketAddr, after: Duration, now: Moment) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        if peer.live.as_ref().is_some_and(|live| live.suspected) {
            peer.live = None;
            let error = Some(HandshakeError::TimedOut { after });
            self.events.push_back(Event::Closed { peer: address, error });
            self.schedule(address, now);
        }
    }

    /// Ends an association that must not be replaced, since another is about to.
    fn ends_watched(&mut self, address: SocketAddr, now: Moment) -> bool {
        let live = self.peers.get(&address).and_then(|peer| peer.live.as_ref());
        let is_watched = live.is_some_and(|live| live.watched != SaFields::NONE);
        if is_watched {
            let what = "the peer has begun a new session".to_owned();
            self.abort(address, HandshakeError::Changed { what }, now);
        }
        is_watched
    }

    /// Tells a peer whose proof is under way that nothing comes of it, so that it need not wait for its
    /// own end of the time.
    pub(super) fn hang_up(
        events: &mut VecDeque<Event>,
        address: SocketAddr,
        pending: &mut Pending,
        now: Moment,
    ) {
        pending.engine.close();
        Self::transmit_all(events, address, pending.local, pending.engine.as_mut(), now);
    }

    /// Sends the last words of what is over; whatever else it says has no place any more.
    fn transmit_all(
        events: &mut VecDeque<Event>,
        to: SocketAddr,
        from: Option<IpAddr>,
        engine: &mut dyn Engine,
        now: Moment,
    ) {
        loop {
            match engine.poll(now) {
                Output::Transmit(datagram) => {
                    events.push_back(Event::Transmit { to, from, datagram });
                }
                Output::Wait(_) => return,
                _ => {}
            }
        }
    }

    /// Forgets a handshake under way, without a word to the peer.
    pub(super) fn drop_pending(&mut self, address: SocketAddr) {
        let pending = self.peers.get_mut(&address).and_then(|peer| peer.pending.take());
        let Some(pending) = pending else { return };
        if let Role::Server { ticket } = pending.role {
            self.half_open.remove(ticket);
        }
        self.drop_proof(&pending);
    }

    /// Sets a peer's alarm, or forgets the peer if nothing of it is left.
    pub(super) fn schedule(&mut self, address: SocketAddr, now: Moment) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        if let Some(at) = peer.alarm.take() {
            self.alarms.remove(&(at, address));
        }
        if peer.is_empty() {
            self.peers.remove(&address);
            return;
        }
        let alarm = alarm(peer, self.limits.idle, now.instant);
        peer.alarm = alarm;
        self.alarms.extend(alarm.map(|at| (at, address)));
    }
}

fn alarm(peer: &Peer, idle: Duration, now: Instant) -> Option<Instant> {
    let pending = peer.pending.as_ref().and_then(|it| {
        let wakes = it.wakes.map(|at| at.max(now + TICK));
        let patience = match it.role {
            Role::Client { heard: Heard::Cookie(until), .. } => Some(until.max(now + TICK)),
            _ => None,
        };
        first(first(wakes, patience), Some(it.deadline))
    });
    let live = peer.live.as_ref().and_then(|live| {
        let wakes = live.wakes.map(|at| at.max(now + TICK));
        let known_by = live.known_by.filter(|_| live.engine.owes_proof());
        first(first(wakes, known_by), Some(live.used + idle))
    });
    let leaving = peer
        .leaving
        .as_ref()
        .and_then(|leaving| first(leaving.wakes.map(|at| at.max(now + TICK)), Some(leaving.until)));
    first(first(pending, live), leaving)
}
