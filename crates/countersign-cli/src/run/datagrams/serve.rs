//! `serve --udp`: datagrams of authenticated clients, sent back or to a plain UDP service.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket as PlainSocket};
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::SessionId;
use countersign::{Error, PeerName, Received, Refusal, UdpSocket};

use super::LARGEST;
use super::lane::{Far, Lanes, Passed, TICK};
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::{Address, Idle, Serve, Service};
use crate::run::host;

/// Serves for ever.
///
/// # Errors
///
/// If it cannot listen (any more).
pub(in crate::run) fn serve(
    request: &Serve,
    Idle(idle): Idle,
    output: &Output,
) -> Result<Verdict, Failure> {
    let context = host::context(&request.host)?;
    let socket = UdpSocket::bind_with(&context, request.listen.resolve()?.as_slice())?;
    // A socket that takes any port would tell of it only when the first client comes.
    socket.check_keys()?;
    output.listening(socket.local_addr()?, &request.name);
    let mut known = Known::new(request.max_connections, idle);
    match &request.service {
        Service::Relay(to) => relay(&socket, to, request.max_connections, idle, &mut known, output),
        _ => echo(&socket, &mut known, output),
    }
}

fn echo(socket: &UdpSocket, known: &mut Known, output: &Output) -> Result<Verdict, Failure> {
    let mut buffer = vec![0; LARGEST];
    loop {
        let Some((count, from)) = next(socket, &mut buffer, output)? else { continue };
        let Some(_) = known.greet(socket, from, output) else { continue };
        if let Err(error) = socket.send_to(buffer.get(..count).unwrap_or_default(), from) {
            output.broken(from, &error.into());
        }
    }
}

fn relay(
    socket: &UdpSocket,
    to: &Address,
    most: u32,
    idle: Duration,
    known: &mut Known,
    output: &Output,
) -> Result<Verdict, Failure> {
    // Whoever comes back as somebody else from the same address has a lane of his own.
    let lanes: Lanes<Client> = Lanes::new(most);
    let mut buffer = vec![0; LARGEST];
    let mut is_full = false;
    thread::scope(|scope| {
        loop {
            let (count, from) = match next(socket, &mut buffer, output) {
                Ok(Some(received)) => received,
                Ok(None) => continue,
                Err(why) => {
                    // The lanes would go on until they are idle.
                    lanes.close_all();
                    return Err(why);
                }
            };
            let Some(client) = known.greet(socket, from, output) else { continue };
            let queue = match lanes.pass(&client, buffer.get(..count).unwrap_or_default()) {
                Passed::Queued => continue,
                Passed::Full => {
                    if !is_full {
                        is_full = true;
                        output.warning(&format!("{most} clients are served: others are lost"));
                    }
                    continue;
                }
                Passed::Opened(queue) => queue,
            };
            is_full = false;
            let (lanes, lane) = (&lanes, client.clone());
            let spawned = thread::Builder::new().spawn_scoped(scope, move || {
                let back = |datagram: &[u8]| {
                    // Not to whoever has come to the same address since, or comes right now.
                    if let Some((now, session)) = Client::at(socket, lane.address)
                        && now == lane
                    {
                        let _ = socket.send_within(session, datagram, lane.address);
                    }
                };
                let served = plain(to).and_then(|far| lanes.run(&lane, &queue, &far, back, idle));
                if let Err(why) = served {
                    output.broken(lane.address, &why);
                    lanes.close(&lane);
                }
            });
            if let Err(error) = spawned {
                lanes.close(&client);
                output.broken(from, &Failure::io("start a thread")(error));
            }
        }
    })
}

/// Receives one datagram, or logs a client that was turned away.
fn next(
    socket: &UdpSocket,
    buffer: &mut [u8],
    output: &Output,
) -> Result<Option<(usize, SocketAddr)>, Failure> {
    Ok(match socket.next_event(buffer)? {
        Received::Datagram(count, from) => Some((count, from)),
        Received::Refused(refusal) => {
            let Refusal { peer, error: source, .. } = refusal;
            output.refused(peer, &Error::Handshake { peer, source }.into());
            None
        }
        _ => None,
    })
}

/// Makes a plain socket that talks to the service and to nobody else.
fn plain(to: &Address) -> Result<PlainSocket, Failure> {
    let mut last = None;
    for address in to.resolve()? {
        let any = match address {
            SocketAddr::V4(_) => SocketAddr::from(([0; 4], 0)),
            SocketAddr::V6(_) => SocketAddr::from(([0_u16; 8], 0)),
        };
        let made = PlainSocket::bind(any).and_then(|socket| {
            socket.connect(address)?;
            socket.set_read_timeout(Some(TICK))?;
            Ok(socket)
        });
        match made {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::NotFound.into());
    Err(Failure::io(format!("reach {to}"))(error))
}

impl Far for PlainSocket {
    fn send(&self, datagram: &[u8]) -> Result<(), Failure> {
        match Self::send(self, datagram) {
            Ok(_) => Ok(()),
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(Failure::io("send to the service")(error)),
        }
    }

    fn receive(&self, into: &mut [u8]) -> Result<Option<usize>, Failure> {
        match self.recv(into) {
            Ok(count) => Ok(Some(count)),
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(Failure::io("receive from the service")(error)),
        }
    }
}

/// Nothing there yet, or nobody: a service that is started again is there for the next datagram.
pub(super) fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), ConnectionRefused | Interrupted | TimedOut | WouldBlock)
}

/// Who is at an address; the name is absent for one that proved none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Client {
    address: SocketAddr,
    name: Option<PeerName>,
}

impl Client {
    /// Returns who is there, and in which session.
    fn at(socket: &UdpSocket, address: SocketAddr) -> Option<(Self, SessionId)> {
        let info = socket.query(address).ok()?;
        let evidence = info.evidence()?;
        let name = evidence.peer().map(|peer| peer.name().clone());
        Some((Self { address, name }, evidence.session()))
    }
}

/// The clients that the log has told of already.
#[derive(Debug)]
struct Known {
    sessions: HashMap<SocketAddr, (SessionId, Instant)>,
    most: usize,
    idle: Duration,
}

impl Known {
    fn new(most: u32, idle: Duration) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { sessions: HashMap::new(), most, idle }
    }

    /// Logs a client unless it is known; returns who it is, if it is still there.
    fn greet(&mut self, socket: &UdpSocket, from: SocketAddr, output: &Output) -> Option<Client> {
        let (client, session) = Client::at(socket, from)?;
        if self.sessions.len() > self.most {
            let idle = self.idle;
            self.sessions.retain(|_, (_, heard)| heard.elapsed() < idle);
            if self.sessions.len() > self.most {
                // Some are told of twice, and memory has its bound.
                self.sessions.clear();
            }
        }
        match self.sessions.insert(from, (session, Instant::now())) {
            Some((before, _)) if before == session => {}
            _ => {
                if let Ok(info) = socket.query(from) {
                    output.accepted(from, info.evidence());
                }
            }
        }
        Some(client)
    }
}
