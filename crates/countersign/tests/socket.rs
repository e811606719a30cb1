//! The staged socket, rule by rule of SPEC 3 to 7.

mod world;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener as PlainListener, TcpStream as Plain};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{
    HandshakeError, Policy, SecurityFlags, SecurityProtocol, SecuritySettings, WsaError,
};
use countersign::{Error, Socket, TcpListener};
use rustix::net::{AddressFamily, SocketType, sockopt};
use world::{World, db1, greeted, socket_to};

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn fresh(world: &World) -> Socket {
    Socket::stream(&world.server(""), any()).unwrap()
}

#[test]
fn spec_4_1_security_is_set_once_and_before_bind() {
    let world = World::new();
    let mut socket = fresh(&world);
    socket.set_security(None).unwrap();
    assert_eq!(socket.set_security(None).unwrap_err().wsa(), WsaError::Inval);
    let mut bound = fresh(&world);
    bound.bind(any()).unwrap();
    assert_eq!(bound.set_security(None).unwrap_err().wsa(), WsaError::Inval);
}

#[test]
fn spec_4_4_ipsec_is_refused_where_the_host_has_none_and_changes_nothing() {
    let mut socket = fresh(&World::new());
    for protocol in [SecurityProtocol::Ipsec, SecurityProtocol::Ipsec2] {
        let ipsec = SecuritySettings::new(protocol, SecurityFlags::NONE).unwrap();
        assert_eq!(socket.set_security(Some(ipsec)).unwrap_err().wsa(), WsaError::OpNotSupp);
    }
    socket.set_security(None).unwrap();
}

#[test]
fn spec_4_5_guaranteed_encryption_is_what_tls_gives() {
    let world = World::new();
    let address = world.echo_server();
    let guarantee =
        SecuritySettings::new(SecurityProtocol::Default, SecurityFlags::GUARANTEE_ENCRYPTION);
    let mut socket = socket_to(&world.client(), address, Some(guarantee.unwrap()));
    socket.connect(address).unwrap();
    let flags = socket.query().unwrap().flags();
    assert!(flags.contains(countersign::core::InfoFlags::CONNECTION_ENCRYPTED));
}

/// Whether another socket, made shareable, can take the address.
fn another_can_share(address: SocketAddr) -> bool {
    let other = || -> std::io::Result<OwnedFd> {
        let other = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        sockopt::set_socket_reuseaddr(&other, true)?;
        sockopt::set_socket_reuseport(&other, true)?;
        rustix::net::bind(&other, &address)?;
        rustix::net::listen(&other, 1)?;
        Ok(other)
    };
    other().is_ok()
}

#[test]
fn spec_4_8_the_port_is_taken_exclusively() {
    let mut socket = fresh(&World::new());
    socket.set_security(None).unwrap();
    socket.bind(any()).unwrap();
    let address = socket.local_addr().unwrap();
    assert!(!another_can_share(address), "while it is bound");
    socket.listen(4).unwrap();
    assert!(!another_can_share(address), "while it listens");
    let wildcard = SocketAddr::from(([0, 0, 0, 0], address.port()));
    assert!(!another_can_share(wildcard), "nor by a wider address");
    let mut second = fresh(&World::new());
    let error = second.bind(address).and_then(|()| second.listen(4)).unwrap_err();
    assert_eq!(error.wsa(), WsaError::AddrInUse, "{error}");
    drop(socket);
    assert!(another_can_share(address), "the instrument can say yes");
}

#[test]
fn spec_4_8_a_server_restarts_over_its_old_connections_and_is_exclusive_again() {
    let world = World::new();
    let listener = world.listener("");
    let address = listener.local_addr();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        // The side that closes first keeps the port in TIME_WAIT.
        drop(stream);
    });
    let mut client = world.connect(address).unwrap();
    let _ = client.read(&mut [0]);
    server.join().unwrap();
    drop(client);
    let again = TcpListener::bind_with(&world.server(""), address).unwrap();
    assert!(!another_can_share(address));
    drop(again);
}

#[test]
fn spec_4_9_accepted_sockets_inherit_security() {
    let world = World::new();
    let mut listener = fresh(&world);
    listener.set_security(None).unwrap();
    listener.bind(any()).unwrap();
    listener.listen(4).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || listener.accept().unwrap().0);
    let client = world.connect(address).unwrap();
    let accepted = server.join().unwrap();
    assert!(accepted.query().unwrap().evidence().is_some());
    drop(client);
}

#[test]
fn spec_5_1_names_replace_each_other_and_the_zero_address_means_anyone() {
    let world = World::new();
    let address = world.echo_server();
    let mut socket = Socket::stream(&world.client(), address).unwrap();
    let zero = "0.0.0.0:0".parse().unwrap();
    socket.set_peer_target_name(zero, "wrong.test".parse().unwrap()).unwrap();
    socket.set_peer_target_name(zero, db1()).unwrap();
    socket.connect(address).unwrap();
    let error = socket.set_peer_target_name(zero, db1()).unwrap_err();
    assert_eq!(error.wsa(), WsaError::IsConn);
    assert_eq!(socket.delete_peer_target_name(zero).unwrap_err().wsa(), WsaError::IsConn);
    assert_eq!(socket.set_security(None).unwrap_err().wsa(), WsaError::IsConn);
    assert_eq!(socket.connect(address).unwrap_err().wsa(), WsaError::IsConn);
}

#[test]
fn spec_5_2_the_most_specific_name_counts_also_for_mapped_addresses() {
    let world = World::new();
    let address = world.echo_server();
    let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", address.port()).parse().unwrap();
    let mut socket = Socket::stream(&world.client(), mapped).unwrap();
    let any_host = SocketAddr::from(([0, 0, 0, 0], address.port()));
    socket.set_peer_target_name(any_host, "wrong.test".parse().unwrap()).unwrap();
    socket.set_peer_target_name(address, db1()).unwrap();
    socket.connect(mapped).unwrap();
}

#[test]
fn spec_5_4_a_name_alone_secures() {
    let world = World::new();
    let address = world.echo_server();
    let mut socket = Socket::stream(&world.client(), address).unwrap();
    socket.set_peer_target_name(address, db1()).unwrap();
    socket.connect(address).unwrap();
    assert!(socket.query().unwrap().evidence().is_some());
}

#[test]
fn spec_5_5_no_name_is_refused_at_connect_and_no_packet_leaves() {
    let world = World::new();
    let server = PlainListener::bind(any()).unwrap();
    server.set_nonblocking(true).unwrap();
    let address = server.local_addr().unwrap();
    let mut socket = Socket::stream(&world.client(), address).unwrap();
    socket.set_security(None).unwrap();
    let error = socket.connect(address).unwrap_err();
    assert!(matches!(error, Error::Plan(_)), "{error}");
    assert_eq!(error.wsa(), WsaError::Acces);
    assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody came");
    // The failed call changed nothing: with a name the same socket connects.
    let address = world.echo_server();
    socket.set_peer_target_name(address, db1()).unwrap();
    socket.connect(address).unwrap();
}

#[test]
fn spec_5_5_policy_may_supply_the_name_and_the_flag_may_lift_it() {
    let world = World::new();
    let address = world.echo_server();
    let text = format!("[[target]]\naddress = \"{address}\"\nname = \"postgres/db1.test\"\n");
    let context = world.with_policy(Policy::parse(&text, "test").unwrap());
    let mut socket = Socket::stream(&context, address).unwrap();
    socket.set_security(None).unwrap();
    socket.connect(address).unwrap();

    let mut socket = Socket::stream(&world.client(), address).unwrap();
    socket.set_security(Some(SecuritySettings::default().danger_optional_peer_name())).unwrap();
    socket.connect(address).unwrap();
    let info = socket.query().unwrap();
    let evidence = info.evidence().unwrap();
    assert!(!evidence.is_peer_name_verified(), "and the query says that it was not verified");
}

#[test]
fn spec_5_6_a_name_on_a_listener_says_who_may_connect() {
    let world = World::new();
    let listener = world.listener("");
    let address = listener.local_addr();
    listener
        .set_peer_target_name("127.0.0.1:0".parse().unwrap(), "alice@A".parse().unwrap())
        .unwrap();
    let server = thread::spawn(move || {
        (0..2).map(|_| greeted(listener.next_event().unwrap())).collect::<Vec<_>>()
    });
    for realm in ["A", "B"] {
        let leaf = countersign_lab::Leaf::new().kerberos(realm, &["alice"]);
        let context = world.showing(leaf, "");
        let mut socket = socket_to(&context, address, None);
        socket.connect(address).unwrap();
        let _ = socket.read(&mut [0]);
    }
    let events = server.join().unwrap();
    assert!(matches!(events[0], countersign::Incoming::Accepted(..)));
    let countersign::Incoming::Refused(refusal) = &events[1] else { panic!("{:?}", events[1]) };
    assert!(matches!(refusal.error, HandshakeError::NotAllowed { .. }), "{}", refusal.error);
}

#[test]
fn spec_6_a_deleted_name_is_not_used() {
    let world = World::new();
    let address = world.echo_server();
    let mut socket = Socket::stream(&world.client(), address).unwrap();
    socket.set_peer_target_name(address, "wrong.test".parse().unwrap()).unwrap();
    socket.set_peer_target_name(SocketAddr::from(([127, 0, 0, 1], 0)), db1()).unwrap();
    socket.delete_peer_target_name("192.0.2.9:9".parse().unwrap()).unwrap();
    socket.delete_peer_target_name(address).unwrap();
    socket.connect(address).unwrap();
}

#[test]
fn spec_7_query_needs_a_connection_and_a_failure_keeps_its_reason() {
    let world = World::new();
    let address = world.echo_server();
    let mut socket = Socket::stream(&world.client(), address).unwrap();
    assert_eq!(socket.query().unwrap_err().wsa(), WsaError::NotConn);
    socket.set_peer_target_name(address, "wrong.test".parse().unwrap()).unwrap();
    assert!(socket.connect(address).is_err());
    assert_eq!(socket.query().unwrap_err().wsa(), WsaError::NotConn);
    assert!(matches!(socket.failure(), Some(HandshakeError::WrongPeer { .. })));
    assert_eq!(socket.connect(address).unwrap_err().wsa(), WsaError::Inval, "it is used up");
}

#[test]
fn connect_and_handshake_have_their_time() {
    let world = World::new();
    let silent = PlainListener::bind(any()).unwrap();
    let address = silent.local_addr().unwrap();
    let mut socket = socket_to(&world.client(), address, None);
    socket.set_timeouts(None, Some(Duration::from_millis(100)));
    let start = Instant::now();
    let error = socket.connect(address).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(error.wsa(), WsaError::TimedOut, "{error}");
    assert!(matches!(error, Error::Handshake { source: HandshakeError::TimedOut { .. }, .. }));

    // A backlog that is full answers nothing at all.
    let full = PlainListener::bind(any()).unwrap();
    let address = full.local_addr().unwrap();
    rustix::net::listen(&full, 0).unwrap();
    let _fill: Vec<_> =
        (0..2).map(|_| Plain::connect_timeout(&address, Duration::from_millis(200))).collect();
    let mut socket = socket_to(&world.client(), address, None);
    socket.set_timeouts(Some(Duration::from_millis(100)), None);
    let error = socket.connect(address).unwrap_err();
    assert_eq!(error.wsa(), WsaError::TimedOut, "{error}");
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn nobody_there_is_said_so() {
    let world = World::new();
    let address = PlainListener::bind(any()).unwrap().local_addr().unwrap();
    let mut socket = socket_to(&world.client(), address, None);
    let error = socket.connect(address).unwrap_err();
    assert_eq!(error.wsa(), WsaError::ConnRefused);
    assert!(error.hint().contains("nothing listens there"));
}

#[test]
fn a_non_blocking_connect_goes_on_when_its_descriptor_is_ready() {
    let world = World::new();
    let listener = world.listener("");
    let address = listener.local_addr();
    let mut socket = socket_to(&world.client(), address, None);
    socket.set_nonblocking(true).unwrap();
    // Nobody accepts yet, so it cannot come further than this.
    let mut result = socket.connect(address);
    assert!(result.is_err());
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        std::io::copy(&mut &stream, &mut &stream)
    });
    while let Err(error) = &result {
        assert!(error.is_would_block(), "{error}");
        let interest = socket.interest()[0];
        let soon = Some(Instant::now() + Duration::from_secs(5));
        countersign_sys::wait(socket.descriptor().unwrap(), interest, soon).unwrap();
        result = socket.finish_connect();
    }
    assert_eq!(socket.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    socket.set_nonblocking(false).unwrap();
    socket.write_all(b"x").unwrap();
    socket.read_exact(&mut [0]).unwrap();
}

#[test]
fn both_address_families() {
    let world = World::new();
    let listener = TcpListener::bind_with(&world.server(""), "[::1]:0").unwrap();
    let address = listener.local_addr();
    thread::spawn(move || listener.accept().map(|(mut stream, _)| stream.write_all(b"six")));
    let mut stream = world.connect(address).unwrap();
    let mut got = [0; 3];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"six");
}

#[test]
fn spec_6_deleting_the_last_name_does_not_open_a_socket() {
    let world = World::new();
    let address = world.echo_server();
    let mut socket = Socket::stream(&world.client(), address).unwrap();
    socket.set_peer_target_name(address, db1()).unwrap();
    socket.delete_peer_target_name(address).unwrap();
    let error = socket.connect(address).unwrap_err();
    assert!(matches!(error, Error::Plan(_)), "{error}");

    let listener = world.listener("");
    let peer = "127.0.0.1:0".parse().unwrap();
    listener.set_peer_target_name(peer, "alice@A".parse().unwrap()).unwrap();
    listener.delete_peer_target_name(peer).unwrap();
    let address = listener.local_addr();
    let server = thread::spawn(move || listener.next_event().unwrap());
    let mut anonymous = world.connect(address).unwrap();
    assert!(anonymous.read(&mut [0]).is_err());
    assert!(matches!(server.join().unwrap(), countersign::Incoming::Refused(_)));
}

#[test]
fn a_refused_connection_leaves_a_socket_that_is_used_up() {
    let world = World::new();
    let address = PlainListener::bind(any()).unwrap().local_addr().unwrap();
    let mut socket = Socket::stream(&world.client(), address).unwrap();
    assert_eq!(socket.connect(address).unwrap_err().wsa(), WsaError::ConnRefused);
    assert!(socket.finish_connect().is_err());
    assert!(socket.query().is_err());
}

#[test]
fn a_time_beyond_all_clocks_is_for_ever() {
    let world = World::new();
    let address = world.echo_server();
    let mut socket = socket_to(&world.client(), address, None);
    socket.set_timeouts(Some(Duration::MAX), Some(Duration::MAX));
    socket.connect(address).unwrap();
}
