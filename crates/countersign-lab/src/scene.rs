//! What both sides are set up with, so that a test says only what is particular about it.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::{
    Admission, Asked, AskedFrom, PeerName, Policy, SecuritySettings, ServerPlan, TargetTable,
    Timestamp,
};
use countersign_tls::{ClientConfig, Credential, Engine, ServerConfig, TrustAnchors};

use crate::{Authority, Issued, Pair, now};

/// A client and a server before they meet. Both believe one authority, keep an empty policy, and
/// live now, unless it is told otherwise.
#[derive(Clone, Debug)]
pub struct Scene {
    client_policy: Policy,
    client_trusts: TrustAnchors,
    client_shows: Option<Credential>,
    client_named: TargetTable,
    server_policy: Policy,
    server_trusts: TrustAnchors,
    server_shows: Option<Credential>,
    asked: Option<Asked>,
    now: Timestamp,
}

impl Scene {
    /// Where the client of every scene comes from.
    pub const CLIENT: &str = "192.0.2.1:50000";
    /// Where the server of every scene listens.
    pub const SERVER: &str = "192.0.2.2:443";

    /// Starts with two sides that believe `authority`.
    pub fn new(authority: &Authority) -> Self {
        Self {
            client_policy: Policy::default(),
            client_trusts: authority.anchors(),
            client_shows: None,
            client_named: TargetTable::default(),
            server_policy: Policy::default(),
            server_trusts: authority.anchors(),
            server_shows: None,
            asked: None,
            now: now(),
        }
    }

    /// Lets the client ask for this name.
    ///
    /// # Panics
    ///
    /// If it is no name.
    #[must_use]
    pub fn asking(mut self, name: &str) -> Self {
        let name = parse(name);
        self.asked = Some(Asked::Name { name, from: AskedFrom::Program(address(Self::SERVER)) });
        self
    }

    /// Lets the client ask for anyone whom it can believe.
    #[must_use]
    pub fn asking_anyone(mut self) -> Self {
        self.asked = Some(Asked::AnyTrusted);
        self
    }

    /// Gives the client a certificate.
    #[must_use]
    pub fn client_shows(mut self, issued: &Issued) -> Self {
        self.client_shows = Some(issued.credential());
        self
    }

    /// Gives the server a certificate.
    #[must_use]
    pub fn server_shows(mut self, issued: &Issued) -> Self {
        self.server_shows = Some(issued.credential());
        self
    }

    /// Lets the client believe another authority.
    #[must_use]
    pub fn client_trusts(mut self, authority: &Authority) -> Self {
        self.client_trusts = authority.anchors();
        self
    }

    /// Lets the server believe another authority.
    #[must_use]
    pub fn server_trusts(mut self, authority: &Authority) -> Self {
        self.server_trusts = authority.anchors();
        self
    }

    /// Gives the client a policy.
    ///
    /// # Panics
    ///
    /// If the text is no policy.
    #[must_use]
    pub fn client_policy(mut self, text: &str) -> Self {
        self.client_policy = policy(text);
        self
    }

    /// Gives the server a policy.
    ///
    /// # Panics
    ///
    /// If the text is no policy.
    #[must_use]
    pub fn server_policy(mut self, text: &str) -> Self {
        self.server_policy = policy(text);
        self
    }

    /// Lets the program behind the server name who may connect from this address.
    ///
    /// # Panics
    ///
    /// If one is no address, or the other no name.
    #[must_use]
    pub fn server_names_client(mut self, at: &str, name: &str) -> Self {
        self.client_named.insert(address(at), parse(name));
        self
    }

    /// Sets the time.
    #[must_use]
    pub fn at(mut self, secs: u64) -> Self {
        self.now = Timestamp::from_secs(secs);
        self
    }

    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns what clients share.
    pub fn client_config(&self) -> ClientConfig {
        ClientConfig::new(&self.client_policy, &self.client_trusts, self.client_shows.as_ref())
    }

    /// Returns what connections to the server share.
    ///
    /// # Panics
    ///
    /// If the server was given no certificate.
    pub fn server_config(&self) -> ServerConfig {
        let shows = self.server_shows.as_ref().expect("the scene's server shows a certificate");
        ServerConfig::new(&self.server_policy, &self.server_trusts, shows)
    }

    /// Returns whom the client asks for.
    ///
    /// # Panics
    ///
    /// If nobody was asked for.
    pub fn asked(&self) -> Asked {
        self.asked.clone().expect("the scene's client asks for someone")
    }

    /// Returns who may connect.
    ///
    /// # Panics
    ///
    /// If the server's policy has no TLS.
    pub fn admission(&self) -> Arc<Admission> {
        let settings = SecuritySettings::default();
        let listen = address(Self::SERVER);
        match self.server_policy.plan_server(Some(&settings), &self.client_named, listen) {
            Ok(ServerPlan::Tls { admission, .. }) => Arc::new(admission),
            other => panic!("the scene's server has no TLS: {other:?}"),
        }
    }

    /// Makes the client, which offers a proof inside the connection as its policy says of Kerberos.
    ///
    /// # Panics
    ///
    /// If it cannot start.
    pub fn client(&self) -> Engine {
        let offer = self.client_policy.kerberos().client.unwrap_or_default();
        Engine::client_offering(&self.client_config(), self.asked(), offer, self.now)
            .expect("the client starts")
    }

    /// Makes the server.
    ///
    /// # Panics
    ///
    /// If it cannot start.
    pub fn server(&self) -> Engine {
        let peer = address(Self::CLIENT);
        Engine::server(&self.server_config(), self.admission(), peer).expect("the server starts")
    }

    /// Makes both and joins them.
    pub fn pair(&self) -> Pair {
        Pair::new(self.client(), self.server(), self.now)
    }
}

fn parse(name: &str) -> PeerName {
    name.parse().unwrap_or_else(|error| panic!("the test writes a name: {error}"))
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("the test writes an address")
}

fn policy(text: &str) -> Policy {
    Policy::parse(text, "the test's policy").unwrap_or_else(|error| panic!("{error}"))
}
