//! Proofs inside associations, by a stand-in for Kerberos.

pub(crate) mod prover;
mod stranger;

mod agreement;
mod chaos;
mod course;
mod floods;
mod handshakes;
mod middle;
mod plans;
mod records;
mod renewal;
mod weather;

use std::time::Duration;

use countersign_core::{Evidence, HandshakeError, KerberosUse, Proof};
use countersign_dtls::Config;
use countersign_lab::{Authority, Leaf};

use self::prover::Conduct;
use self::stranger::Stranger;
use crate::net::{Net, Weather, World};

const HOST: &str = "db1.test";
const ASKED: &str = "postgres/db1.test";
const SERVICE: &str = "postgres/db1.test@EXAMPLE.COM";
const ALICE: &str = "alice@EXAMPLE.COM";
const PREFER: &str = "kerberos.server = 'prefer'";
const REQUIRE: &str = "kerberos.server = 'require'";

/// A client and a server that prove themselves to each other, in fair weather.
struct Scene {
    world: World,
    net: Net,
    client: usize,
    server: usize,
}

/// A certificate as good as self-signed: nobody believes it.
fn nobody() -> Config {
    let nobody = Authority::new("nobody").issue(Leaf::new().dns(HOST));
    let anchors = Authority::new("nobody else").anchors();
    Config::new(&anchors, Some(&nobody.credential()), 1400).unwrap()
}

impl Scene {
    /// The server's certificate proves nothing, and the client has none.
    fn new() -> Self {
        let world = World::new();
        let client = world.client();
        Self::with(world, client, nobody(), PREFER)
    }

    fn with(world: World, client: Config, server: Config, policy: &str) -> Self {
        let mut net = Net::new(Weather::fair(), 1);
        let client = net.add_prover(client, "", Conduct::proves(ALICE));
        let server = net.add_prover(server, policy, Conduct::proves(SERVICE));
        Self { world, net, client, server }
    }

    fn meet(&mut self, offer: KerberosUse) -> bool {
        self.net.offer(self.client, self.server, ASKED, offer);
        self.net.run(Duration::from_secs(30), |net| {
            net.hosts.iter().any(|host| !host.diary.failed.is_empty())
                || net.hosts[1].diary.secured.len() == 1
        });
        self.net.settle();
        self.evidence().is_some()
    }

    fn evidence(&self) -> Option<(&Evidence, &Evidence)> {
        let [client, server] = [self.client, self.server].map(|it| &self.net.hosts[it]);
        let one = client.endpoint.evidence(server.address)?;
        Some((one, server.endpoint.evidence(client.address)?))
    }

    fn failure(&self, host: usize) -> &HandshakeError {
        let diary = &self.net.hosts[host].diary;
        &diary.failed.first().unwrap_or_else(|| panic!("nothing failed: {diary:?}")).2
    }

    fn delivered(&self, host: usize) -> Vec<&[u8]> {
        self.net.hosts[host].diary.delivered.iter().map(|(_, it)| &it[..]).collect()
    }
}

fn proofs(evidence: &Evidence) -> Vec<(String, Proof)> {
    evidence.names().iter().map(|it| (it.name().to_string(), it.proof())).collect()
}

fn ticket(name: &str) -> (String, Proof) {
    (name.to_owned(), Proof::KerberosTicket)
}

#[track_caller]
fn refused_by(error: &HandshakeError, alert: &str) {
    assert_eq!(error, &HandshakeError::RefusedByPeer { alert: alert.to_owned() });
}

/// Where strangers are.
const AT: &str = "203.0.113.7:7000";

/// A server that offers proofs, alone on the net.
fn server(conduct: Conduct) -> Net {
    let mut net = Net::new(Weather::fair(), 1);
    net.add_prover(nobody(), PREFER, conduct);
    net
}

/// The message of the stand-in for a proof.
fn message(name: &str, binding: &[u8; 32]) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap().to_be_bytes();
    let body = [&length[..], name.as_bytes(), binding].concat();
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
}

fn part(number: u32, bytes: &[u8]) -> Vec<u8> {
    [&[1][..], &number.to_be_bytes(), bytes].concat()
}

fn ack(next: u32, beyond: u16) -> Vec<u8> {
    [&[2][..], &next.to_be_bytes(), &beyond.to_be_bytes()].concat()
}

fn data(datagram: &[u8]) -> Vec<u8> {
    [&[0], datagram].concat()
}

fn delivered(net: &Net, host: usize) -> Vec<&[u8]> {
    net.hosts[host].diary.delivered.iter().map(|(_, it)| &it[..]).collect()
}

/// Has a stranger meet the server and prove a name to it, as far as its last word.
fn prove(net: &mut Net, stranger: &mut Stranger) {
    assert!(stranger.meet(net) && stranger.has_agreed());
    stranger.say(net, &part(0, &message(ALICE, &stranger.binding())));
    stranger.listen(net);
    let heard = stranger.heard.iter().any(|it| it.starts_with(&part(0, b"")));
    assert!(heard, "no reply: {:?}", stranger.heard);
    stranger.say(net, &ack(1, 0));
}
