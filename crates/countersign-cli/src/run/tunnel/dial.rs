//! The other end of a tunnel: the secured peer of `forward`, the plain service of `serve`.

use std::io;
use std::net::SocketAddr;

use countersign::tokio::{TcpStream as SecuredStream, looked_at};
use countersign::{Context, Error, Socket};
use tokio::net::TcpStream as PlainStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::end::{End, PlainEnd, SecuredEnd};
use crate::failure::Failure;
use crate::request::{Address, Dial};

/// Connects to the peer that must prove its name; each address in turn until one accepts TCP, as
/// `connect` does.
///
/// # Errors
///
/// Those of the library and of the look-up.
pub(in crate::run) async fn dial_peer(
    context: &Context,
    request: &Dial,
) -> Result<SecuredEnd, Failure> {
    let mut last = None;
    for address in resolve(&request.address).await? {
        let mut socket = Socket::stream(&looked_at(context).await, address)?;
        socket.set_security(Some(request.settings.clone()))?;
        socket.set_peer_target_name(address, request.name.clone())?;
        socket.set_timeouts(request.timeout, request.timeout);
        match SecuredStream::connect_socket(socket, address).await {
            Ok(stream) => return Ok(End::new(stream)),
            Err(error @ Error::Io { .. }) => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    let nowhere = || Error::Io {
        doing: format!("connect to {}", request.address),
        source: io::ErrorKind::NotFound.into(),
    };
    Err(last.unwrap_or_else(nowhere).into())
}

/// Connects to a plain service; each address in turn, within the time that policy gives each.
///
/// # Errors
///
/// Those of connect(2) and of the look-up.
pub(in crate::run) async fn dial_service(
    context: &Context,
    to: &Address,
) -> Result<PlainEnd, Failure> {
    let limit = looked_at(context).await.limits().connect_timeout;
    let mut last = None;
    for address in resolve(to).await? {
        match timeout(limit, PlainStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(End::new(stream)),
            Ok(Err(error)) => last = Some(error),
            Err(_) => last = Some(io::ErrorKind::TimedOut.into()),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::NotFound.into());
    Err(Failure::io(format!("connect to {to}"))(error))
}

/// Looks a name up where that may take its time; a number needs no look-up.
async fn resolve(address: &Address) -> Result<Vec<SocketAddr>, Failure> {
    if let Some(known) = address.known() {
        return Ok(vec![known]);
    }
    let asked = address.clone();
    match spawn_blocking(move || asked.resolve()).await {
        Ok(found) => found,
        Err(error) => Err(Failure::io(format!("look up {address}"))(io::Error::other(error))),
    }
}
