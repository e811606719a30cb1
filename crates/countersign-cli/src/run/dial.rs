//! Connects to a peer that must prove its name.

use countersign::core::SecurityFlags;
use countersign::{Context, Error, Socket, TcpStream};

use crate::failure::Failure;
use crate::render::Output;
use crate::request::Dial;

/// Connects; each address in turn until one accepts TCP. A peer that does not prove its name ends
/// the attempt: trying elsewhere would let an attacker choose.
///
/// # Errors
///
/// Those of the library and of the look-up.
pub(super) fn dial(context: &Context, request: &Dial) -> Result<TcpStream, Failure> {
    let mut last = None;
    for address in request.address.resolve()? {
        let mut socket = Socket::stream(context, address)?;
        socket.set_security(Some(request.settings.clone()))?;
        socket.set_peer_target_name(address, request.name.clone())?;
        socket.set_timeouts(request.timeout, request.timeout);
        match socket.connect(address) {
            Ok(()) => return Ok(socket.into_stream()?),
            Err(error @ Error::Io { .. }) => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    let nowhere = || Error::Io {
        doing: format!("connect to {}", request.address),
        source: std::io::ErrorKind::NotFound.into(),
    };
    Err(last.unwrap_or_else(nowhere).into())
}

/// Says which dangers were asked for in vain, since policy forbids them.
pub(super) fn warn(context: &Context, request: &Dial, output: &Output) {
    let policy = context.policy();
    if request.wants_tls12 && !policy.allows_tls12() {
        output.warning("policy requires TLS 1.3, so --danger-allow-tls12 has no effect");
    }
    if request.settings.flags().contains(SecurityFlags::ALLOW_INSECURE) && policy.require().security
    {
        output.warning("policy requires security, so --danger-allow-insecure has no effect");
    }
}
