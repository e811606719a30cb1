//! `forward`: plain programs reach a secured peer.

use std::net::{SocketAddr, TcpListener as PlainListener, TcpStream as PlainStream};
use std::thread;

use countersign::Context;

use super::join::{End, Side, join, keep_alive};
use super::serve::{PAUSE, is_exhausted};
use super::slots::Slots;
use super::{datagrams, dial, host};
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::{Carried, Dial, Forward};

/// Listens and forwards, for ever.
///
/// # Errors
///
/// If it cannot listen (any more).
pub(super) fn run(request: &Forward, output: &Output) -> Result<Verdict, Failure> {
    if let Carried::Datagrams(idle) = request.carried {
        return datagrams::forward(request, idle, output);
    }
    let context = host::context(&request.host)?;
    dial::warn(&context, &request.dial, output);
    let doing = || format!("listen on {}", request.listen);
    let listener = PlainListener::bind(request.listen.resolve()?.as_slice());
    let listener = listener.map_err(Failure::io(doing()))?;
    let local = listener.local_addr().map_err(Failure::io(doing()))?;
    warn_of_strangers(local, output);
    output.forwarding(local, &request.dial.address.to_string(), &request.dial.name);
    let slots = Slots::new(request.max_connections);
    thread::scope(|scope| {
        loop {
            let slot = slots.take();
            let (plain, from) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if is_exhausted(&error) => {
                    output.warning(&format!("cannot accept for now: {error}"));
                    thread::sleep(PAUSE);
                    continue;
                }
                // Connections that were gone before they were accepted (accept(2)).
                Err(error) if error.raw_os_error().is_some_and(is_lost) => continue,
                Err(error) => return Err(Failure::io("accept")(error)),
            };
            let context = &context;
            let spawned = thread::Builder::new().spawn_scoped(scope, move || {
                let _slot = slot;
                match forward(context, &request.dial, &plain, from, output) {
                    Ok(()) => {}
                    Err(Trouble::Broken(why)) => output.broken(from, &why),
                    Err(Trouble::Refused(why)) => output.refused(from, &why),
                }
            });
            if let Err(error) = spawned {
                output.broken(from, &Failure::io("start a thread")(error));
            }
        }
    })
}

/// Says that programs of other hosts reach us in clear.
pub(super) fn warn_of_strangers(local: SocketAddr, output: &Output) {
    if !local.ip().is_loopback() {
        output.warning(&format!(
            "{local} is not on the loopback interface: whoever reaches it has a protected \
             connection from there on, and none before"
        ));
    }
}

enum Trouble {
    /// It was broken off later.
    Broken(Failure),
    /// It never came to a connection.
    Refused(Failure),
}

fn forward(
    context: &Context,
    request: &Dial,
    plain: &PlainStream,
    from: SocketAddr,
    output: &Output,
) -> Result<(), Trouble> {
    let stream = dial::dial(context, request).map_err(|why| {
        // Not a byte, and not an end that could be taken for an empty answer.
        plain.abort();
        Trouble::Refused(why)
    })?;
    output.accepted(from, stream.evidence());
    let _ = plain.set_nodelay(true);
    keep_alive(&stream);
    let here = Side { end: plain, called: "the program" };
    join(here, Side { end: &stream, called: "the peer" }).map_err(Trouble::Broken)
}

fn is_lost(errno: i32) -> bool {
    use rustix::io::Errno;
    [
        Errno::CONNABORTED,
        Errno::INTR,
        Errno::NETDOWN,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::OPNOTSUPP,
        Errno::NETUNREACH,
        Errno::PERM,
    ]
    .iter()
    .any(|lost| lost.raw_os_error() == errno)
}
