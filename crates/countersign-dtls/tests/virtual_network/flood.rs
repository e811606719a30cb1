//! Many strangers at once: what they make us hold, and what they make us send.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use countersign_dtls::{Arrival, Endpoint, Event, Limits};

use crate::clock;
use crate::net::{Net, Weather, World, asked};

/// A first hello, as a client sends it.
fn hello(world: &World) -> Vec<u8> {
    let mut net = Net::new(Weather::fair(), 1);
    let client = net.add(world.host("client.test"));
    net.connect(client, "192.0.2.99:1", "one.test");
    net.tape[0].2.clone()
}

/// Bytes of memory in use by this process.
fn memory() -> usize {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Set in the process of a test that has to be alone in it.
const ALONE: &str = "COUNTERSIGN_TEST_ALONE";

/// Runs one test of this program by itself: what it measures belongs to the whole process.
fn alone(name: &str) {
    let program = std::env::current_exe().unwrap();
    let mut command = std::process::Command::new(program);
    let output = command.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_million_forged_addresses_leave_nothing_and_get_less_than_they_sent() {
    if std::env::var_os(ALONE).is_none() {
        return alone(
            "flood::a_million_forged_addresses_leave_nothing_and_get_less_than_they_sent",
        );
    }
    let world = World::new();
    let hello = hello(&world);
    let now = clock::now();
    let mut endpoint =
        Endpoint::new(world.host("one.test"), Limits::default(), now.instant).unwrap();
    let mut flood = |count: u32, from: u32| {
        let mut answered = 0_usize;
        for number in from..from + count {
            let ip = (0x0b00_0000 + number).to_be_bytes();
            let address = SocketAddr::from((ip, u16::try_from(number % 60_000 + 1).unwrap()));
            // A new attempt each time, as a flood would make it.
            let mut hello = hello.clone();
            hello[13 + 12 + 2..][..4].copy_from_slice(&number.to_be_bytes());
            endpoint.handle_datagram(coming(address), &hello, now, &|_| {
                panic!("nobody proved an address")
            });
            while let Some(event) = endpoint.poll() {
                let Event::Transmit { to, datagram, .. } = event else { panic!("{event:?}") };
                assert_eq!(to, address);
                answered += datagram.len();
                assert!(datagram.len() <= hello.len(), "amplified");
            }
        }
        assert!(endpoint.is_empty() && endpoint.next_deadline().is_none());
        answered
    };
    assert!(flood(10_000, 0) > 0);
    let before = memory();
    flood(1_000_000, 10_000);
    // A hundred bytes a stranger would be 100 MB.
    let grown = memory().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes");
}

#[test]
fn half_open_handshakes_are_bounded_in_all_and_for_each_host() {
    let world = World::new();
    let mut limits = Limits::default();
    (limits.half_open, limits.half_open_per_host) = (20, 4);
    let mut net = Net::new(Weather::fair(), 1);
    let server = net.add_with(world.host("one.test"), limits, "");
    let to = net.hosts[server].address;
    // Clients that show a good cookie, and then no more.
    let config = world.host("client.test");
    for number in 0..60_u8 {
        let from = SocketAddr::from(([10, 0, 0, number / 6], 1000 + u16::from(number)));
        greet_with_cookie(&mut net, server, &config, from, to);
        let held = net.hosts[server].endpoint.half_open();
        assert!(held <= 20, "{held}");
        assert!(net.hosts[server].endpoint.len() <= 20);
    }
    assert_eq!(net.hosts[server].endpoint.half_open(), 20);
    net.run(Duration::from_secs(11), |_| false);
    assert!(net.hosts[server].endpoint.is_empty(), "and not for ever");
}

fn greet_with_cookie(
    net: &mut Net,
    server: usize,
    config: &countersign_dtls::Config,
    from: SocketAddr,
    to: SocketAddr,
) {
    let now = clock::now();
    let mut client = Endpoint::new(config.clone(), Limits::default(), now.instant).unwrap();
    client.connect(to, asked("one.test"), now).unwrap();
    for _ in 0..2 {
        while let Some(Event::Transmit { datagram, .. }) = client.poll() {
            net.inject(from, server, &datagram);
        }
        let answers: Vec<_> =
            net.tape.iter().filter(|it| it.1 == from).map(|it| it.2.clone()).collect();
        if let [answer] = &answers[..] {
            client.handle_datagram(coming(to), answer, now, &|_| None);
        }
    }
}

#[test]
fn a_thousand_peers_live_on_one_endpoint() {
    let world = World::new();
    let now = clock::now();
    let config = world.host("client.test");
    let mut net = Net::new(Weather::fair(), 1);
    let server = net.add(world.host("one.test"));
    let to = net.hosts[server].address;
    let mut clients = Vec::new();
    for number in 0..1000_u16 {
        let from = SocketAddr::from(([10, 1, (number >> 8) as u8, number as u8], 1000));
        let mut client = Endpoint::new(config.clone(), Limits::default(), now.instant).unwrap();
        client.connect(to, asked("one.test"), now).unwrap();
        let mut seen = net.tape.len();
        for _ in 0..6 {
            while let Some(event) = client.poll() {
                if let Event::Transmit { datagram, .. } = event {
                    net.inject(from, server, &datagram);
                }
            }
            let answers: Vec<_> = net.tape[seen..].iter().map(|it| it.2.clone()).collect();
            seen = net.tape.len();
            for answer in answers {
                client.handle_datagram(coming(to), &answer, now, &|_| None);
            }
        }
        assert!(client.evidence(to).is_some(), "client {number}");
        clients.push((from, client));
    }
    assert_eq!(net.hosts[server].endpoint.len(), 1000);
    for (number, (from, client)) in clients.iter_mut().enumerate() {
        client.send(to, &number.to_be_bytes(), now).unwrap();
        while let Some(Event::Transmit { datagram, .. }) = client.poll() {
            net.inject(*from, server, &datagram);
        }
        let (who, what) = net.hosts[server].diary.delivered.last().unwrap();
        assert_eq!((who, &what[..]), (&*from, &number.to_be_bytes()[..]));
    }
}

fn coming(address: SocketAddr) -> Arrival {
    Arrival { from: address, to: None }
}
