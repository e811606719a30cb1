//! `serve`: authenticated clients, each handed to a service on a thread of its own.

use std::io;
use std::thread;
use std::time::Duration;

use countersign::rights::may_impersonate;
use countersign::{Context, Error, Incoming, TcpListener};

use super::datagrams;
use super::host;
use super::join::keep_alive;
use super::service;
use super::slots::Slots;
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::{Address, Carried, Rights, Serve, Service};

/// Listens and serves, for ever or once.
///
/// # Errors
///
/// If it cannot listen (any more); with `--once` also what went wrong with the client.
pub(super) fn run(request: &Serve, output: &Output) -> Result<Verdict, Failure> {
    if let Carried::Datagrams(idle) = request.carried {
        return datagrams::serve(request, idle, output);
    }
    if let Service::Program { rights: Rights::OfTheClient, .. } = &request.service {
        // Said now, and not to the first client.
        may_impersonate().map_err(Error::from)?;
    }
    let context = host::context(&request.host)?;
    let listener = listen(&context, &request.listen)?;
    output.listening(listener.local_addr(), &request.name);
    let slots = Slots::new(request.max_connections);
    thread::scope(|scope| {
        loop {
            // Before the next client is taken: at the bound, clients wait.
            let slot = slots.take();
            let (stream, peer) = match listener.next_event() {
                Ok(Incoming::Accepted(stream, peer)) => (stream, peer),
                Ok(Incoming::Refused(refusal)) => {
                    let (peer, source) = (refusal.peer, refusal.error);
                    output.refused(peer, &Error::Handshake { peer, source }.into());
                    continue;
                }
                Ok(_) => continue,
                Err(Error::Io { source, .. }) if is_exhausted(&source) => {
                    output.warning(&format!("cannot accept for now: {source}"));
                    thread::sleep(PAUSE);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            keep_alive(&stream);
            output.accepted(peer, stream.evidence());
            let context = &context;
            let serve = move || service::serve(&request.service, stream, peer, context, output);
            if request.is_once {
                return serve().map(|()| Verdict::AsExpected);
            }
            let spawned = thread::Builder::new().spawn_scoped(scope, move || {
                let _slot = slot;
                if let Err(why) = serve() {
                    output.broken(peer, &why);
                }
            });
            if let Err(error) = spawned {
                output.broken(peer, &Failure::io("start a thread")(error));
            }
        }
    })
}

fn listen(context: &Context, address: &Address) -> Result<TcpListener, Failure> {
    Ok(TcpListener::bind_with(context, address.resolve()?.as_slice())?)
}

/// No descriptors or memory left, which other connections give back (accept(2)).
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// How long to wait for them.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
