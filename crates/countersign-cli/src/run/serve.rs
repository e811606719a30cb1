//! `serve`: authenticated clients, each handed to a service.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use countersign::rights::may_impersonate;
use countersign::tokio::{Incoming as TunnelIncoming, TcpListener as TunnelListener};
use countersign::{Context, Error, Incoming, Refusal, TcpListener};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

use super::join::keep_alive;
use super::service::Program;
use super::slots::Slots;
use super::tunnel::{self, Called, End, SecuredEnd, Trouble, Tunnels, dial_service, echo, join};
use super::{datagrams, host};
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::{Address, Carried, Rights, Serve, Service};

/// Listens and serves, until it is stopped or once.
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
    match &request.service {
        Service::Echo => tunnels(request, Plain::Echo, context, output),
        Service::Relay(to) => {
            let plain = Plain::Service { to: to.clone(), called: to.to_string() };
            tunnels(request, plain, context, output)
        }
        Service::Program { program, arguments, rights } => {
            let program = Program { program, arguments, rights: *rights };
            programs(request, program, &context, output)
        }
    }
}

/// Serves each client with a program, which has threads of its own.
fn programs(
    request: &Serve,
    program: Program<'_>,
    context: &Context,
    output: &Output,
) -> Result<Verdict, Failure> {
    let listener = TcpListener::bind_with(context, request.listen.resolve()?.as_slice())?;
    output.listening(listener.local_addr(), &request.name);
    let slots = Slots::new(request.max_connections);
    thread::scope(|scope| {
        loop {
            // Before the next client is taken: at the bound, clients wait.
            let slot = slots.take();
            let (stream, peer) = match listener.next_event() {
                Ok(Incoming::Accepted(stream, peer)) => (stream, peer),
                Ok(Incoming::Refused(refusal)) => {
                    refused(refusal, output);
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
            let serve = move || program.serve(&stream, peer, output);
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

/// Serves each client by a task, which one of a few threads carries.
fn tunnels(
    request: &Serve,
    plain: Plain,
    context: Context,
    output: &Output,
) -> Result<Verdict, Failure> {
    let (most, patience) = (request.max_connections, request.patience);
    let handshakes = context.limits().handshakes;
    let addresses = request.listen.resolve()?;
    let (name, is_once) = (request.name.clone(), request.is_once);
    let acceptors = thread::available_parallelism().map_or(1, usize::from).min(ACCEPTING);
    tunnel::run(acceptors, most, handshakes, patience, output, move |tunnels| async move {
        let listener = TunnelListener::bind_with(&context, addresses.as_slice()).await?;
        tunnels.output.listening(listener.local_addr(), &name);
        let behind = Arc::new(Behind { plain, context });
        if is_once {
            let (client, peer) = next_client(&listener, &tunnels).await?;
            tunnels.output.accepted(peer, client.evidence());
            return behind.serve(client, &tunnels).await.map(|()| Verdict::AsExpected);
        }
        // Handshakes advance where somebody accepts, so that there is one on each core.
        let listener = Arc::new(listener);
        let mut accepting = JoinSet::new();
        for _ in 0..acceptors {
            let (listener, behind, tunnels) = (listener.clone(), behind.clone(), tunnels.clone());
            accepting.spawn(async move {
                loop {
                    // Before the next client is taken: at the bound, clients wait.
                    let place = tunnels.place().await;
                    let (mut client, peer) = match next_client(&listener, &tunnels).await {
                        Ok(accepted) => accepted,
                        Err(why) => return why,
                    };
                    tunnels.output.accepted(peer, client.evidence());
                    let behind = behind.clone();
                    tunnels.carry(place, peer, move |tunnels| async move {
                        let served = match client.move_here() {
                            Ok(()) => behind.serve(client, &tunnels).await,
                            Err(why) => Err(why),
                        };
                        served.map_err(Trouble::Broken)
                    });
                    // Others may have been waiting for their turn on this thread.
                    yield_now().await;
                }
            });
        }
        match accepting.join_next().await {
            Some(Ok(why)) => Err(why),
            Some(Err(error)) => Err(Failure::io("accept")(io::Error::other(error))),
            None => Ok(Verdict::AsExpected),
        }
    })
}

/// What clients reach, and what is needed for that.
#[derive(Debug)]
struct Behind {
    plain: Plain,
    context: Context,
}

#[derive(Debug)]
enum Plain {
    Echo,
    Service { to: Address, called: String },
}

impl Behind {
    async fn serve(&self, mut client: SecuredEnd, tunnels: &Tunnels) -> Result<(), Failure> {
        const CLIENT: &str = "the client";
        match &self.plain {
            Plain::Echo => echo(&mut client, CLIENT, tunnels).await,
            Plain::Service { to, called } => {
                let mut service = dial_service(&self.context, to).await?;
                let called = Called { plain: called, secured: CLIENT };
                join(&mut service, &mut client, called, tunnels).await
            }
        }
    }
}

/// Waits for a client that is who it must be, and logs those that are not.
async fn next_client(
    listener: &TunnelListener,
    tunnels: &Tunnels,
) -> Result<(SecuredEnd, SocketAddr), Failure> {
    let output = &tunnels.output;
    loop {
        tunnels.may_write().await;
        match listener.next_event().await {
            Ok(TunnelIncoming::Accepted(stream, peer)) => return Ok((End::new(stream), peer)),
            Ok(TunnelIncoming::Refused(refusal)) => refused(refusal, output),
            Ok(_) => {}
            Err(Error::Io { source, .. }) if is_exhausted(&source) => {
                output.warning(&format!("cannot accept for now: {source}"));
                sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn refused(refusal: Refusal, output: &Output) {
    let (peer, source) = (refusal.peer, refusal.error);
    output.refused(peer, &Error::Handshake { peer, source }.into());
}

/// No descriptors or memory left, or no room in a reactor, which other connections give back
/// (accept(2), epoll_ctl(2)).
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    let all = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::NOSPC];
    errno.is_some_and(|errno| all.contains(&errno))
}

/// How many accept at once at most: each of them is woken for each step of a handshake.
const ACCEPTING: usize = 8;

/// How long to wait for them.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
