//! Two authorities, their certificates, and servers, for as long as the demo lasts.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, SystemTime};

use countersign::core::{HandshakeError, IdentityRule, TrustRule};
use countersign::identity::{Store, load_credential};
use countersign::{Context, Evidence, Incoming, PeerName, Policy, TcpListener, TcpStream};
use tempfile::TempDir;

use crate::failure::Failure;

/// How long anything may take before the demo gives it up.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Two authorities and what they have issued, in a temporary directory.
#[derive(Debug)]
pub(crate) struct Stage {
    ours: Store,
    theirs: Store,
    directory: TempDir,
}

/// Which authority has issued a certificate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Issuer {
    /// The one that the client believes.
    Ours,
    /// One that nobody here believes.
    Theirs,
}

/// What a server has seen of the one client that it waited for.
#[derive(Debug)]
pub(super) enum Seen {
    /// It was turned away.
    Refused(HandshakeError),
    /// It was served, and sent this; whom the server took it for.
    Served(Vec<u8>, Option<Box<Evidence>>),
}

/// A server for one client.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    seen: Receiver<Result<Seen, Failure>>,
}

impl Stage {
    /// Makes both authorities.
    ///
    /// # Errors
    ///
    /// If there is no place for them.
    pub(crate) fn new() -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("countersign-").tempdir();
        let directory = directory.map_err(Failure::io("make a temporary directory"))?;
        let ours = Store::at(directory.path().join("ours"));
        let theirs = Store::at(directory.path().join("theirs"));
        ours.init()?;
        theirs.init()?;
        Ok(Self { ours, theirs, directory })
    }

    /// Returns a directory that goes with the demo.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the name that every client of the demo asks for.
    pub(crate) fn asked(&self) -> PeerName {
        name("postgres/db1.example.com")
    }

    /// Makes a client that believes our authority and nobody else.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub(crate) fn client(&self) -> Result<Context, Failure> {
        Ok(Context::builder().store(self.ours.clone()).policy(policy()?).build()?)
    }

    /// Starts a server with a new certificate that proves `own`.
    ///
    /// # Errors
    ///
    /// If there can be no certificate, or no port.
    pub(crate) fn server(&self, own: &PeerName) -> Result<Server, Failure> {
        self.server_of(own, Issuer::Ours)
    }

    /// Starts a server with a new certificate of either authority.
    pub(super) fn server_of(&self, own: &PeerName, issuer: Issuer) -> Result<Server, Failure> {
        serve(self.context(own, issuer)?)
    }

    /// Starts a server whose certificate has expired.
    pub(super) fn server_expired(&self, own: &PeerName) -> Result<Server, Failure> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let long_ago = SystemTime::now() - 31 * DAY;
        let issued = self.ours.issue(std::slice::from_ref(own), DAY, long_ago)?;
        let credential = load_credential(&issued.paths.certificate, &issued.paths.key)?;
        let builder = Context::builder().store(self.ours.clone()).credential(credential);
        serve(builder.policy(policy()?).build()?)
    }

    /// Makes a host with a new certificate that proves `own`.
    pub(super) fn context(&self, own: &PeerName, issuer: Issuer) -> Result<Context, Failure> {
        self.context_with(own, issuer, "")
    }

    /// Makes such a host, with more policy.
    pub(super) fn context_with(
        &self,
        own: &PeerName,
        issuer: Issuer,
        policy_text: &str,
    ) -> Result<Context, Failure> {
        let store = match issuer {
            Issuer::Ours => &self.ours,
            Issuer::Theirs => &self.theirs,
        };
        store.issue(
            std::slice::from_ref(own),
            countersign::identity::DEFAULT_VALIDITY,
            SystemTime::now(),
        )?;
        let more = Policy::parse(policy_text, "the demo").map_err(countersign::Error::from)?;
        let policy = policy()?.overlay(more);
        let policy = policy.with_identity(IdentityRule::Store { name: own.clone() });
        Ok(Context::builder().store(store.clone()).policy(policy).build()?)
    }
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it is done with its client.
    pub(super) fn finish(self) -> Result<Seen, Failure> {
        self.seen.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            Err(Failure::io("wait for the server")(std::io::ErrorKind::TimedOut.into()))
        })
    }
}

/// Makes a name of the demo.
pub(super) fn name(text: &'static str) -> PeerName {
    text.parse().expect("the demo writes its names as names")
}

/// Listens on the loopback interface.
pub(super) fn listen(context: &Context) -> Result<TcpListener, Failure> {
    Ok(TcpListener::bind_with(context, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?)
}

/// Starts a thread that serves one client and says what it has seen.
pub(super) fn serve(context: Context) -> Result<Server, Failure> {
    let listener = listen(&context)?;
    let address = listener.local_addr();
    let (done, seen) = mpsc::channel();
    let thread = thread::Builder::new().spawn(move || {
        // Who waits may have given up.
        let _ = done.send(serve_one(&listener));
    });
    thread.map_err(Failure::io("start a thread"))?;
    Ok(Server { address, seen })
}

fn serve_one(listener: &TcpListener) -> Result<Seen, Failure> {
    loop {
        match listener.next_event()? {
            Incoming::Accepted(stream, _) => {
                let evidence = stream.evidence().cloned().map(Box::new);
                let echoed = echo(&stream).map_err(Failure::io("serve the client"))?;
                // The client's last word may come after our own.
                drop(stream);
                return Ok(Seen::Served(echoed, evidence));
            }
            Incoming::Refused(refusal) => return Ok(Seen::Refused(refusal.error)),
            _ => {}
        }
    }
}

fn echo(mut stream: &TcpStream) -> std::io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut all = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            count => {
                let piece = buffer.get(..count).unwrap_or_default();
                all.extend_from_slice(piece);
                stream.write_all(piece)?;
            }
        }
    }
    match stream.shutdown(Shutdown::Write) {
        // The client has ended, and need not have waited for us.
        Err(error) if error.kind() != std::io::ErrorKind::NotConnected => Err(error),
        _ => Ok(all),
    }
}

/// The demo believes its own authorities only, and is not patient.
fn policy() -> Result<Policy, Failure> {
    let mut trust = TrustRule::default();
    trust.store = true;
    let text = "limits = { handshake-timeout-ms = 5000, connect-timeout-ms = 5000 }";
    let policy = Policy::parse(text, "the demo").map_err(countersign::Error::from)?;
    Ok(policy.with_trust(trust))
}
