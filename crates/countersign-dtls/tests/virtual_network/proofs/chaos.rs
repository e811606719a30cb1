//! Everything at once: hosts that greet, hang up and restart in the middle of proofs, an impostor at
//! their addresses, replays, and bad weather.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use countersign_core::KerberosUse;
use countersign_dtls::Config;
use countersign_lab::{Authority, Leaf};

use super::PREFER;
use super::prover::Conduct;
use crate::net::{Dice, Net, Weather, World};

/// Each address belongs to one of them, and only that one can prove its name.
const NAMES: [&str; 3] =
    ["host/one.test@EXAMPLE.COM", "host/two.test@EXAMPLE.COM", "host/three.test@EXAMPLE.COM"];
const MALLORY: &str = "host/mallory.test@EXAMPLE.COM";

fn config() -> Config {
    let nobody = Authority::new("nobody").issue(Leaf::new().dns("some.test"));
    Config::new(&World::new().authority.anchors(), Some(&nobody.credential()), 1400).unwrap()
}

/// Who may come in at whoever is at this address: the two others.
fn policy(at: usize) -> String {
    let others: Vec<_> =
        (0..3).filter(|it| *it != at).map(|it| format!("'{}'", NAMES[it])).collect();
    format!("{PREFER}\n[[allow]]\npeers = [{}]", others.join(", "))
}

/// Which of the addresses it is; programs that have lost theirs are elsewhere, all of them.
fn place(address: SocketAddr) -> Option<usize> {
    match address.ip() {
        IpAddr::V4(ip) if ip.octets()[0] == 10 => Some(ip.octets()[3].into()),
        _ => None,
    }
}

struct Stage {
    net: Net,
    config: Config,
    /// Which host is at each of the addresses.
    actors: [usize; 3],
    dice: Dice,
}

impl Stage {
    fn new(seed: u64, config: &Config) -> Self {
        let mut dice = Dice::new(seed);
        let weather = Weather {
            loss: dice.below(20),
            duplication: dice.below(20),
            reordering: dice.below(40),
            mtu: 1400,
        };
        let mut stage =
            Self { net: Net::new(weather, seed), config: config.clone(), actors: [0; 3], dice };
        stage.actors = std::array::from_fn(|at| stage.enter(at, NAMES[at]));
        stage
    }

    /// Has a new program begin; it takes the address if there was one before.
    fn enter(&mut self, at: usize, name: &'static str) -> usize {
        let bytes = usize::try_from(self.dice.below(4000)).unwrap();
        let thinks = Duration::from_millis(self.dice.below(700));
        let conduct = Conduct::Proves { name, bytes, thinks };
        let fresh = self.net.add_prover(self.config.clone(), &policy(at), conduct);
        let address = SocketAddr::from(([10, 0, 0, u8::try_from(at).unwrap()], 1000));
        for host in &mut self.net.hosts {
            if host.address == address {
                host.address = "198.51.100.1:1".parse().unwrap();
            }
        }
        self.net.hosts[fresh].address = address;
        fresh
    }

    fn act(&mut self) {
        let one = usize::try_from(self.dice.below(3)).unwrap();
        let other = (one + 1 + usize::try_from(self.dice.below(2)).unwrap()) % 3;
        let (from, to) = (self.actors[one], self.actors[other]);
        let peer = self.net.hosts[to].address;
        match self.dice.below(20) {
            0..5 => {
                let asked = NAMES[other].split('@').next().unwrap();
                self.net.offer(from, to, asked, KerberosUse::Require);
            }
            5..14 if self.net.hosts[from].endpoint.evidence(peer).is_some() => {
                let word = self.net.hosts[from].prover.own_name().as_bytes().to_vec();
                // It may be that there is no association any more.
                let now = crate::clock::now();
                let _sent = self.net.hosts[from].endpoint.send(peer, &word, now);
                self.net.collect(from);
            }
            14 => {
                self.net.hosts[from].endpoint.close(peer, crate::clock::now());
                self.net.collect(from);
            }
            15 => {
                let name = if self.dice.below(3) == 0 { MALLORY } else { NAMES[one] };
                self.actors[one] = self.enter(one, name);
            }
            16..18 if !self.net.tape.is_empty() => {
                let at = self.dice.below(self.net.tape.len() as u64);
                let (from, to, datagram) = self.net.tape[usize::try_from(at).unwrap()].clone();
                let host = self.net.hosts.iter().position(|host| host.address == to);
                if let Some(host) = host {
                    self.net.inject(from, host, &datagram);
                }
            }
            _ => {
                let time = Duration::from_millis(1 + self.dice.below(400));
                self.net.run(time, |_| false);
            }
        }
    }

    /// What holds at every moment.
    fn check(&self, seed: u64) {
        for (host, actor) in self.net.hosts.iter().enumerate() {
            for peer in &self.net.hosts {
                let Some(evidence) = actor.endpoint.evidence(peer.address) else { continue };
                let Some(at) = place(peer.address) else { continue };
                let proved = evidence.names()[0].name().to_string();
                assert_eq!(proved, NAMES[at], "seed {seed}: host {host} believed another");
            }
            for (from, word) in &actor.diary.delivered {
                let Some(at) = place(*from) else { continue };
                assert_eq!(word, NAMES[at].as_bytes(), "seed {seed}: host {host} heard another");
            }
            let half_open = actor.endpoint.half_open();
            assert!(half_open <= 2 * actor.endpoint.len(), "seed {seed}: {half_open} tickets");
        }
    }
}

#[test]
fn nobody_is_taken_for_another_whatever_happens() {
    let config = config();
    let (mut met, mut heard, mut refused) = (0, 0, 0);
    for seed in 0..40 {
        let mut stage = Stage::new(seed, &config);
        for _ in 0..120 {
            stage.act();
            stage.check(seed);
        }
        // Everybody hangs up; nothing is left, and every proof has come to its end.
        stage.net.run(Duration::from_secs(30), |_| false);
        stage.check(seed);
        for host in &mut stage.net.hosts {
            host.endpoint.close_all(crate::clock::now());
        }
        for host in 0..stage.net.hosts.len() {
            stage.net.collect(host);
            let host = &stage.net.hosts[host];
            assert_eq!(host.endpoint.half_open(), 0, "seed {seed}");
            assert!(host.endpoint.is_empty() && host.endpoint.next_deadline().is_none());
            let prover = &host.prover;
            assert_eq!(prover.begun.len(), prover.over.len() + prover.ends.len(), "seed {seed}");
            met += host.diary.secured.len();
            heard += host.diary.delivered.len();
            refused += prover.ends.iter().filter(|(_, end)| end.is_err()).count();
        }
    }
    assert!(
        met > 250 && heard > 150 && refused > 20,
        "{met} met, {heard} heard, {refused} refused"
    );
}
