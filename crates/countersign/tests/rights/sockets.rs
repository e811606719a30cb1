//! Impersonation by socket: real connections, and the rules of SPEC 8.

use std::net::SocketAddr;
use std::thread;

use countersign::core::{
    Policy, QueryTemplate, SecurityFlags, SecurityProtocol, SecuritySettings, WsaError,
};
use countersign::rights::{RightsError, TokenKind};
use countersign::{Context, Error, PeerName, Socket, TcpListener, TcpStream, UdpSocket};
use countersign_lab::{Leaf, Seen, on_stage};

use crate::RULES;
use crate::world::{World, db1};

/// A server with [`RULES`], and a connection from a client that shows this certificate.
fn accepted(world: &World, leaf: Option<Leaf>) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind_with(&world.server(RULES), "127.0.0.1:0").unwrap();
    let address = listener.local_addr();
    let server = thread::spawn(move || listener.accept().unwrap().0);
    let client = match leaf {
        Some(leaf) => world.showing(leaf, ""),
        None => world.client(),
    };
    let client = TcpStream::connect_with(&client, address, &db1()).unwrap();
    (client, server.join().unwrap())
}

fn as_alice() -> Leaf {
    Leaf::new().kerberos("EXAMPLE.COM", &["alice"])
}

#[track_caller]
fn refused<T>(outcome: Result<T, Error>, expected: WsaError) {
    match outcome {
        Ok(_) => panic!("was done"),
        Err(error) => assert_eq!(error.wsa(), expected, "{error}"),
    }
}

#[test]
fn a_server_acts_with_the_rights_of_its_client() {
    on_stage("sockets::a_server_acts_with_the_rights_of_its_client", |_| {
        let world = World::new();
        let (_client, server) = accepted(&world, Some(as_alice()));
        let before = Seen::now();
        let seen = server
            .impersonate(|who| {
                assert_eq!(who.account().name(), "alice");
                Seen::now()
            })
            .unwrap();
        assert!(seen.is_only(2001, 2001, &[2001, 3001, 3002]), "{seen:?}");
        assert_eq!(Seen::now(), before);
        let token = server.peer_token().unwrap();
        assert_eq!(token.kind(), TokenKind::User);
        assert!(token.is_impersonable());
        // It outlives the connection.
        drop(server);
        token.impersonate(|_| ()).unwrap();
    });
}

#[test]
fn spec_7_5_the_query_says_whether_somebody_can_act_for_the_peer() {
    on_stage("sockets::spec_7_5_the_query_says_whether_somebody_can_act_for_the_peer", |_| {
        let world = World::new();
        let flags = |stream: &TcpStream| {
            stream.query_with(&QueryTemplate::default()).unwrap().flags().bits()
        };
        let (client, server) = accepted(&world, Some(as_alice()));
        assert_eq!((flags(&server), flags(&client)), (7, 3), "the client has no rules");
        let (_client, server) = accepted(&world, Some(Leaf::new().kerberos("OTHER", &["alice"])));
        assert_eq!(flags(&server), 3, "no rule speaks of it");
        let (_client, server) = accepted(&world, None);
        assert_eq!(flags(&server), 3, "nobody authenticated");
    });
}

#[test]
fn a_user_principal_name_reaches_its_account() {
    on_stage("sockets::a_user_principal_name_reaches_its_account", |_| {
        let world = World::new();
        let (_client, server) =
            accepted(&world, Some(Leaf::new().user_principal("bob@EXAMPLE.COM")));
        let name = server.impersonate(|who| who.account().name().to_owned()).unwrap();
        assert_eq!(name, "bob");
        let (_client, server) = accepted(&world, Some(Leaf::new().dns("u3.example.com")));
        assert!(server.application_token().is_none());
        assert_eq!(server.peer_token().unwrap().kind(), TokenKind::Machine);
        assert_eq!(server.impersonate(|who| who.account().uid()).unwrap(), 4003);
    });
}

#[test]
fn spec_8_1_blocking_secured_sockets_only() {
    on_stage("sockets::spec_8_1_blocking_secured_sockets_only", |_| {
        let world = World::new();
        let (client, server) = accepted(&world, Some(as_alice()));
        server.set_nonblocking(true).unwrap();
        refused(server.impersonate(|_| ()), WsaError::OpNotSupp);
        server.set_nonblocking(false).unwrap();
        server.impersonate(|_| ()).unwrap();
        // The client's side knows a machine for which nobody acts.
        refused(client.impersonate(|_| ()), WsaError::Acces);

        let anonymous = accepted(&world, None).1;
        match anonymous.impersonate(|_| ()) {
            Err(Error::Rights(RightsError::NoName)) => {}
            other => panic!("{other:?}"),
        }

        let clear = clear_stream(&world);
        refused(clear.impersonate(|_| ()), WsaError::OpNotSupp);
    });
}

fn clear_stream(world: &World) -> TcpStream {
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    let accepted = thread::spawn(move || plain.accept().unwrap());
    let mut socket = Socket::stream(&world.client(), address).unwrap();
    socket.connect(address).unwrap();
    drop(accepted.join().unwrap());
    socket.into_stream().unwrap()
}

#[test]
fn spec_3_without_a_connection_there_is_nobody() {
    let world = World::new();
    let address = "127.0.0.1:1".parse().unwrap();
    let mut socket = Socket::stream(&world.client(), address).unwrap();
    refused(socket.impersonate(|_| ()), WsaError::NotConn);
    let settings = SecuritySettings::new(SecurityProtocol::Default, SecurityFlags::NONE).unwrap();
    socket.set_security(Some(settings)).unwrap();
    refused(socket.impersonate(|_| ()), WsaError::NotConn);
    assert!(socket.peer_token().is_none());
}

#[test]
fn spec_8_4_a_datagram_socket_needs_the_address() {
    on_stage("sockets::spec_8_4_a_datagram_socket_needs_the_address", |_| {
        let world = World::new();
        let allow = format!("{RULES}\n[[allow]]\npeers = [\"*\"]\n");
        let server = UdpSocket::bind_with(&world.server(&allow), "127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let client = datagram_client(&world.showing(as_alice(), ""), address, db1());
        let sender = thread::spawn(move || {
            client.send_to(b"hello", address).unwrap();
            client
        });
        let (_, peer) = server.recv_from(&mut [0; 100]).unwrap();
        let _client = sender.join().unwrap();
        refused(server.impersonate(None, |_| ()), WsaError::Fault);
        refused(
            server.impersonate(Some("127.0.0.1:9".parse().unwrap()), |_| ()),
            WsaError::NotConn,
        );
        let seen = server.impersonate(Some(peer), |_| Seen::now()).unwrap();
        assert!(seen.is_only(2001, 2001, &[2001, 3001, 3002]), "{seen:?}");
        server.set_nonblocking(true);
        refused(server.impersonate(Some(peer), |_| ()), WsaError::OpNotSupp);
        server.set_nonblocking(false);
        assert_eq!(server.peer_token(peer).unwrap().principal().to_string(), "alice@EXAMPLE.COM");
        assert!(server.machine_token(peer).is_none());
    });
}

fn datagram_client(context: &Context, address: SocketAddr, name: PeerName) -> UdpSocket {
    let client = UdpSocket::bind_with(context, "127.0.0.1:0").unwrap();
    client.set_peer_target_name(address, name).unwrap();
    client
}

#[test]
fn the_policy_in_force_decides_also_for_old_connections() {
    on_stage("sockets::the_policy_in_force_decides_also_for_old_connections", |stage| {
        let world = World::new();
        let file = stage.join("policy.toml");
        std::fs::write(&file, "").unwrap();
        let context = Context::builder()
            .policy_file(&file)
            .policy(Policy::default())
            .anchors(world.authority.anchors())
            .credential(
                world.authority.issue(Leaf::new().service("postgres", "db1.test")).credential(),
            )
            .build()
            .unwrap();
        let listener = TcpListener::bind_with(&context, "127.0.0.1:0").unwrap();
        let address = listener.local_addr();
        let server = thread::spawn(move || listener.accept().unwrap().0);
        let client = world.showing(as_alice(), "");
        let _client = TcpStream::connect_with(&client, address, &db1()).unwrap();
        let server = server.join().unwrap();
        assert!(matches!(
            server.impersonate(|_| ()),
            Err(Error::Rights(RightsError::NoRule { .. }))
        ));
        std::fs::write(&file, RULES).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while server.impersonate(|_| ()).is_err() {
            assert!(std::time::Instant::now() < deadline, "the rule was never taken");
            thread::sleep(std::time::Duration::from_millis(100));
        }
    });
}
