//! What a datagram socket holds under its lock: the endpoint, and what waits on either side of it.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_dtls::{Arrival, Config, Endpoint, Event, Limits, Moment, Side};
use countersign_kerberos::InitiatorCredential;
use countersign_sys::{Batch, MAX_SEGMENTED, MAX_SEGMENTS, ReadySet, Route};
use countersign_tls::Question;

use super::proofs::Proofs;
use crate::clock;
use crate::context::Generation;
use crate::core::{
    Admission, Asked, ClientPlan, HandshakeError, KerberosUse, Lifecycle, PlanError, SaFields,
    SecuritySettings, TargetTable, Timestamp, fold,
};
use crate::error::Error;
use crate::identity;
use crate::kerberos::still_counts;
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
    outbox: VecDeque<Outgoing>,
    failures: HashMap<SocketAddr, (Instant, Failure)>,
    refusals: VecDeque<Refusal>,
    /// Associations that were ended as the program had asked, which it has not been told of yet.
    ended: HashMap<SocketAddr, HandshakeError>,
    /// Some association is to end if policy would not have it made any more.
    follows_policy: bool,
    /// Somebody asks for refusals.
    pub(super) tells_refusals: bool,
    clock: Clock,
    can_segment: bool,
    /// How many datagrams have been taken from the kernel, and outcomes from other threads.
    pub(super) heard: u64,
}

thread_local! {
    /// What arrives is dealt with before others have a turn, so the room for it need not be each
    /// socket's own.
    static BATCH: RefCell<Batch> = RefCell::new(Batch::new());
}

/// A datagram that waits for the kernel.
#[derive(Debug)]
struct Outgoing {
    to: SocketAddr,
    from: Option<IpAddr>,
    datagram: Vec<u8>,
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
enum Failure {
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
        self.inbox.retain(|(from, _)| *from == peer);
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
    fn remember(&mut self, peer: SocketAddr, failure: Failure) {
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
                    self.inbox.retain(|(from, _)| *from != peer);
                    self.inbox_bytes = self.inbox.iter().map(|(_, it)| it.len()).sum();
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
        let Self { open: Some(open), names, settings, connected, local, mtu, alarm, .. } = self
        else {
            return Ok(());
        };
        if generation.number != open.generation.number {
            // One that cannot be used leaves the one before in force.
            if let Ok(config) = config(&generation, *mtu) {
                open.endpoint.set_config(config);
            }
            open.generation = generation;
            open.follow_policy(settings.as_ref(), names, *local);
        }
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
            let admission = admission(generation, settings.as_ref(), names, *local, arrival)?;
            // Better now than after a handshake.
            if admission.kerberos() != KerberosUse::Off
                && let Err(error) = generation.kerberos.server()
            {
                let (peer, what) = (arrival.from, error.to_string());
                let error = HandshakeError::OurSide { what };
                unserved.borrow_mut().push(Refusal { peer, error });
                return None;
            }
            Some(admission)
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
        for refusal in unserved.into_inner() {
            open.refused(refusal);
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

    /// Sends what waits, as much as the kernel takes; tells of errors with one peer only.
    pub(super) fn flush(&mut self, socket: &OwnedFd, about: Option<SocketAddr>) -> io::Result<()> {
        let (is_v6, connected) = (self.local.is_ipv6(), self.connected);
        let Some(open) = &mut self.open else { return Ok(()) };
        open.absorb();
        let mut is_repeated = false;
        while let Some(Outgoing { to, from, datagram }) = open.outbox.front() {
            let (to, from) = (*to, *from);
            let address = (connected != Some(to)).then(|| unfold(to, is_v6));
            let route = Route { to: address, from, is_v6 };
            let run = if open.can_segment { run(&open.outbox) } else { 1 };
            let sent = if run > 1 {
                let segment = u16::try_from(datagram.len()).ok();
                let all: Vec<u8> =
                    open.outbox.iter().take(run).flat_map(|it| &it.datagram).copied().collect();
                countersign_sys::send_along(socket, route, &all, segment)
            } else {
                countersign_sys::send_along(socket, route, datagram, None)
            };
            match sent {
                Ok(()) => {
                    open.outbox.drain(..run);
                    is_repeated = false;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Not on this path, or not with this device.
                Err(_) if run > 1 => open.can_segment = false,
                Err(error) => {
                    // What the kernel heard of an earlier datagram, perhaps to another peer, is
                    // said in place of this one: which was whose is in the queue of errors.
                    open.hear_complaints(socket);
                    if !std::mem::replace(&mut is_repeated, true) {
                        continue;
                    }
                    is_repeated = false;
                    open.outbox.pop_front();
                    open.unreachable(to, error.kind());
                    if about == Some(to) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends what the policy in force would not have made, if the program asked for that.
    pub(super) fn follow_policy(&mut self, generation: impl FnOnce() -> Arc<Generation>) {
        let Self { open: Some(open), settings, names, local, .. } = self else { return };
        if !open.follows_policy {
            return;
        }
        let generation = generation();
        if generation.number != open.generation.number {
            if let Ok(config) = config(&generation, self.mtu) {
                open.endpoint.set_config(config);
            }
            open.generation = generation;
            open.follow_policy(settings.as_ref(), names, *local);
        }
    }

    /// Has the association with `peer` end once one of `fields` changes; what it was made under
    /// may have changed already.
    pub(super) fn watch(&mut self, peer: SocketAddr, fields: SaFields) {
        let Self { open: Some(open), settings, names, local, .. } = self else { return };
        if fields != SaFields::NONE && open.endpoint.watch(peer, fields) {
            open.follows_policy |= fields.contains(SaFields::MM_SA_ID);
            open.follow_policy(settings.as_ref(), names, *local);
        }
    }

    /// Decides whom the peer at `address` must prove to be, and whether a ticket may or must prove
    /// it. There is never a plan in clear.
    pub(super) fn plan(
        &self,
        open: &Open,
        address: SocketAddr,
    ) -> Result<(Asked, KerberosUse), Error> {
        let default = SecuritySettings::default();
        let settings = self.settings.as_ref().unwrap_or(&default);
        let policy = &open.generation.policy;
        match policy.plan_client(Some(settings), &self.names, address)? {
            ClientPlan::Tls { asked, kerberos, .. } => Ok((asked, kerberos)),
            _ => Err(Error::Plan(PlanError::NoName { peer: address })),
        }
    }

    /// Returns a peer that has an association, or is about to, under another name than `names`
    /// would have it prove.
    pub(super) fn conflict(&self, names: &TargetTable) -> Option<SocketAddr> {
        let Open { endpoint, proofs, .. } = self.open.as_ref()?;
        let peers = endpoint.peers().map(|(peer, _)| peer).chain(proofs.searching());
        peers.into_iter().find(|peer| {
            let (old, new) = (self.names.lookup(*peer), names.lookup(*peer));
            let Some((_, new)) = new else { return false };
            let proved = |evidence: &crate::Evidence| {
                evidence.names().iter().any(|proved| proved.name() == new)
            };
            old.is_none_or(|(_, old)| old != new)
                && !endpoint.evidence(*peer).is_some_and(|it| proved(it))
        })
    }
}

impl Open {
    /// Forgets why the last handshake with a peer failed.
    pub(super) fn forget_failure(&mut self, peer: SocketAddr) {
        self.failures.remove(&fold(peer));
    }

    /// Ends the associations that the program wants to follow the policy, and that would not be made
    /// under the one in force.
    pub(super) fn follow_policy(
        &mut self,
        settings: Option<&SecuritySettings>,
        names: &TargetTable,
        local: SocketAddr,
    ) {
        if !self.follows_policy {
            return;
        }
        let (now, generation) = (self.now(), self.generation.clone());
        for (peer, asked, to) in self.endpoint.watched() {
            let question = match asked {
                Some(asked) if generation.policy.still_asks(&asked, peer) => {
                    Some((Question::IsServer(asked), self.relied_on_as_client()))
                }
                Some(_) => None,
                None => {
                    let arrival = Arrival { from: peer, to };
                    admission(&generation, settings, names, local, arrival).map(|admission| {
                        let relied_on = admission.kerberos();
                        (Question::MayConnect(admission, peer), relied_on)
                    })
                }
            };
            let judged = match question {
                Some((question, relied_on)) => {
                    let rule = generation.policy.kerberos();
                    let evidence = self.endpoint.evidence(peer);
                    let counts = evidence.map_or(Ok(()), |it| still_counts(it, rule, relied_on));
                    counts.and_then(|()| {
                        self.endpoint.judge_anew(peer, &question, &generation.anchors, now)
                    })
                }
                None => Err(HandshakeError::NotAllowed {
                    peer: peer.to_string(),
                    why: "another name is asked for at its address".to_owned(),
                }),
            };
            if let Err(why) = judged {
                let what = format!("under the policy as it is now, {why}");
                self.endpoint.abort(peer, HandshakeError::Changed { what }, now);
            }
        }
        self.absorb();
    }

    /// Takes what the network says of datagrams that did not arrive.
    fn hear_complaints(&mut self, socket: &OwnedFd) {
        let mut complaints = Vec::new();
        // A socket that is dropped with its thread finds no room any more, and needs none.
        let _ = BATCH.try_with(|batch| {
            let mut batch = batch.borrow_mut();
            batch.complaints(socket, |complaint| complaints.push(complaint));
        });
        for complaint in complaints {
            self.unreachable(fold(complaint.peer), complaint.kind);
        }
    }

    /// Nobody is there, says the network, or the kernel itself.
    fn unreachable(&mut self, peer: SocketAddr, kind: io::ErrorKind) {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
        // That a datagram is too large for some path says nothing of the peer.
        if !matches!(kind, ConnectionRefused | HostUnreachable | NetworkUnreachable) {
            return;
        }
        let now = self.now();
        if self.endpoint.unreachable(peer, now) {
            self.remember(peer, Failure::Network(kind));
        }
        self.absorb();
    }
}

/// Says who may come in that way.
fn admission(
    generation: &Generation,
    settings: Option<&SecuritySettings>,
    names: &TargetTable,
    local: SocketAddr,
    arrival: Arrival,
) -> Option<Arc<Admission>> {
    let at = SocketAddr::new(arrival.to.unwrap_or_else(|| local.ip()), local.port());
    let default = SecuritySettings::default();
    let settings = Some(settings.unwrap_or(&default));
    let plan = generation.policy.plan_inbound_datagrams(settings, names, at, arrival.from);
    plan.ok().map(Arc::new)
}

/// How many datagrams at the front of the queue can go in one call: of one size, the last perhaps
/// shorter, to one peer.
fn run(outbox: &VecDeque<Outgoing>) -> usize {
    let Some(first) = outbox.front() else { return 0 };
    let size = first.datagram.len();
    let (mut count, mut bytes, mut last) = (0, 0, size);
    for next in outbox.iter().take(MAX_SEGMENTS) {
        bytes += next.datagram.len();
        let same = (next.to, next.from) == (first.to, first.from);
        if !same || last != size || next.datagram.len() > size || bytes > MAX_SEGMENTED {
            break;
        }
        last = next.datagram.len();
        count += 1;
    }
    count
}

fn config(generation: &Generation, mtu: u16) -> Result<Config, Error> {
    let make = || make_config(generation, mtu);
    if mtu != Config::DEFAULT_MTU {
        return make();
    }
    match generation.datagrams.get() {
        Some(config) => Ok(config.clone()),
        None => {
            let made = make()?;
            Ok(generation.datagrams.get_or_init(|| made).clone())
        }
    }
}

fn make_config(generation: &Generation, mtu: u16) -> Result<Config, Error> {
    let (anchors, own) = (&generation.anchors, generation.credential.as_ref());
    let is_off = generation.policy.kerberos().server.unwrap_or_default() == KerberosUse::Off;
    if own.is_none() && !is_off {
        // Who proves itself by its keytab shows some certificate, because DTLS needs one; nobody has
        // to believe it.
        let nobody = identity::throw_away_credential()?;
        return Config::for_proofs_only(anchors, &nobody, mtu).map_err(ours);
    }
    Config::new(anchors, own, mtu).map_err(ours)
}

fn ours(source: HandshakeError) -> Error {
    Error::Handshake { peer: SocketAddr::from(([0, 0, 0, 0], 0)), source }
}

/// Returns an address in the form that a socket of this family takes.
fn unfold(address: SocketAddr, is_v6: bool) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if is_v6 => {
            SocketAddrV6::new(ip.to_ipv6_mapped(), address.port(), 0, 0).into()
        }
        _ => address,
    }
}
