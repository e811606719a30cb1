//! No byte in clear unless the program asks for it, policy permits it, and the peer cannot do
//! better; and then the query says so. Every case is watched on the wire.

mod world;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as PlainListener, TcpStream as Plain};
use std::thread;
use std::time::Duration;

use countersign::core::{Policy, SecuritySettings};
use countersign::{Context, Socket, TcpListener};
use countersign_lab::{Authority, Leaf};
use world::{MARKER, Tap, World, db1, insecure, socket_to};

/// A server that knows nothing of security.
enum Stranger {
    /// It speaks first.
    Greets,
    /// It echoes what it hears.
    Echoes,
    /// It takes everything and says nothing.
    Silent,
    /// It hangs up.
    HangsUp,
}

fn plain_server(stranger: Stranger) -> SocketAddr {
    let listener = PlainListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut connections = 0;
        for client in listener.incoming() {
            let mut client = client.unwrap();
            connections += 1;
            match stranger {
                Stranger::Greets => client.write_all(b"220 mail.test ESMTP\r\n").unwrap(),
                // It hangs up on what it does not understand, not on everybody.
                Stranger::HangsUp if connections == 1 => continue,
                _ => {}
            }
            let echo = matches!(stranger, Stranger::Echoes);
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = client.read(&mut buffer) {
                    if echo && client.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

fn context(world: &World) -> Context {
    let policy = "[limits]\ninsecure-after-ms = 200\nhandshake-timeout-ms = 2000\nconnect-timeout-ms = 2000\n";
    world.with_policy(Policy::parse(policy, "test").unwrap())
}

/// Connects and tries to say the marker; returns what the connection is, or why there is none.
fn say_marker(
    context: &Context,
    tap: &Tap,
    settings: Option<SecuritySettings>,
) -> Result<&'static str, String> {
    let mut socket = socket_to(context, tap.address, settings);
    socket.connect(tap.address).map_err(|error| error.to_string())?;
    socket.write_all(MARKER).unwrap();
    socket.flush().unwrap();
    thread::sleep(Duration::from_millis(100));
    Ok(if socket.query().unwrap().evidence().is_some() { "secured" } else { "clear" })
}

#[test]
fn without_allow_insecure_no_byte_is_in_clear_whatever_answers() {
    let world = World::new();
    for stranger in [Stranger::Greets, Stranger::Echoes, Stranger::Silent, Stranger::HangsUp] {
        let tap = Tap::before(plain_server(stranger), usize::MAX);
        assert!(say_marker(&context(&world), &tap, None).is_err());
        assert_eq!(tap.sightings(), 0);
    }
}

#[test]
fn spec_4_6_with_allow_insecure_a_peer_that_cannot_is_served_in_clear_and_query_says_so() {
    let world = World::new();
    for stranger in [Stranger::Greets, Stranger::Echoes, Stranger::Silent, Stranger::HangsUp] {
        let tap = Tap::before(plain_server(stranger), usize::MAX);
        assert_eq!(say_marker(&context(&world), &tap, Some(insecure())), Ok("clear"));
        assert!(tap.sightings() > 0, "and the instrument sees it");
    }
}

#[test]
fn with_allow_insecure_a_peer_that_can_is_secured_and_a_wrong_one_refused() {
    let world = World::new();
    let tap = Tap::before(world.echo_server(), usize::MAX);
    assert_eq!(say_marker(&context(&world), &tap, Some(insecure())), Ok("secured"));
    assert_eq!(tap.sightings(), 0);

    // A wrong name, an unknown authority, an expired certificate: it can do security, and fails.
    let other = World { authority: Authority::new("somebody else") };
    for server in [
        world.showing(Leaf::new().dns("db2.test"), ""),
        other.server(""),
        world.showing(Leaf::new().dns("db1.test").valid(1, 2), ""),
    ] {
        let listener = TcpListener::bind_with(&server, "127.0.0.1:0").unwrap();
        let tap = Tap::before(listener.local_addr(), usize::MAX);
        thread::spawn(move || listener.accept());
        let refused = say_marker(&context(&world), &tap, Some(insecure()));
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(tap.sightings(), 0);
    }
}

#[test]
fn spec_4_7_policy_that_requires_security_wins_over_allow_insecure() {
    let world = World::new();
    let strict = Policy::parse("[require]\nsecurity = true\n", "test").unwrap();
    let context = world.with_policy(strict);
    let tap = Tap::before(plain_server(Stranger::Greets), usize::MAX);
    let refused = say_marker(&context, &tap, Some(insecure())).unwrap_err();
    assert!(refused.contains("does not speak TLS: it sent \"220 mail.test ESMTP\""), "{refused}");
    assert_eq!(tap.sightings(), 0);
}

/// A listener that allows cleartext.
fn lax_listener(world: &World, policy: &str) -> TcpListener {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut socket = Socket::stream(&world.server(policy), any).unwrap();
    socket.set_security(Some(insecure())).unwrap();
    socket.bind(any).unwrap();
    socket.listen(16).unwrap();
    socket.into_listener().unwrap()
}

#[test]
fn a_lax_listener_serves_plain_clients_in_clear_and_others_secured() {
    let world = World::new();
    let listener = lax_listener(&world, "[limits]\ninsecure-after-ms = 100\n");
    let address = listener.local_addr();
    let server = thread::spawn(move || {
        (0..3)
            .map(|_| {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(b"hello").unwrap();
                let mut heard = [0; 5];
                stream.read_exact(&mut heard).unwrap();
                (heard, stream.query().unwrap().evidence().is_some())
            })
            .collect::<Vec<_>>()
    });
    let mut speaks = Plain::connect(address).unwrap();
    speaks.write_all(b"plain").unwrap();
    speaks.read_exact(&mut [0; 5]).unwrap();

    let mut listens = Plain::connect(address).unwrap();
    listens.read_exact(&mut [0; 5]).unwrap();
    listens.write_all(b"quiet").unwrap();

    let mut secured = world.connect(address).unwrap();
    secured.read_exact(&mut [0; 5]).unwrap();
    secured.write_all(b"tls13").unwrap();
    assert_eq!(server.join().unwrap(), [(*b"plain", false), (*b"quiet", false), (*b"tls13", true)]);
}

#[test]
fn a_rule_about_names_leaves_no_room_for_clear_clients() {
    let world = World::new();
    let listener = lax_listener(&world, "[[allow]]\npeers = [\"alice@A\"]\n");
    let mut plain = Plain::connect(listener.local_addr()).unwrap();
    plain.write_all(b"let me in, in clear").unwrap();
    assert!(matches!(listener.next_event().unwrap(), countersign::Incoming::Refused(_)));
}

#[test]
fn without_security_a_socket_is_plain_and_says_so() {
    let world = World::new();
    let server = plain_server(Stranger::Echoes);
    let mut socket = Socket::stream(&world.client(), server).unwrap();
    socket.connect(server).unwrap();
    socket.write_all(b"x").unwrap();
    socket.read_exact(&mut [0]).unwrap();
    assert!(socket.query().unwrap().evidence().is_none());

    let strict = world.with_policy(Policy::parse("[require]\nsecurity = true\n", "t").unwrap());
    let mut socket = Socket::stream(&strict, server).unwrap();
    let error = socket.connect(server).unwrap_err();
    assert!(error.to_string().contains("no name is known"), "{error}");
    let _ = db1();
}
