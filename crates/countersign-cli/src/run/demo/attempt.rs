//! What every client of the demo does: connect, send a text, and read it back.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;

use countersign::core::HandshakeError;
use countersign::{Context, Error, Evidence, PeerName, TcpStream};

use super::stage::PATIENCE;
use crate::failure::Failure;

/// The text that must not be seen on the wire.
pub(super) const SECRET: &[u8] = b"this is what the client has to say to the server; ";
/// How often it is sent.
const TIMES: usize = 1000;

/// What came of it.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The text came back whole.
    Echoed(Option<Box<Evidence>>),
    /// There was no connection.
    Refused(HandshakeError),
    /// There was a connection, and something else came back.
    Wrong,
}

/// Connects to `address`, where `asked` must answer, sends the text and reads it back.
///
/// # Errors
///
/// Those of the host; that the peer is not who it must be is none.
pub(crate) fn attempt(
    context: &Context,
    address: SocketAddr,
    asked: &PeerName,
) -> Result<Attempt, Failure> {
    let stream = match TcpStream::connect_with(context, address, asked) {
        Ok(stream) => stream,
        Err(Error::Handshake { source, .. }) => return Ok(Attempt::Refused(source)),
        Err(error) => return Err(error.into()),
    };
    let text = text();
    let returned = thread::scope(|scope| {
        let sender = thread::Builder::new().spawn_scoped(scope, || {
            (&stream).write_all(&text)?;
            stream.shutdown(Shutdown::Write)
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut returned = Vec::new();
        (&stream).read_to_end(&mut returned)?;
        let _ = sender.join();
        Ok(returned)
    });
    let returned = returned.map_err(Failure::io("talk to the server"))?;
    if returned == text {
        Ok(Attempt::Echoed(stream.evidence().cloned().map(Box::new)))
    } else {
        Ok(Attempt::Wrong)
    }
}

/// Returns all that is sent.
pub(super) fn text() -> Vec<u8> {
    SECRET.repeat(TIMES)
}
