//! `forward`: plain programs reach a secured peer.

use std::net::{SocketAddr, TcpListener as BlockingListener, TcpStream as PlainStream};
use std::sync::Arc;

use countersign::Context;
use tokio::net::TcpListener as PlainListener;
use tokio::time::sleep;

use super::serve::{PAUSE, is_exhausted};
use super::tunnel::{self, Called, Trouble, Tunnels, arrived, dial_peer, join, travelling};
use super::{datagrams, dial, host};
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::{Carried, Dial, Forward};

/// Connections that wait in the kernel.
const BACKLOG: i32 = 1024;

/// Listens and forwards until it is stopped.
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
    let listener = BlockingListener::bind(request.listen.resolve()?.as_slice());
    let listener = listener.map_err(Failure::io(doing()))?;
    let local = listener.local_addr().map_err(Failure::io(doing()))?;
    // More than the standard library asks for (listen(2) again).
    rustix::net::listen(&listener, BACKLOG).map_err(|errno| Failure::io(doing())(errno.into()))?;
    listener.set_nonblocking(true).map_err(Failure::io(doing()))?;
    warn_of_strangers(local, output);
    let way = Arc::new(Way { context, dial: request.dial.clone() });
    let handshakes = 0; // They are connections already.
    let (most, patience) = (request.max_connections, request.patience);
    tunnel::run(1, most, handshakes, patience, output, |tunnels| async move {
        let listener = PlainListener::from_std(listener).map_err(Failure::io("listen"))?;
        tunnels.output.forwarding(local, &way.dial.address.to_string(), &way.dial.name);
        loop {
            let place = tunnels.place().await;
            tunnels.may_write().await;
            let (plain, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) if is_exhausted(&error) => {
                    tunnels.output.warning(&format!("cannot accept for now: {error}"));
                    sleep(PAUSE).await;
                    continue;
                }
                // Connections that were gone before they were accepted (accept(2)).
                Err(error) if error.raw_os_error().is_some_and(is_lost) => continue,
                Err(error) => return Err(Failure::io("accept")(error)),
            };
            let plain = match travelling(plain) {
                Ok(plain) => plain,
                Err(error) => {
                    tunnels.output.broken(from, &Failure::io("take it")(error));
                    continue;
                }
            };
            let way = Arc::clone(&way);
            tunnels.carry(place, from, move |tunnels| forward(way, plain, from, tunnels));
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

/// Where all connections go.
#[derive(Debug)]
struct Way {
    context: Context,
    dial: Dial,
}

async fn forward(
    way: Arc<Way>,
    plain: PlainStream,
    from: SocketAddr,
    tunnels: Arc<Tunnels>,
) -> Result<(), Trouble> {
    let taken = arrived(plain).map_err(Failure::io("take it"));
    let mut plain = taken.map_err(Trouble::Refused)?;
    // Boxed, so that the memory is given back: a handshake needs four times as much as what follows.
    let dialled = Box::pin(dial_peer(&way.context, &way.dial)).await;
    // Refused, the program gets not a byte, and no end that could be taken for an empty answer.
    let mut secured = dialled.map_err(Trouble::Refused)?;
    tunnels.output.accepted(from, secured.evidence());
    let called = Called { plain: "the program", secured: "the peer" };
    join(&mut plain, &mut secured, called, &tunnels).await.map_err(Trouble::Broken)
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
