//! Acting with the rights of a peer: real accounts in a private user database, real files, and
//! every way in which the identity could be kept or get out.

#[path = "../world/mod.rs"]
mod world;

mod accounts;
mod children;
mod endings;
mod files;
mod kerberos;
mod neighbours;
mod sockets;
mod threads;

use std::sync::LazyLock;

use countersign::core::{Evidence, Mechanism, PeerName, Proof, ProvedPeer, SessionId, Timestamp};
use countersign::rights::PeerToken;
use countersign::{Context, Policy};
use countersign_lab::Authority;

/// Rules that reach every account of the stage.
const RULES: &str = "
[[account]]
peer = \"{user}@EXAMPLE.COM\"
account = \"{user}\"
[[account]]
peer = \"chief@EXAMPLE.ORG\"
account = \"root\"
[[account]]
peer = \"guest@EXAMPLE.ORG\"
account = \"daemon2\"
[[account]]
peer = \"toor@EXAMPLE.ORG\"
account = \"toor\"
[[account]]
peer = \"spiffe://prod/user/{name}\"
account = \"{name}\"
lowest-uid = 900
[[account]]
peer = \"host/{machine}.example.com\"
account = \"{machine}\"
";

/// Reads no file, so that it can be made whoever the thread is.
fn context(policy: &str) -> Context {
    static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("nobody's"));
    let builder = Context::builder().policy(Policy::parse(policy, "p").unwrap());
    builder.anchors(AUTHORITY.anchors()).build().unwrap()
}

/// What a connection knows of a peer that has proved these names.
fn evidence(names: &[&str]) -> Evidence {
    let session = SessionId::from_exported([7; 16]);
    let now = Timestamp::from_secs(0);
    let names = names.iter().map(|name| {
        let name: PeerName = name.parse().unwrap();
        let proof = match name {
            PeerName::Service(_) => Proof::CertificateDnsName,
            PeerName::Spiffe(_) => Proof::CertificateSpiffeId,
            _ => Proof::CertificateKerberosName,
        };
        ProvedPeer::vouch(name, proof)
    });
    Evidence::new(Mechanism::Tls13, "suite".to_owned(), "group".to_owned(), session, now).with_peer(
        None,
        names.collect(),
        None,
    )
}

/// The token of a peer with this name, under [`RULES`].
fn token(name: &str) -> PeerToken {
    PeerToken::of_peer(&evidence(&[name]), &context(RULES)).unwrap()
}

fn alice() -> PeerToken {
    token("alice@EXAMPLE.COM")
}

const ALICE: (u32, u32, &[u32]) = (2001, 2001, &[2001, 3001, 3002]);
const BOB: (u32, u32, &[u32]) = (2002, 2002, &[2002, 3001]);
