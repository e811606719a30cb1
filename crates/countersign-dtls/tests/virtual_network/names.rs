//! Who must prove what, and what those learn who cannot.

use std::time::Duration;

use countersign_core::HandshakeError;
use countersign_dtls::{Config, Limits, Side, Standing};
use countersign_lab::{Authority, Leaf};

use crate::net::{Net, Weather, World};

/// Has a client ask for `name`; returns what both came to.
fn ending(client: Config, server: Config, name: &str, policy: &str) -> (Ending, Ending) {
    let mut net = Net::new(Weather::fair(), 1);
    let client = net.add(client);
    let server = net.add_with(server, Limits::default(), policy);
    net.connect(client, "192.0.2.2:1000", name);
    net.run(Duration::from_secs(5), |_| false);
    let (at_client, at_server) = (net.hosts[server].address, net.hosts[client].address);
    let mut end = |host: usize, peer| {
        let host = &mut net.hosts[host];
        match host.endpoint.standing(peer) {
            Standing::Secured => {
                let evidence = host.endpoint.evidence(peer).unwrap();
                Ok(evidence.peer().map(|it| it.name().to_string()))
            }
            _ => Err(host.diary.failed.pop().map(|(_, _, error)| error)),
        }
    };
    (end(client, at_client), end(server, at_server))
}

type Ending = Result<Option<String>, Option<HandshakeError>>;

#[track_caller]
fn refused(ending: Ending) -> HandshakeError {
    ending.unwrap_err().expect("it says why")
}

#[test]
fn names_of_every_kind_are_proved_as_on_streams() {
    let world = World::new();
    for (leaf, name) in [
        (Leaf::new().dns("db1.test"), "host/db1.test"),
        (Leaf::new().dns("*.test.example"), "host/db1.test.example"),
        (Leaf::new().service("postgres", "db1.test").dns("db1.test"), "postgres/db1.test"),
        (Leaf::new().uri("spiffe://prod/billing"), "spiffe://prod/billing"),
        (Leaf::new().kerberos("TEST", &["alice"]), "alice@TEST"),
    ] {
        let server = world.config(Some(leaf), 1400);
        let (client, server) = ending(world.host("client.test"), server, name, "");
        assert_eq!(client.unwrap().unwrap(), name);
        assert_eq!(server.unwrap().unwrap(), "host/client.test");
    }
}

#[test]
fn a_wrong_name_is_refused_and_the_peer_is_told() {
    let world = World::new();
    let (client, server) =
        ending(world.host("client.test"), world.host("two.test"), "one.test", "");
    assert!(matches!(refused(client), HandshakeError::WrongPeer { .. }));
    assert_eq!(
        refused(server),
        HandshakeError::RefusedByPeer { alert: "bad_certificate".to_owned() }
    );
}

#[test]
fn another_service_on_the_same_host_is_refused() {
    let world = World::new();
    let leaf = Leaf::new().service("web", "db1.test").dns("db1.test");
    let server = world.config(Some(leaf), 1400);
    let (client, _) = ending(world.host("client.test"), server, "postgres/db1.test", "");
    assert!(matches!(refused(client), HandshakeError::WrongPeer { .. }));
}

#[test]
fn strangers_authorities_and_stale_certificates_are_refused_with_their_reason() {
    let world = World::new();
    let evil = World { authority: Authority::new("test authority") };
    let now = countersign_lab::now().as_secs();
    let stale = Leaf::new().dns("one.test").valid(now - 2000, now - 1000);
    let early = Leaf::new().dns("one.test").valid(now + 1000, now + 2000);
    for (server, alert, check) in [
        (evil.host("one.test"), "unknown_ca", is_untrusted as fn(&HandshakeError) -> bool),
        (world.config(Some(stale), 1400), "certificate_expired", is_expired),
        (world.config(Some(early), 1400), "bad_certificate", is_early),
        (
            world.config(Some(Leaf::new().dns("one.test").client_only()), 1400),
            "unsupported_certificate",
            is_for_another_use,
        ),
    ] {
        let (client, server) = ending(world.host("client.test"), server, "one.test", "");
        let client = refused(client);
        assert!(check(&client), "{client}");
        assert_eq!(refused(server), HandshakeError::RefusedByPeer { alert: alert.to_owned() });
    }
}

fn is_untrusted(error: &HandshakeError) -> bool {
    matches!(error, HandshakeError::UntrustedIssuer { .. })
}

fn is_expired(error: &HandshakeError) -> bool {
    matches!(error, HandshakeError::Expired { .. })
}

fn is_early(error: &HandshakeError) -> bool {
    matches!(error, HandshakeError::NotYetValid { .. })
}

fn is_for_another_use(error: &HandshakeError) -> bool {
    matches!(error, HandshakeError::WrongUsage { .. })
}

#[test]
fn clients_without_a_certificate_or_outside_the_gates_are_refused() {
    let world = World::new();
    let (client, server) = ending(world.client(), world.host("one.test"), "one.test", "");
    assert!(matches!(refused(client), HandshakeError::RefusedByPeer { .. }));
    assert_eq!(refused(server), HandshakeError::NoCertificate);

    let gate = "[[allow]]\npeers = [\"host/good.test\"]\n";
    let (client, server) = ending(world.host("bad.test"), world.host("one.test"), "one.test", gate);
    assert!(matches!(refused(client), HandshakeError::RefusedByPeer { .. }));
    assert!(matches!(refused(server), HandshakeError::NotAllowed { .. }));
    let (client, server) =
        ending(world.host("good.test"), world.host("one.test"), "one.test", gate);
    assert!(client.is_ok() && server.is_ok());
}

#[test]
fn anonymous_clients_where_policy_permits_them() {
    let world = World::new();
    let policy = "server.client-certificates = \"request\"";
    let (client, server) = ending(world.client(), world.host("one.test"), "one.test", policy);
    assert!(client.is_ok());
    assert_eq!(server, Ok(None));
    let policy = "server.client-certificates = \"none\"";
    let (_, server) = ending(world.host("c.test"), world.host("one.test"), "one.test", policy);
    assert_eq!(server, Ok(None), "not even asked");
}

#[test]
fn nobody_there_is_a_time_out() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let client = net.add(world.host("client.test"));
    net.connect(client, "192.0.2.77:1000", "one.test");
    net.run(Duration::from_secs(30), |_| false);
    let (_, began, error) = &net.hosts[client].diary.failed[0];
    assert_eq!(*began, Side::Ours);
    assert!(matches!(error, HandshakeError::TimedOut { .. }));
    assert!((3..=8).contains(&net.sent()), "back-off: {} datagrams in 10 s", net.sent());
    assert!(net.hosts[client].endpoint.is_empty());
}

#[test]
fn one_that_is_idle_is_forgotten_and_told() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = (net.add(world.host("client.test")), net.add(world.host("one.test")));
    net.connect(client, "192.0.2.2:1000", "one.test");
    assert!(net.meet(client, server));
    net.run(Duration::from_secs(599), |_| false);
    net.send(client, server, b"still here");
    net.run(Duration::from_secs(599), |_| false);
    assert_eq!(net.hosts[server].endpoint.len(), 1);
    net.run(Duration::from_secs(2), |_| false);
    assert!(net.hosts.iter().all(|host| host.endpoint.is_empty()));
    assert!(net.hosts.iter().any(|host| matches!(host.diary.closed[..], [(_, None)])));
}
