//! What a datagram socket holds under its lock: the endpoint, and what waits on either side of it.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_dtls::{Arrival, Endpoint, Event, Limits, Moment, Side};
use countersign_kerberos::InitiatorCredential;
use countersign_sys::{Batch, ReadySet};

use super::outbound::Outgoing;
use super::proofs::Proofs;
use super::rules::{admission, config, ours};
use crate::clock;
use crate::context::Generation;
use crate::core::{
    HandshakeError, KerberosUse, Lifecycle, SecuritySettings, TargetTable, Timestamp, fold,
};
use crate::error::Error;
use crate::listener::Refusal;

/// Everything of a datagram socket that changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) life: Lifecycle,
    pub(super) settings: Option<SecuritySettings>,
    /// What the program gave to authenticate with.
    pub(super) given: Option<InitiatorCredential>,
    pub(super) names: TargetTable,
    pub(super) local: SocketAddr,
    pub(super) connected: Option<SocketAddr>,
    pub(super) open: Option<Open>,
    pub(super) mtu: u16,
    pub(super) read_timeout: Option<Duration>,
    pub(super) write_timeout: Option<Duration>,
    /// A thread waits for the kernel, and tells the others.
    pub(super) is_awaited: bool,
    /// When that thread wakes by itself; `None` is never.
    pub(super) awaited_until: Option<Instant>,
    /// How many threads wait for that one.
    pub(super) waiting: usize,
    /// The kernel said that there is something, which may be an error only.
    pub(super) was_called: bool,
    /// What the alarm is set to.
    pub(super) alarm: Option<Instant>,
    pub(super) is_signalled: bool,
    /// Nobody may wait any more.
    pub(super) is_interrupted: bool,
}

/// What exists from the first use of the network on.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) endpoint: Endpoint,
    pub(super) generation: Arc<Generation>,
    pub(super) proofs: Proofs,
    /// What the program gave to authenticate with.
    pub(super) given: Option<InitiatorCredential>,
    inbox: VecDeque<(SocketAddr, Vec<u8>)>,
    inbox_bytes: usize,
    pub(super) outbox: VecDeque<Outgoing>,
    failures: HashMap<SocketAddr, (Instant, Failure)>,
    refusals: VecDeque<Refusal>,
    /// The last peer that got no answer, and when.
    unserved: Option<(SocketAddr, Instant)>,
    /// Associations that were ended as the program had asked, which it has not been told of yet.
    ended: HashMap<SocketAddr, HandshakeError>,
    /// Some association is to end if policy would not have it made any more.
    pub(super) follows_policy: bool,
    /// Somebody asks for refusals.
    pub(super) tells_refusals: bool,
    clock: Clock,
    pub(super) can_segment: bool,
    /// How many datagrams have been taken from the kernel, and outcomes from other threads.
    pub(super) heard: u64,
}

thread_local! {
    /// What arrives is dealt with before others have a turn, so the room for it need not be each
    /// socket's own.
    pub(super) static BATCH: RefCell<Batch> = RefCell::new(Batch::new());
}

/// The time on both clocks; the one for certificates, which counts seconds, is read once a second.
#[derive(Debug)]
struct Clock {
    read: Instant,
    time: Timestamp,
}

impl Clock {
    fn new() -> Self {
        Self { read: Instant::now(), time: clock::now() }
    }

    fn now(&mut self) -> Moment {
        let instant = Instant::now();
        if instant.saturating_duration_since(self.read) >= Duration::from_secs(1) {
            *self = Self { read: instant, time: clock::now() };
        }
        Moment { instant, time: self.time }
    }
}

/// Why nobody has proved who is at an address.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Handshake(HandshakeError),
    /// The network says that nobody is there.
    Network(io::ErrorKind),
}

impl Failure {
    fn told_of(self, peer: SocketAddr) -> Error {
        match self {
            Self::Handshake(source) => Error::Handshake { peer, source },
            Self::Network(kind) => {
                Error::Io { doing: format!("reach {peer}"), source: kind.into() }
            }
        }
    }
}

/// How much plaintext waits for the program at most; what comes then is lost, as in the kernel.
const INBOX: usize = 4 << 20;
/// How many datagrams wait for the kernel at most; more are lost, as on any full queue.
const OUTBOX: usize = 1024;
/// How many failures are remembered for those who have not asked yet.
const FAILURES: usize = 1024;
/// How many refusals wait for those who ask for them at most; older ones are forgotten.
const REFUSALS: usize = 1024;
/// Who gets no answer and repeats itself within this time is told of once.
const REPEATS: Duration = Duration::from_secs(10);
/// How often the kernel is asked for datagrams, several each time, before others have a turn.
const BURST: usize = 2;

impl Open {
    pub(super) fn new(
        generation: Arc<Generation>,
        mtu: u16,
        ready: Arc<ReadySet>,
        given: Option<InitiatorCredential>,
    ) -> Result<Self, Error> {
        let config = config(&generation, mtu)?;
        let policy = generation.policy.limits();
        let mut limits = Limits::default();
        limits.half_open = policy.handshakes;
        limits.half_open_per_host = policy.handshakes_per_host;
        limits.peers = policy.datagram_peers;
        limits.handshake_timeout = policy.handshake_timeout;
        limits.idle = policy.datagram_idle;
        let endpoint = Endpoint::new(config, limits, Instant::now()).map_err(ours)?;
        Ok(Self {
            endpoint,
            generation,
            proofs: Proofs::new(ready),
            given,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            outbox: VecDeque::new(),
            failures: HashMap::new(),
            refusals: VecDeque::new(),
            unserved: None,
            ended: HashMap::new(),
            follows_policy: false,
            tells_refusals: false,
            clock: Clock::new(),
            can_segment: true,
            heard: 0,
        })
    }

    /// Returns the time on both clocks.
    pub(super) fn now(&mut self) -> Moment {
        self.clock.now()
    }

    /// Returns whether there is something for the program.
    pub(super) fn has_mail(&self) -> bool {
        !self.inbox.is_empty()
            || !self.ended.is_empty()
            || (self.tells_refusals && !self.refusals.is_empty())
    }

    /// Returns whether something waits for room in the kernel.
    pub(super) fn is_full(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Returns, once, that the association with `peer` was ended as the program had asked; without
    /// a peer, that of any.
    pub(super) fn take_ended(&mut self, peer: Option<SocketAddr>) -> Option<Error> {
        let peer = peer.or_else(|| self.ended.keys().next().copied())?;
        let source = self.ended.remove(&fold(peer))?;
        Some(Error::Handshake { peer, source })
    }

    /// Returns what [`Self::take_ended`] takes next.
    pub(super) fn first_ended(&self) -> Option<Error> {
        let (peer, source) = self.ended.iter().next()?;
        Some(Error::Handshake { peer: *peer, source: source.clone() })
    }

    /// Returns why the last handshake with `peer` failed, if it did, for a query.
    pub(super) fn last_failure(&self, peer: SocketAddr) -> Option<HandshakeError> {
        match self.failures.get(&fold(peer)) {
            Some((_, Failure::Handshake(error))) => Some(error.clone()),
            _ => None,
        }
    }

    /// Notes that a peer gets no answer because we cannot serve it; it asks several times.
    fn unserved(&mut self, peer: SocketAddr, why: &Error) {
        let now = Instant::now();
        let before = self.unserved.replace((peer, now));
        if before.is_none_or(|(other, at)| other != peer || at + REPEATS <= now) {
            let what = why.to_string();
            self.refused(Refusal { peer, error: HandshakeError::OurSide { what } });
        }
    }

    /// Keeps a refusal for those who ask.
    fn refused(&mut self, refusal: Refusal) {
        if self.refusals.len() >= REFUSALS {
            self.refusals.pop_front();
        }
        self.refusals.push_back(refusal);
    }

    pub(super) fn take_refusal(&mut self) -> Option<Refusal> {
        self.refusals.pop_front()
    }

    /// Returns the datagram that comes next.
    pub(super) fn first_mail(&self) -> Option<(SocketAddr, &[u8])> {
        self.inbox.front().map(|(from, datagram)| (*from, datagram.as_slice()))
    }

    pub(super) fn take_mail(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        let (from, datagram) = self.inbox.pop_front()?;
        self.inbox_bytes -= datagram.len();
        Some((from, datagram))
    }

    /// Forgets what others than `peer` sent.
    pub(super) fn keep_mail_of(&mut self, peer: SocketAddr) {
        self.keep_mail(|from| from == peer);
    }

    /// Forgets what `peer` sent.
    fn drop_mail_of(&mut self, peer: SocketAddr) {
        if self.inbox.iter().any(|(from, _)| *from == peer) {
            self.keep_mail(|from| from != peer);
        }
    }

    fn keep_mail(&mut self, is_kept: impl Fn(SocketAddr) -> bool) {
        self.inbox.retain(|(from, _)| is_kept(*from));
        self.inbox_bytes = self.inbox.iter().map(|(_, datagram)| datagram.len()).sum();
    }

    /// Returns why the last handshake with `peer` failed, if it did after `since`; an older
    /// failure that nobody was told of is told once if `once` says so.
    pub(super) fn failure(
        &mut self,
        peer: SocketAddr,
        since: Instant,
        once: bool,
    ) -> Option<Error> {
        let (at, failure) = self.failures.get(&fold(peer))?;
        if *at >= since {
            return Some(failure.clone().told_of(peer));
        }
        let (_, failure) = self.failures.remove(&fold(peer))?;
        once.then(|| failure.told_of(peer))
    }

    /// Keeps why a handshake of ours failed.
    pub(super) fn remember_refusal(&mut self, peer: SocketAddr, error: HandshakeError) {
        self.remember(peer, Failure::Handshake(error));
    }

    /// Keeps why nobody has proved who is there, in place of the oldest that nobody has asked for.
    pub(super) fn remember(&mut self, peer: SocketAddr, failure: Failure) {
        if self.failures.len() >= FAILURES {
            let oldest = self.failures.iter().min_by_key(|(_, (at, _))| *at);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.failures.remove(&oldest);
            }
        }
        self.failures.insert(peer, (Instant::now(), failure));
    }

    /// Notes what the endpoint has to say.
    pub(super) fn absorb(&mut self) {
        while let Some(event) = self.endpoint.poll() {
            match event {
                Event::Transmit { to, from, datagram } if self.outbox.len() < OUTBOX => {
                    self.outbox.push_back(Outgoing { to, from, datagram });
                }
                Event::Deliver { from, datagram } if self.inbox_bytes + datagram.len() <= INBOX => {
                    self.inbox_bytes += datagram.len();
                    self.inbox.push_back((from, datagram));
                }
                Event::Secured { peer } => {
                    self.failures.remove(&peer);
                    // It may be somebody else by now, and would be taken for their sender.
                    self.drop_mail_of(peer);
                    // Whoever looked for tickets to greet it was not needed.
                    self.proofs.cancel_search(peer);
                    let session = self.endpoint.evidence(peer).map(|it| it.session());
                    self.proofs.drop_delegated(peer, session);
                }
                Event::Failed { peer, began: Side::Ours, error } => {
                    let error = self.explain(peer, error);
                    self.remember(peer, Failure::Handshake(error));
                }
                Event::Closed { peer, error: Some(error @ HandshakeError::Changed { .. }) } => {
                    self.proofs.drop_delegated(peer, None);
                    // What came under the session that it was has no place any more.
                    self.drop_mail_of(peer);
                    self.ended.insert(peer, error);
                }
                Event::Failed { peer, began: Side::Theirs, error } => {
                    let error = self.explain(peer, error);
                    self.refused(Refusal { peer, error });
                }
                Event::Closed { peer, .. } => self.proofs.drop_delegated(peer, None),
                event @ (Event::Prove { .. }
                | Event::ProofMoves { .. }
                | Event::ProofOver { .. }) => self.absorb_proof(event),
                _ => {}
            }
        }
    }
}

impl State {
    /// Takes what the kernel has, does what is due, and sends what waits; never waits itself.
    pub(super) fn advance(
        &mut self,
        socket: &OwnedFd,
        generation: Arc<Generation>,
    ) -> Result<(), Error> {
        let was_called = std::mem::take(&mut self.was_called);
        self.go_by(generation);
        let Self { open: Some(open), names, settings, connected, local, alarm, .. } = self else {
            return Ok(());
        };
        let now = open.now();
        open.fetch_findings();
        let unserved = RefCell::new(Vec::new());
        let Open { endpoint, generation, heard, ended, .. } = &mut *open;
        let admission = |arrival: Arrival| {
            let is_other = connected.is_some_and(|only| only != arrival.from);
            // Nobody comes back under another session before the program knows.
            if is_other || ended.contains_key(&arrival.from) {
                return None;
            }
            let admission = admission(generation, settings.as_ref(), names, *local, arrival);
            let served = admission.map_err(Error::from).and_then(|admission| {
                // Better now than after a handshake.
                if admission.kerberos() != KerberosUse::Off {
                    generation.kerberos.server()?;
                }
                Ok(admission)
            });
            let unserved = |why: Error| unserved.borrow_mut().push((arrival.from, why));
            served.map_err(unserved).ok()
        };
        let mut has_error = false;
        BATCH.with_borrow_mut(|batch| {
            for round in 0..BURST {
                let more = match batch.receive(socket) {
                    Ok(more) => more,
                    Err(error) => {
                        // Woken for nothing: what the network says of others is in its own queue.
                        has_error |= error.kind() != io::ErrorKind::WouldBlock;
                        has_error |= was_called && round == 0;
                        break;
                    }
                };
                for datagram in batch.arrived() {
                    *heard += 1;
                    let arrival = Arrival { from: datagram.from, to: datagram.to };
                    endpoint.handle_datagram(arrival, datagram.bytes, now, &admission);
                }
                if !more {
                    break;
                }
            }
        });
        for (peer, why) in unserved.into_inner() {
            open.unserved(peer, &why);
        }
        if has_error {
            open.hear_complaints(socket);
        }
        if open.next_deadline().is_some_and(|at| at <= now.instant) {
            open.end_late_searches(now.instant);
            open.endpoint.handle_timeout(now);
            if alarm.is_some_and(|set| set <= now.instant) {
                *alarm = None;
            }
        }
        open.absorb();
        self.flush(socket, None).map_err(Error::io("send"))
    }
}

impl Open {
    /// Forgets why the last handshake with a peer failed.
    pub(super) fn forget_failure(&mut self, peer: SocketAddr) {
        self.failures.remove(&fold(peer));
    }
}
