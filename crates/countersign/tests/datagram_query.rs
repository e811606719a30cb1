//! Queries about peers of a datagram socket, and associations that end when the answer changes.

mod world;

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{QueryTemplate, SaFields, TokenAccess, WsaError};
use countersign::{Context, Error, PeerName, UdpSocket};
use countersign_lab::Leaf;
use world::World;

const PATIENCE: Duration = Duration::from_secs(15);

fn name(text: &str) -> PeerName {
    text.parse().unwrap()
}

fn bound(context: &Context, address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind_with(context, address).unwrap();
    socket.set_read_timeout(Some(PATIENCE));
    socket
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn host(world: &World, name: &str) -> UdpSocket {
    bound(&world.showing(Leaf::new().dns(name), ""), any())
}

/// Runs `talk` while `socket` goes on with handshakes, and returns what it received meanwhile.
fn serving<T: Send>(socket: &UdpSocket, talk: impl FnOnce() -> T + Send) -> (T, Vec<Vec<u8>>) {
    thread::scope(|scope| {
        let talk = scope.spawn(talk);
        socket.set_read_timeout(Some(Duration::from_millis(20)));
        let (mut received, mut buffer) = (Vec::new(), [0; 100]);
        while !talk.is_finished() {
            if let Ok((count, _)) = socket.recv_from(&mut buffer) {
                received.push(buffer[..count].to_vec());
            }
        }
        while let Ok((count, _)) = socket.recv_from(&mut buffer) {
            received.push(buffer[..count].to_vec());
        }
        socket.set_read_timeout(Some(PATIENCE));
        (talk.join().unwrap(), received)
    })
}

/// A client and a server that know each other, and where each is.
fn pair(world: &World) -> (UdpSocket, SocketAddr, UdpSocket, SocketAddr) {
    let (client, server) = (host(world, "client.test"), host(world, "server.test"));
    let (here, there) = (client.local_addr().unwrap(), server.local_addr().unwrap());
    client.set_peer_target_name(there, name("server.test")).unwrap();
    let (sent, received) = serving(&server, || client.send_to(b"hello", there));
    assert_eq!((sent.unwrap(), received.len()), (5, 1));
    (client, here, server, there)
}

#[track_caller]
fn was_ended(error: &Error) {
    assert_eq!(error.wsa(), WsaError::ConnAborted, "{error}");
    assert!(error.to_string().contains("as the program had asked"), "{error}");
}

#[test]
fn spec_7_1_a_template_with_address_and_port_is_mandatory() {
    let world = World::new();
    let (client, _, _server, there) = pair(&world);
    let refused = |template: QueryTemplate| client.query_with(&template).unwrap_err().wsa();
    assert_eq!(refused(QueryTemplate::default()), WsaError::Inval);
    let mut no_port = there;
    no_port.set_port(0);
    assert_eq!(refused(QueryTemplate::default().at(no_port)), WsaError::Inval);
    let other = SocketAddr::from(([127, 0, 0, 1], 9));
    assert_eq!(refused(QueryTemplate::default().at(other).with_sa_ids()), WsaError::NotConn);
}

#[test]
fn spec_7_2_to_7_4_flags_peers_and_ids() {
    let world = World::new();
    let (client, here, server, there) = pair(&world);
    let flags = client.query_with(&QueryTemplate::default().at(there)).unwrap();
    assert_eq!((flags.flags().bits(), flags.evidence(), flags.ids()), (3, None, None));
    let whole = QueryTemplate::default().with_tokens(TokenAccess::QUERY).with_sa_ids();
    let (mine, theirs) = (whole.at(there), whole.at(here));
    let (mine, theirs) = (client.query_with(&mine).unwrap(), server.query_with(&theirs).unwrap());
    assert_eq!(mine.machine().unwrap().name(), &name("server.test"));
    assert_eq!(theirs.machine().unwrap().name(), &name("client.test"));
    assert_eq!(mine.ids(), theirs.ids(), "DTLS 1.2 has one set of keys, and it does not change");
    client.send_to(b"more", there).unwrap();
    server.recv_from(&mut [0; 9]).unwrap();
    assert_eq!(client.query_with(&whole.at(there)).unwrap().ids(), mine.ids());
}

#[test]
fn spec_7_4_the_reason_of_a_failed_handshake_is_kept() {
    let world = World::new();
    let (client, server) = (host(&world, "client.test"), host(&world, "server.test"));
    let there = server.local_addr().unwrap();
    client.set_peer_target_name(there, name("other.test")).unwrap();
    let (sent, received) = serving(&server, || client.send_to(b"x", there));
    assert_eq!(sent.unwrap_err().wsa(), WsaError::Acces);
    assert!(received.is_empty());
    let template = QueryTemplate::default().at(there);
    assert_eq!(client.query_with(&template).unwrap_err().wsa(), WsaError::NotConn);
    let answer = client.query_with(&template.with_sa_ids()).unwrap();
    assert_eq!(answer.flags().bits(), 0);
    let reason = answer.negotiation_error().unwrap();
    assert_eq!(reason.wsa().number(), 10013);
    assert!(reason.to_string().contains("asked for host/other.test"), "{reason}");
}

/// A place on the way, behind which one client after the other has the same address.
struct Doorway {
    address: SocketAddr,
    /// Only what this one sends passes.
    client: Arc<Mutex<Option<SocketAddr>>>,
}

impl Doorway {
    fn to(server: SocketAddr) -> Self {
        let socket = std::net::UdpSocket::bind(any()).unwrap();
        let address = socket.local_addr().unwrap();
        let client = Arc::new(Mutex::new(None));
        let inside = client.clone();
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((count, from)) = socket.recv_from(&mut buffer) {
                let client: Option<SocketAddr> = *inside.lock().unwrap();
                let to = if from == server { client } else { Some(server) };
                if let Some(to) = to.filter(|_| from == server || client == Some(from)) {
                    let _ = socket.send_to(&buffer[..count], to);
                }
            }
        });
        Self { address, client }
    }

    /// Lets a client through, and nobody else from now on.
    fn admit(&self, world: &World) -> UdpSocket {
        let client = host(world, "client.test");
        client.set_peer_target_name(self.address, name("server.test")).unwrap();
        *self.client.lock().unwrap() = Some(client.local_addr().unwrap());
        client
    }
}

/// The peer restarts without a word, with the same certificate, at the same address.
#[test]
fn spec_7_4_another_session_ends_an_association_that_was_asked_to() {
    let world = World::new();
    for fields in [SaFields::NONE, SaFields::MM_SA_ID, SaFields::QM_SA_ID] {
        let server = host(&world, "server.test");
        let door = Doorway::to(server.local_addr().unwrap());
        let client = door.admit(&world);
        let (sent, received) = serving(&server, || client.send_to(b"hello", door.address));
        assert_eq!((sent.unwrap(), received.len()), (5, 1));
        let template = QueryTemplate::default().with_sa_ids().aborting_on(fields).at(door.address);
        let before = server.query_with(&template).unwrap().ids();
        assert!(before.is_some());

        let again = door.admit(&world);
        drop(client);
        again.set_write_timeout(Some(Duration::from_secs(2)));
        let received = serving_until_told(&server, || {
            let _ = again.send_to(b"from another session", door.address);
        });
        if fields == SaFields::NONE {
            assert_eq!(received.unwrap(), b"from another session");
            assert_ne!(server.query_with(&template).unwrap().ids(), before);
            continue;
        }
        was_ended(&received.unwrap_err());
        // Once the program knows, the peer may come back.
        again.set_write_timeout(Some(PATIENCE));
        again.disconnect(door.address);
        let (sent, received) = serving(&server, || again.send_to(b"and again", door.address));
        assert_eq!((sent.unwrap(), received), (9, vec![b"and again".to_vec()]));
        assert_ne!(server.query_with(&template).unwrap().ids(), before);
    }
}

/// Runs `talk` until the server has received something or was told that something ended.
fn serving_until_told(server: &UdpSocket, talk: impl FnOnce() + Send) -> Result<Vec<u8>, Error> {
    thread::scope(|scope| {
        scope.spawn(talk);
        let mut buffer = [0; 100];
        server.recv_from(&mut buffer).map(|(count, _)| buffer[..count].to_vec())
    })
}

#[test]
fn spec_7_4_a_policy_that_does_not_let_the_peer_in_any_more_ends_it() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let rules = home.path().join("policy.toml");
    let allow = |who: &str| format!("[[allow]]\npeers = [\"{who}\"]\n");
    fs::write(&rules, allow("*.test")).unwrap();
    let context = Context::builder()
        .policy_file(rules.clone())
        .anchors(world.authority.anchors())
        .credential(world.authority.issue(Leaf::new().dns("server.test")).credential())
        .build()
        .unwrap();
    let server = bound(&context, any());
    let there = server.local_addr().unwrap();
    let clients = ["watched.test", "free.test"].map(|who| {
        let client = host(&world, who);
        client.set_peer_target_name(there, name("server.test")).unwrap();
        let (sent, received) = serving(&server, || client.send_to(b"hello", there));
        assert_eq!((sent.unwrap(), received.len()), (5, 1));
        client
    });
    let [watched, free] = clients;
    let at = watched.local_addr().unwrap();
    let template = QueryTemplate::default().aborting_on(SaFields::MM_SA_ID).at(at);
    server.query_with(&template).unwrap();
    fs::write(&rules, allow("other.test")).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "it never ended");
        server.set_read_timeout(Some(Duration::from_millis(100)));
        match server.recv_from(&mut [0; 9]) {
            Err(error) if error.is_would_block() => {}
            Err(error) => break error,
            Ok(_) => {}
        }
        let _ = free.send_to(b"x", there);
    };
    was_ended(&error);
    assert!(error.to_string().contains("under the policy as it is now"), "{error}");
    assert!(error.to_string().contains("watched.test"), "{error}");
    assert_eq!(server.query_with(&template).unwrap_err().wsa(), WsaError::NotConn);
    server.query(free.local_addr().unwrap()).unwrap();
}

#[test]
fn spec_7_6_a_query_does_not_wait_for_a_thread_that_receives() {
    let world = World::new();
    let (client, _, _server, there) = pair(&world);
    let client = Arc::new(client);
    client.set_read_timeout(None);
    let receiver = client.clone();
    thread::spawn(move || receiver.recv_from(&mut [0; 9]).map(drop));
    thread::sleep(Duration::from_millis(100));
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        for fields in [SaFields::NONE, SaFields::MM_SA_ID, SaFields::QM_SA_ID] {
            let template = QueryTemplate::default().with_sa_ids().aborting_on(fields).at(there);
            for _ in 0..1000 {
                client.query_with(&template).unwrap();
            }
        }
        done.send(())
    });
    is_done.recv_timeout(Duration::from_secs(5)).unwrap();
}

/// What is meant for one peer does not go to another who takes over its address at that moment.
#[test]
fn an_answer_goes_to_the_session_that_it_is_for_or_to_nobody() {
    let world = World::new();
    let server = host(&world, "server.test");
    let address = server.local_addr().unwrap();
    let (mut at, mut before) = (any(), None);
    for who in ["first.test", "second.test"] {
        let client = bound(&world.showing(Leaf::new().dns(who), ""), at);
        let from = client.local_addr().unwrap();
        at = from;
        client.set_peer_target_name(address, name("server.test")).unwrap();
        let session = thread::scope(|scope| {
            let sends = scope.spawn(|| client.send_to(b"hello", address).unwrap());
            assert_eq!(server.recv_from(&mut [0; 16]).unwrap(), (5, from));
            sends.join().unwrap();
            server.query(from).unwrap().evidence().unwrap().session()
        });
        if let Some(before) = before {
            let error = server.send_within(before, b"for another", from).unwrap_err();
            assert_eq!(error.wsa(), WsaError::NotConn, "{error}");
        }
        server.send_within(session, b"for you", from).unwrap();
        let mut into = [0; 16];
        assert_eq!(client.recv_from(&mut into).unwrap(), (7, address));
        assert_eq!(&into[..7], b"for you");
        before = Some(session);
    }
}
