//! What one UDP socket talks: associations with many peers.

mod handshakes;

mod leaving;

mod limits;
pub use limits::Limits;

mod peer;

mod plans;
pub use plans::Planning;

mod proving;
pub use proving::{ProofId, Proving};

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_core::{Admission, Asked, Evidence, HandshakeError, KerberosUse, SaFields, fold};
use countersign_tls::{ProofBinding, Question, TrustAnchors};

use self::limits::HalfOpen;
use self::peer::{Heard, Live, Peer, Pending, Role};
use crate::association::Association;
use crate::config::Config;
use crate::engine::{Moment, Output, SealError};
use crate::gate::{Entrant, Gate, Passage};
use crate::shape::{self, Hello, Sender, Shape};

/// All associations of one socket, by the address of the peer.
///
/// `handle_*`, [`Self::connect`] and [`Self::send`] take what comes; after each of them
/// [`Self::poll`] is called until it has nothing more to say. Addresses are taken in any form, and
/// given in the one of [`fold`].
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
    limits: Limits,
    gate: Gate,
    peers: HashMap<SocketAddr, Peer>,
    alarms: BTreeSet<(Instant, SocketAddr)>,
    half_open: HalfOpen,
    /// With whom the proofs are that are under way.
    proofs: HashMap<ProofId, SocketAddr>,
    next_proof: u64,
    events: VecDeque<Event>,
}

/// What is to be done, or has happened.
#[non_exhaustive]
#[derive(Debug)]
pub enum Event {
    /// An association is over; the peer said so, or nothing was heard for too long.
    Closed {
        /// With whom.
        peer: SocketAddr,
        /// Why, if not in order.
        error: Option<HandshakeError>,
    },
    /// A datagram of a peer that has proved who it is.
    Deliver {
        /// The peer.
        from: SocketAddr,
        /// What it sent.
        datagram: Vec<u8>,
    },
    /// A handshake failed. What held before holds on.
    Failed {
        /// With whom.
        peer: SocketAddr,
        /// Who began it.
        began: Side,
        /// Why.
        error: HandshakeError,
    },
    /// A proof inside a connection begins, and has to be concluded or refused by
    /// [`Endpoint::proof`] before anything else.
    Prove {
        /// Which.
        proof: ProofId,
        /// With whom.
        peer: SocketAddr,
        /// The address of ours that the peer came to, if it did and that is known.
        local: Option<IpAddr>,
        /// Who began: we are the client if we did.
        began: Side,
        /// Whom we asked for, if we did.
        asked: Option<Asked>,
        /// What the proof must be bound to.
        binding: ProofBinding,
    },
    /// Bytes of a proof have arrived, or there is room for more.
    ProofMoves {
        /// Which.
        proof: ProofId,
    },
    /// A proof is over that was neither concluded nor refused here: its time is over, the peer has
    /// broken off, or something else has taken its place. [`Self::Failed`] says why, before this, where
    /// somebody waits.
    ProofOver {
        /// Which.
        proof: ProofId,
    },
    /// A peer has proved who it is; an association that was there before is replaced.
    Secured {
        /// The peer.
        peer: SocketAddr,
    },
    /// Send this.
    Transmit {
        /// Where.
        to: SocketAddr,
        /// From which address of ours; `None` leaves it to the kernel.
        from: Option<IpAddr>,
        /// What.
        datagram: Vec<u8>,
    },
}

/// Between whom a datagram came.
#[expect(clippy::exhaustive_structs, reason = "a datagram has two ends")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Who sent it.
    pub from: SocketAddr,
    /// The address of ours that it came to, if that is known; answers come from it.
    pub to: Option<IpAddr>,
}

/// Says who may come in that way; nobody if it answers `None`.
pub type Admitting<'a> = dyn Fn(Arrival) -> Option<Arc<Admission>> + 'a;

/// Who began a handshake.
#[expect(clippy::exhaustive_enums, reason = "a conversation has two sides")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We did.
    Ours,
    /// The peer did.
    Theirs,
}

/// How things stand with a peer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A handshake is under way.
    Pending,
    /// It has proved who it is.
    Secured,
    /// It is not known.
    Stranger,
}

/// Why a datagram was not sent.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// There is no association with the peer.
    NotSecured,
    /// It is empty, or has more bytes than one datagram to this peer holds.
    Size {
        /// How many would fit.
        fits: usize,
    },
}

/// What an attempt of ours is to come to.
struct Wish {
    asked: Asked,
    offer: KerberosUse,
    attempts: u32,
    local: Option<IpAddr>,
    deadline: Instant,
}

/// How often an attempt of ours is repeated that ended in what a forger could have sent.
const ATTEMPTS: u32 = 4;
/// How often the network's word that a peer is gone makes us look, at most.
const SUSPICIONS: Duration = Duration::from_secs(1);
/// The shortest wait, so that a clock that libssl reads differently makes no busy loop.
const TICK: Duration = Duration::from_millis(1);

impl Endpoint {
    /// Makes one that knows nobody.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if there is no randomness for cookies.
    pub fn new(config: Config, limits: Limits, now: Instant) -> Result<Self, HandshakeError> {
        Ok(Self {
            config,
            limits,
            gate: Gate::new(now)?,
            peers: HashMap::new(),
            alarms: BTreeSet::new(),
            half_open: HalfOpen::default(),
            proofs: HashMap::new(),
            next_proof: 0,
            events: VecDeque::new(),
        })
    }

    /// Uses this from the next handshake on; live associations keep what they have.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Starts a handshake with `peer`, which proves its name by a certificate, unless there is one
    /// under way or an association.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if libssl cannot start.
    pub fn connect(
        &mut self,
        peer: SocketAddr,
        asked: Asked,
        now: Moment,
    ) -> Result<(), HandshakeError> {
        self.connect_offering(peer, asked, KerberosUse::Off, None, now)
    }

    /// Starts a handshake with `peer`, unless there is one under way or an association, and offers it
    /// a proof inside the connection; it has until `deadline`, if that comes before the end of the
    /// usual time.
    ///
    /// A peer that takes the offer must conclude that proof, and its certificate may be any; with
    /// one that does not, its certificate must do, or the proof is required and the peer refused.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if libssl cannot start, or if a proof is to be offered to a peer
    /// without a name.
    pub fn connect_offering(
        &mut self,
        peer: SocketAddr,
        asked: Asked,
        offer: KerberosUse,
        deadline: Option<Instant>,
        now: Moment,
    ) -> Result<(), HandshakeError> {
        let address = fold(peer);
        if self.standing(address) != Standing::Stranger {
            return Ok(());
        }
        let latest = now.instant + self.limits.handshake_timeout;
        let deadline = deadline.map_or(latest, |deadline| deadline.min(latest));
        let wish = Wish { asked, offer, attempts: ATTEMPTS, local: None, deadline };
        let pending = self.attempt(wish, now)?;
        self.peers.entry(address).or_default().pending = Some(pending);
        self.settle_pending(address, now);
        Ok(())
    }

    /// Protects a datagram for `peer`.
    ///
    /// # Errors
    ///
    /// [`SendError`]; nothing is sent then.
    pub fn send(&mut self, peer: SocketAddr, plain: &[u8], now: Moment) -> Result<(), SendError> {
        let address = fold(peer);
        let live = self.peers.get_mut(&address).and_then(|peer| peer.live.as_mut());
        let live = live.ok_or(SendError::NotSecured)?;
        let sealed = live.engine.seal(plain);
        live.used = now.instant;
        let fits = live.engine.max_datagram_size();
        let may_probe = live.asked.is_some() && live.watched == SaFields::NONE;
        let is_quiet = may_probe && live.quiet + self.limits.quiet <= now.instant;
        self.settle_live(address, now);
        if is_quiet {
            self.probe(address, now);
        }
        sealed.map_err(|error| match error {
            SealError::NoKeys => SendError::NotSecured,
            SealError::Size => SendError::Size { fits },
        })
    }

    /// Takes a datagram from the network. `admission` says who may come in from an address; it is
    /// asked only for those who have proved that they are there.
    pub fn handle_datagram(
        &mut self,
        arrival: Arrival,
        datagram: &[u8],
        now: Moment,
        admission: &Admitting<'_>,
    ) {
        let arrival = Arrival { from: fold(arrival.from), ..arrival };
        let address = arrival.from;
        match shape::of(datagram) {
            Shape::Garbage => {}
            Shape::ClientHello(hello) => {
                self.handle_hello(arrival, &hello, datagram, now, admission);
            }
            Shape::Clear(sender) => self.handle_clear(address, sender, datagram, now),
            Shape::Protected => {
                self.feed_live(address, datagram, now);
                self.feed_pending(address, datagram, now);
                self.feed_leaving(address, datagram, now);
            }
        }
    }

    /// Learns that [`Self::next_deadline`] has come.
    pub fn handle_timeout(&mut self, now: Moment) {
        let mut due = Vec::new();
        while let Some((at, address)) = self.alarms.first().copied()
            && at <= now.instant
        {
            self.alarms.pop_first();
            if let Some(peer) = self.peers.get_mut(&address) {
                peer.alarm = None;
            }
            due.push(address);
        }
        for address in due {
            self.expire(address, now);
        }
    }

    /// Returns what has happened, or is to be done, next.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Ends the association with a peer, and a handshake that is under way.
    pub fn close(&mut self, peer: SocketAddr, now: Moment) {
        let address = fold(peer);
        if let Some(pending) = self.peers.get_mut(&address).and_then(|peer| peer.pending.as_mut()) {
            Self::hang_up(&mut self.events, address, pending, now);
        }
        self.drop_pending(address);
        self.drop_leaving(address);
        if let Some(live) = self.peers.get_mut(&address).and_then(|peer| peer.live.as_mut()) {
            live.engine.close();
            self.settle_live(address, now);
        }
        self.schedule(address, now);
    }

    /// Ends all associations.
    pub fn close_all(&mut self, now: Moment) {
        let all: Vec<SocketAddr> = self.peers.keys().copied().collect();
        for peer in all {
            self.close(peer, now);
        }
    }

    /// Learns that the network says that nobody is at an address. Anyone on the way can say so:
    /// it ends a handshake that we began and that nobody has answered yet, about which it then
    /// returns true, and makes us look whether a peer of an association is still there.
    pub fn unreachable(&mut self, peer: SocketAddr, now: Moment) -> bool {
        let address = fold(peer);
        let Some(peer) = self.peers.get_mut(&address) else { return false };
        match (&mut peer.live, &peer.pending) {
            (Some(live), None) if live.quiet + SUSPICIONS <= now.instant => {
                if live.asked.is_some() && live.watched == SaFields::NONE {
                    live.suspected = true;
                    self.probe(address, now);
                }
                false
            }
            (None, Some(Pending { role: Role::Client { heard: Heard::Nothing, .. }, .. })) => {
                self.drop_pending(address);
                self.schedule(address, now);
                true
            }
            _ => false,
        }
    }

    /// Returns when [`Self::handle_timeout`] is to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Returns how things stand with a peer.
    pub fn standing(&self, peer: SocketAddr) -> Standing {
        match self.peers.get(&fold(peer)) {
            Some(Peer { live: Some(_), .. }) => Standing::Secured,
            Some(Peer { pending: Some(_), .. }) => Standing::Pending,
            _ => Standing::Stranger,
        }
    }

    /// Returns what protects the conversation with a peer, once something does.
    pub fn evidence(&self, peer: SocketAddr) -> Option<&Arc<Evidence>> {
        self.peers.get(&fold(peer))?.live.as_ref().map(|live| &live.evidence)
    }

    /// Has the association with a peer end, with [`HandshakeError::Changed`], rather than be
    /// replaced by another; its keys never change. Returns whether there is one.
    pub fn watch(&mut self, peer: SocketAddr, fields: SaFields) -> bool {
        let live = self.peers.get_mut(&fold(peer)).and_then(|peer| peer.live.as_mut());
        live.map(|live| live.watched = live.watched | fields).is_some()
    }

    /// Returns the peers whose association a newer policy may end: where they are, whom we asked
    /// for if we did, and at which address of ours they arrived.
    pub fn watched(&self) -> Vec<(SocketAddr, Option<Asked>, Option<IpAddr>)> {
        let lives = self.peers.iter().filter_map(|(at, peer)| Some((*at, peer.live.as_ref()?)));
        lives
            .filter(|(_, live)| live.watched.contains(SaFields::MM_SA_ID))
            .map(|(at, live)| (at, live.asked.clone(), live.local))
            .collect()
    }

    /// Judges the peer of a live association once more; one that is not there is no problem.
    ///
    /// # Errors
    ///
    /// Why the association would not be made now.
    pub fn judge_anew(
        &self,
        peer: SocketAddr,
        question: &Question,
        anchors: &TrustAnchors,
        now: Moment,
    ) -> Result<(), HandshakeError> {
        let live = self.peers.get(&fold(peer)).and_then(|peer| peer.live.as_ref());
        live.map_or(Ok(()), |live| live.engine.judge_anew(question, anchors, now.time))
    }

    /// Ends the association with a peer for this reason; what it sent and was not handed out is
    /// lost.
    pub fn abort(&mut self, peer: SocketAddr, why: HandshakeError, now: Moment) {
        let address = fold(peer);
        let live = self.peers.get_mut(&address).and_then(|peer| peer.live.take());
        let Some(mut live) = live else { return };
        live.engine.close();
        loop {
            match live.engine.poll(now) {
                Output::Transmit(datagram) => {
                    let (to, from) = (address, live.local);
                    self.events.push_back(Event::Transmit { to, from, datagram });
                }
                Output::Wait(_) => break,
                _ => {}
            }
        }
        self.events.push_back(Event::Closed { peer: address, error: Some(why) });
        self.schedule(address, now);
    }

    /// Returns how many bytes one datagram to a peer holds.
    pub fn max_datagram_size(&self, peer: SocketAddr) -> Option<usize> {
        self.peers.get(&fold(peer))?.live.as_ref().map(|live| live.engine.max_datagram_size())
    }

    /// Returns the peers that have proved who they are, and those who are about to.
    pub fn peers(&self) -> impl Iterator<Item = (SocketAddr, Standing)> {
        let all = self.peers.keys().map(|address| (*address, self.standing(*address)));
        all.filter(|(_, standing)| *standing != Standing::Stranger)
    }

    /// Returns how many addresses it holds anything for.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Returns whether it holds nothing for anyone.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Returns how many handshakes are under way that others began, with the proofs inside, and with
    /// those who are being told that they are refused.
    pub fn half_open(&self) -> usize {
        self.half_open.len()
    }
}
