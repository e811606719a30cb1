//! What a datagram socket holds under its lock: the endpoint, and what waits on either side of it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_dtls::{Config, Endpoint, Event, Limits, Moment, Side, Standing};

use crate::clock;
use crate::context::Generation;
use crate::core::{
    Asked, ClientPlan, HandshakeError, Lifecycle, SecuritySettings, TargetTable, fold,
};
use crate::error::Error;

/// Everything of a datagram socket that changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) life: Lifecycle,
    pub(super) settings: Option<SecuritySettings>,
    pub(super) names: TargetTable,
    pub(super) local: SocketAddr,
    pub(super) connected: Option<SocketAddr>,
    pub(super) open: Option<Open>,
    pub(super) mtu: u16,
    pub(super) read_timeout: Option<Duration>,
    pub(super) write_timeout: Option<Duration>,
    /// A thread waits for the kernel, and tells the others.
    pub(super) is_awaited: bool,
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
    inbox: VecDeque<(SocketAddr, Vec<u8>)>,
    inbox_bytes: usize,
    pub(super) outbox: VecDeque<(SocketAddr, Vec<u8>)>,
    failures: HashMap<SocketAddr, (Instant, Failure)>,
    buffer: Vec<u8>,
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
/// How many datagrams are taken from the kernel before others have a turn.
const BURST: usize = 64;

impl Open {
    pub(super) fn new(generation: Arc<Generation>, mtu: u16) -> Result<Self, Error> {
        let config = config(&generation, mtu)?;
        let policy = generation.policy.limits();
        let mut limits = Limits::default();
        limits.half_open = policy.handshakes;
        limits.handshake_timeout = policy.handshake_timeout;
        let endpoint = Endpoint::new(config, limits, Instant::now()).map_err(ours)?;
        Ok(Self {
            endpoint,
            generation,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            outbox: VecDeque::new(),
            failures: HashMap::new(),
            buffer: vec![0; 1 << 16],
        })
    }

    pub(super) fn has_mail(&self) -> bool {
        !self.inbox.is_empty()
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

    /// Notes what the endpoint has to say.
    fn absorb(&mut self) {
        while let Some(event) = self.endpoint.poll() {
            match event {
                Event::Transmit { to, datagram } if self.outbox.len() < OUTBOX => {
                    self.outbox.push_back((to, datagram));
                }
                Event::Deliver { from, datagram } if self.inbox_bytes + datagram.len() <= INBOX => {
                    self.inbox_bytes += datagram.len();
                    self.inbox.push_back((from, datagram));
                }
                Event::Secured { peer } => {
                    self.failures.remove(&peer);
                }
                Event::Failed { peer, began: Side::Ours, error }
                    if self.failures.len() < FAILURES =>
                {
                    self.failures.insert(peer, (Instant::now(), Failure::Handshake(error)));
                }
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
        let Self { open: Some(open), names, settings, connected, local, mtu, .. } = self else {
            return Ok(());
        };
        if generation.number != open.generation.number {
            // One that cannot be used leaves the one before in force.
            if let Ok(config) = config(&generation, *mtu) {
                open.endpoint.set_config(config);
            }
            open.generation = generation;
        }
        let generation = open.generation.clone();
        let policy = &generation.policy;
        let settings = Some(settings.clone().unwrap_or_default());
        let admission = |peer: SocketAddr| {
            if connected.is_some_and(|only| only != peer) {
                return None;
            }
            policy.plan_inbound_datagrams(settings.as_ref(), names, *local, peer).ok().map(Arc::new)
        };
        for _ in 0..BURST {
            match countersign_sys::receive_from(socket, &mut open.buffer) {
                Ok((count, from)) => {
                    let datagram = open.buffer.get(..count).unwrap_or_default();
                    open.endpoint.handle_datagram(from, datagram, now(), &admission);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Of a socket that is connected the kernel tells that nobody is there. Anyone on
                // the path can say so, so it ends what has not begun, and nothing else.
                Err(error) => {
                    if let Some(peer) = *connected {
                        open.unreachable(peer, &error);
                    }
                }
            }
            open.absorb();
            if open.has_mail() {
                break;
            }
        }
        if open.endpoint.next_deadline().is_some_and(|at| at <= Instant::now()) {
            open.endpoint.handle_timeout(now());
        }
        open.absorb();
        self.flush(socket, None).map_err(Error::io("send"))
    }

    /// Sends what waits, as much as the kernel takes; tells of errors with one peer only.
    pub(super) fn flush(&mut self, socket: &OwnedFd, about: Option<SocketAddr>) -> io::Result<()> {
        let is_v6 = self.local.is_ipv6();
        let Some(open) = &mut self.open else { return Ok(()) };
        open.absorb();
        while let Some((to, datagram)) = open.outbox.front() {
            let to = *to;
            match countersign_sys::send_to(socket, datagram, unfold(to, is_v6)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    open.outbox.pop_front();
                    // What the kernel heard of an earlier datagram is said in place of this one.
                    open.unreachable(to, &error);
                    if about == Some(to) {
                        return Err(error);
                    }
                }
                Ok(()) => {
                    open.outbox.pop_front();
                }
            }
        }
        Ok(())
    }

    /// Decides whom the peer at `address` must prove to be. There is never a plan in clear.
    pub(super) fn plan(&self, open: &Open, address: SocketAddr) -> Result<Asked, Error> {
        let settings = self.settings.clone().unwrap_or_default();
        let policy = &open.generation.policy;
        match policy.plan_client(Some(&settings), &self.names, address)? {
            ClientPlan::Tls { asked, .. } => Ok(asked),
            _ => Err(Error::Plan(crate::core::PlanError::NoName { peer: address })),
        }
    }

    /// Returns a peer that has an association, or is about to, under another name than `names`
    /// would have it prove.
    pub(super) fn conflict(&self, names: &TargetTable) -> Option<SocketAddr> {
        let endpoint = &self.open.as_ref()?.endpoint;
        endpoint.peers().map(|(peer, _)| peer).find(|peer| {
            let (old, new) = (self.names.lookup(*peer), names.lookup(*peer));
            let Some((_, new)) = new else { return false };
            let proved = |evidence: &crate::Evidence| {
                evidence.names().iter().any(|proved| proved.name() == new)
            };
            old.is_none_or(|(_, old)| old != new) && !endpoint.evidence(*peer).is_some_and(proved)
        })
    }
}

impl Open {
    /// Begins to find out who is at `address`.
    pub(super) fn begin(&mut self, address: SocketAddr, asked: Asked) -> Result<(), Error> {
        self.failures.remove(&fold(address));
        let begun = self.endpoint.connect(address, asked, now());
        self.absorb();
        begun.map_err(|source| Error::Handshake { peer: address, source })
    }

    fn unreachable(&mut self, peer: SocketAddr, error: &io::Error) {
        if self.endpoint.standing(peer) == Standing::Pending {
            self.endpoint.give_up(peer, now());
            let failure = Failure::Network(error.kind());
            self.failures.insert(fold(peer), (Instant::now(), failure));
        }
    }
}

/// Returns the time on both clocks.
pub(super) fn now() -> Moment {
    Moment { instant: Instant::now(), time: clock::now() }
}

fn config(generation: &Generation, mtu: u16) -> Result<Config, Error> {
    Config::new(&generation.anchors, generation.credential.as_ref(), mtu).map_err(ours)
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
