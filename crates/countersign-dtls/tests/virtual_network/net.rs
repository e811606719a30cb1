//! A network in memory with bad weather, and the endpoints on it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_core::{
    Admission, Asked, AskedFrom, HandshakeError, KerberosUse, Policy, SecuritySettings, ServerPlan,
    TargetTable,
};
use countersign_dtls::{Arrival, Config, Endpoint, Event, Limits, Side};
use countersign_lab::{Authority, Leaf};

use crate::clock;
use crate::proofs::prover::{Conduct, Prover};

/// What happens to datagrams on the way; chances in percent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    pub(crate) reordering: u64,
    /// Larger ones do not pass.
    pub(crate) mtu: usize,
}

impl Weather {
    pub(crate) fn fair() -> Self {
        Self { loss: 0, duplication: 0, reordering: 0, mtu: 65_535 }
    }
}

/// Chance that can be repeated (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    fn happens(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// An authority, and endpoints that trust it.
pub(crate) struct World {
    pub(crate) authority: Authority,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { authority: Authority::new("test authority") }
    }

    pub(crate) fn config(&self, leaf: Option<Leaf>, mtu: u16) -> Config {
        let credential = leaf.map(|leaf| self.authority.issue(leaf).credential());
        Config::new(&self.authority.anchors(), credential.as_ref(), mtu).unwrap()
    }

    /// One that has no certificate.
    pub(crate) fn client(&self) -> Config {
        self.config(None, Config::DEFAULT_MTU)
    }

    /// One that proves `host/NAME`.
    pub(crate) fn host(&self, name: &str) -> Config {
        self.config(Some(Leaf::new().dns(name)), Config::DEFAULT_MTU)
    }
}

/// What became known to an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Diary {
    pub(crate) delivered: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) secured: Vec<SocketAddr>,
    pub(crate) failed: Vec<(SocketAddr, Side, HandshakeError)>,
    pub(crate) closed: Vec<(SocketAddr, Option<HandshakeError>)>,
}

pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) endpoint: Endpoint,
    pub(crate) diary: Diary,
    pub(crate) admission: Arc<Admission>,
    pub(crate) prover: Prover,
}

/// Hosts, and datagrams on the way between them.
pub(crate) struct Net {
    pub(crate) hosts: Vec<Host>,
    pub(crate) weather: Weather,
    /// Every datagram that was sent: from, to, bytes.
    pub(crate) tape: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// Someone on the way, who changes datagrams.
    pub(crate) on_the_way: Option<Change>,
    /// How many were changed.
    pub(crate) changed: usize,
    flying: BTreeMap<(Instant, usize), (SocketAddr, SocketAddr, Vec<u8>)>,
    dice: Dice,
    count: usize,
}

/// Changes a datagram, and says whether it did.
type Change = Box<dyn FnMut(&mut Vec<u8>) -> bool>;

/// How long a datagram is on the way.
const DELAY: Duration = Duration::from_millis(10);

impl Net {
    pub(crate) fn new(weather: Weather, seed: u64) -> Self {
        let (tape, flying) = (Vec::new(), BTreeMap::new());
        Self {
            hosts: Vec::new(),
            weather,
            tape,
            on_the_way: None,
            changed: 0,
            flying,
            dice: Dice::new(seed),
            count: 0,
        }
    }

    /// Adds a host that admits whoever has a name; the first is 192.0.2.1:1000, and so on.
    pub(crate) fn add(&mut self, config: Config) -> usize {
        self.add_with(config, Limits::default(), "")
    }

    pub(crate) fn add_with(&mut self, config: Config, limits: Limits, policy: &str) -> usize {
        let last = u8::try_from(self.hosts.len() + 1).unwrap();
        let address = SocketAddr::from(([192, 0, 2, last], 1000));
        let policy = Policy::parse(policy, "test").unwrap();
        let admission =
            policy.plan_inbound_datagrams(None, &TargetTable::default(), address, address).unwrap();
        let endpoint = Endpoint::new(config, limits, clock::now().instant).unwrap();
        let admission = Arc::new(admission);
        self.hosts.push(Host {
            address,
            endpoint,
            diary: Diary::default(),
            admission,
            prover: Prover::default(),
        });
        self.hosts.len() - 1
    }

    /// Adds a host that offers proofs as a server, as its policy says, and carries them on in this
    /// way.
    pub(crate) fn add_prover(&mut self, config: Config, policy: &str, conduct: Conduct) -> usize {
        self.add_prover_with(config, Limits::default(), policy, conduct)
    }

    pub(crate) fn add_prover_with(
        &mut self,
        config: Config,
        limits: Limits,
        policy: &str,
        conduct: Conduct,
    ) -> usize {
        let host = self.add_with(config, limits, "");
        let policy = Policy::parse(policy, "test").unwrap();
        let settings = SecuritySettings::default();
        let names = TargetTable::default();
        let address = self.hosts[host].address;
        let Ok(ServerPlan::Tls { admission, .. }) =
            policy.plan_server(Some(&settings), &names, address)
        else {
            panic!("no admission by {policy:?}")
        };
        self.hosts[host].admission = Arc::new(admission);
        self.hosts[host].prover.conduct = conduct;
        host
    }

    /// Connects to another host, and offers it a proof.
    pub(crate) fn offer(&mut self, host: usize, to: usize, name: &str, offer: KerberosUse) {
        let (to, asked) = (self.hosts[to].address, asked(name));
        let now = clock::now();
        self.hosts[host].endpoint.connect_offering(to, asked, offer, None, now).unwrap();
        self.collect(host);
    }

    pub(crate) fn connect(&mut self, host: usize, to: &str, name: &str) {
        let (to, asked) = (to.parse().unwrap(), asked(name));
        self.hosts[host].endpoint.connect(to, asked, clock::now()).unwrap();
        self.collect(host);
    }

    pub(crate) fn send(&mut self, host: usize, to: usize, plain: &[u8]) {
        let to = self.hosts[to].address;
        self.hosts[host].endpoint.send(to, plain, clock::now()).unwrap();
        self.collect(host);
    }

    /// Rings an endpoint's alarm, if it is time.
    pub(crate) fn tick(&mut self, host: usize) {
        let now = clock::now();
        if self.hosts[host].endpoint.next_deadline().is_some_and(|at| at <= now.instant) {
            self.hosts[host].endpoint.handle_timeout(now);
        }
        self.go_on(host);
    }

    /// Goes on with a host's proofs.
    pub(crate) fn go_on(&mut self, host: usize) {
        let Host { endpoint, prover, .. } = &mut self.hosts[host];
        prover.step(endpoint);
        self.collect(host);
    }

    pub(crate) fn sent(&self) -> usize {
        self.tape.len()
    }

    /// Puts a datagram before a host as if it came from anywhere.
    pub(crate) fn inject(&mut self, from: SocketAddr, to: usize, datagram: &[u8]) {
        let host = &mut self.hosts[to];
        let admission = host.admission.clone();
        let admit = move |_| Some(admission.clone());
        let arrival = Arrival { from, to: None };
        host.endpoint.handle_datagram(arrival, datagram, clock::now(), &admit);
        self.collect(to);
    }

    /// Lets the network live until nothing is on the way and `done` says so, or the time is over.
    pub(crate) fn run(&mut self, time: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = clock::now().instant + time;
        loop {
            if done(self) {
                return true;
            }
            let landing = self.flying.first_key_value().map(|((at, _), _)| *at);
            let alarms = self.hosts.iter().filter_map(|host| host.endpoint.next_deadline());
            let thoughts = self.hosts.iter().filter_map(|host| host.prover.wakes());
            let Some(next) = alarms.chain(thoughts).chain(landing).min().filter(|at| *at <= end)
            else {
                clock::jump_to(end);
                return false;
            };
            clock::jump_to(next);
            while let Some(entry) = self.flying.first_entry()
                && entry.key().0 <= clock::now().instant
            {
                let (from, to, datagram) = entry.remove();
                let host = self.hosts.iter().position(|host| host.address == to);
                if let Some(host) = host {
                    self.inject(from, host, &datagram);
                }
            }
            for host in 0..self.hosts.len() {
                self.tick(host);
            }
        }
    }

    /// Loses everything that is on the way.
    pub(crate) fn lose_all(&mut self) {
        self.flying.clear();
    }

    /// Lets everything that is on the way land.
    pub(crate) fn settle(&mut self) {
        self.run(Duration::from_secs(60), |net| net.flying.is_empty());
    }

    /// Runs until both have secured each other.
    pub(crate) fn meet(&mut self, one: usize, other: usize) -> bool {
        let (a, b) = (self.hosts[one].address, self.hosts[other].address);
        self.run(Duration::from_secs(120), |net| {
            net.hosts[one].endpoint.evidence(b).is_some()
                && net.hosts[other].endpoint.evidence(a).is_some()
        })
    }

    pub(crate) fn collect(&mut self, host: usize) {
        while let Some(event) = self.hosts[host].endpoint.poll() {
            let diary = &mut self.hosts[host].diary;
            match event {
                Event::Transmit { to, datagram, .. } => {
                    let from = self.hosts[host].address;
                    self.fly(from, to, datagram);
                }
                Event::Deliver { from, datagram } => diary.delivered.push((from, datagram)),
                Event::Secured { peer } => diary.secured.push(peer),
                Event::Failed { peer, began, error } => diary.failed.push((peer, began, error)),
                Event::Closed { peer, error } => diary.closed.push((peer, error)),
                Event::Prove { proof, peer, began, asked, binding, .. } => {
                    assert_eq!(asked.is_some(), began == Side::Ours);
                    self.hosts[host].prover.begin(proof, peer, began, &binding);
                    self.go_on(host);
                }
                Event::ProofMoves { .. } => self.go_on(host),
                Event::ProofOver { proof } => self.hosts[host].prover.drop_proof(proof),
                event => panic!("{event:?}"),
            }
        }
    }

    fn fly(&mut self, from: SocketAddr, to: SocketAddr, mut datagram: Vec<u8>) {
        self.tape.push((from, to, datagram.clone()));
        if let Some(change) = &mut self.on_the_way {
            self.changed += usize::from(change(&mut datagram));
        }
        if datagram.len() > self.weather.mtu || self.dice.happens(self.weather.loss) {
            return;
        }
        let copies = 1 + usize::from(self.dice.happens(self.weather.duplication));
        for _ in 0..copies {
            let late = self.dice.happens(self.weather.reordering);
            let extra = if late { self.dice.below(60) } else { self.dice.below(3) };
            let at = clock::now().instant + DELAY + Duration::from_millis(extra);
            self.count += 1;
            self.flying.insert((at, self.count), (from, to, datagram.clone()));
        }
    }
}

pub(crate) fn asked(name: &str) -> Asked {
    let from = AskedFrom::Program("0.0.0.0:0".parse().unwrap());
    Asked::Name { name: name.parse().unwrap(), from }
}
