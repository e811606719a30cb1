//! Handshakes and what follows them: who is believed, who is let in, what is negotiated, what
//! the evidence says, and what an attacker on the wire can do (nothing but end it).

mod admission;
mod endings;
mod evidence;
mod strangers;
mod trust;
mod wire;

use std::sync::LazyLock;

use countersign_core::HandshakeError;
use countersign_lab::{Authority, Ending, Issued, Leaf, Scene};

const HOST: &str = "db1.example.com";

static ROOT: LazyLock<Authority> = LazyLock::new(|| Authority::new("root"));
static SERVER: LazyLock<Issued> = LazyLock::new(|| ROOT.issue(Leaf::new().dns(HOST)));
static CLIENT: LazyLock<Issued> =
    LazyLock::new(|| ROOT.issue(Leaf::new().kerberos("EXAMPLE.COM", &["alice"])));

/// A server of [`HOST`], and a client without a certificate that asks for it.
fn scene() -> Scene {
    Scene::new(&ROOT).server_shows(&SERVER).asking(HOST)
}

/// The names of the errors of both sides; `ok` where there is none.
fn variants(ending: &Ending) -> [String; 2] {
    let of = |error: Option<&HandshakeError>| error.map_or_else(|| "ok".to_owned(), variant);
    [of(ending.client.as_ref().err()), of(ending.server.as_ref().err())]
}

/// The name of an error's variant.
fn variant(error: &HandshakeError) -> String {
    format!("{error:?}").split([' ', '(']).next().unwrap().to_owned()
}

/// That the peer refused with this alert.
fn refused(alert: &str) -> HandshakeError {
    HandshakeError::RefusedByPeer { alert: alert.to_owned() }
}
