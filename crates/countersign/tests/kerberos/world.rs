//! A realm, a server in it that says what became of each client, and clients.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::mpsc::{self, Receiver};
use std::sync::{LazyLock, OnceLock};
use std::thread;
use std::time::Duration;

use countersign::core::{HandshakeError, KerberosFailure, Policy};
use countersign::{Context, Error, Evidence, Incoming, TcpListener, TcpStream};
use countersign_lab::{Authority, Issued, Kdc, Realm, within};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const SERVICE: &str = "postgres/db1.example.test";
/// Another service with the same keytab, on another host.
pub(crate) const OTHER: &str = "HTTP/web.example.test";

/// Everyone who shows a certificate shows one of this authority, and believes it.
pub(crate) static ROOT: LazyLock<Authority> = LazyLock::new(|| Authority::new("root"));

/// Runs a test in a realm that has in it: alice and bob, with tickets in the caches of these names;
/// the services above, with keytabs `db1` and `both`; and a host.
pub(crate) fn in_realm(body: impl FnOnce(&Realm)) {
    within(|| Realm::clone(shared()), body);
}

/// One KDC serves all tests of this program, and ends with it.
fn shared() -> &'static Realm {
    static KDC: OnceLock<Kdc> = OnceLock::new();
    KDC.get_or_init(|| {
        let kdc = Kdc::start();
        populate(&kdc);
        kdc
    })
}

/// Starts a realm of the test's own, with the same in it.
pub(crate) fn in_own_realm(more: impl FnOnce(&Kdc), body: impl FnOnce(&Realm)) {
    let mut kdc = None;
    within(
        || {
            let own = kdc.insert(Kdc::start());
            populate(own);
            more(own);
            Realm::clone(own)
        },
        body,
    );
}

fn populate(kdc: &Kdc) {
    kdc.add(&["alice", "bob", SERVICE, OTHER, "host/laptop.example.test"]);
    kdc.keytab("db1", &[SERVICE]);
    kdc.keytab("both", &[SERVICE, OTHER]);
    kdc.keytab("laptop", &["host/laptop.example.test"]);
    kdc.ticket("alice", "alice", &[]);
    kdc.ticket("bob", "bob", &[]);
}

pub(crate) fn policy(text: &str) -> Policy {
    Policy::parse(text, "test").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A context that shows no certificate.
pub(crate) fn context(text: &str) -> Context {
    Context::builder().policy(policy(text)).anchors(ROOT.anchors()).build().unwrap()
}

/// A context that shows this certificate.
pub(crate) fn showing(text: &str, issued: &Issued) -> Context {
    let builder = Context::builder().policy(policy(text)).anchors(ROOT.anchors());
    builder.credential(issued.credential()).build().unwrap()
}

/// Policy of a server with the keytab `db1`, and what else the test wants in `[kerberos]`, or after.
pub(crate) fn serving(realm: &Realm, more: &str) -> String {
    serving_from(&realm.file("db1"), more)
}

pub(crate) fn serving_from(keytab: &str, more: &str) -> String {
    let more = if more.contains("server =") {
        more.to_owned()
    } else {
        format!("server = 'prefer'\n{more}")
    };
    let services = if more.contains("services =") {
        String::new()
    } else {
        format!("services = ['{SERVICE}']\n")
    };
    format!("[kerberos]\nkeytab = '{keytab}'\n{services}{more}")
}

/// Policy of a client with the tickets of this cache.
pub(crate) fn asking(realm: &Realm, cache: &str, more: &str) -> String {
    let more = if more.contains("client =") {
        more.to_owned()
    } else {
        format!("client = 'require'\n{more}")
    };
    format!("[kerberos]\ncache = 'FILE:{}'\n{more}", realm.file(cache))
}

/// A server that echoes, and says what became of each client.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Receiver<Result<Evidence, HandshakeError>>,
}

impl Server {
    pub(crate) fn start(context: &Context) -> Self {
        let listener = TcpListener::bind_with(context, "127.0.0.1:0").unwrap();
        let address = listener.local_addr();
        let (say, seen) = mpsc::channel();
        thread::spawn(move || {
            while let Ok(incoming) = listener.next_event() {
                let became = match incoming {
                    Incoming::Accepted(stream, _) => {
                        let evidence = stream.evidence().expect("never in clear").clone();
                        thread::spawn(move || {
                            let _ = std::io::copy(&mut &stream, &mut &stream);
                            let _ = stream.shutdown(Shutdown::Write);
                        });
                        Ok(evidence)
                    }
                    Incoming::Refused(refusal) => Err(refusal.error),
                    other => panic!("{other:?}"),
                };
                let _ = say.send(became);
            }
        });
        Self { address, seen }
    }

    /// Returns what became of the next client.
    #[track_caller]
    pub(crate) fn saw(&self) -> Result<Evidence, HandshakeError> {
        self.seen.recv_timeout(PATIENCE).expect("a client came")
    }

    /// Returns what became of the next client, whenever it comes.
    pub(crate) fn saw_some(&self) -> Result<Evidence, HandshakeError> {
        self.seen.recv().expect("the server goes on")
    }

    /// Returns whether nobody came so far.
    pub(crate) fn saw_nobody(&self) -> bool {
        self.seen.recv_timeout(Duration::from_millis(50)).is_err()
    }

    pub(crate) fn meet(&self, client: &Context, name: &str) -> Result<TcpStream, Error> {
        TcpStream::connect_with(client, self.address, &name.parse().unwrap())
    }
}

/// Sends something and reads it back.
#[track_caller]
pub(crate) fn round_trip(mut stream: &TcpStream) {
    stream.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
}

/// Returns why Kerberos failed.
#[track_caller]
pub(crate) fn failure<T>(result: Result<T, Error>) -> KerberosFailure {
    match result {
        Err(Error::Handshake { source: HandshakeError::Kerberos(failure), .. })
        | Err(Error::Kerberos(failure)) => failure,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it worked"),
    }
}

/// Returns who proved to be whom.
pub(crate) fn peer(evidence: &Evidence) -> String {
    let peer = evidence.peer().expect("the peer has a name");
    format!("{} by {}", peer.name(), peer.proof())
}
