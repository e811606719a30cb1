//! `connect --udp`: each line of stdin is a datagram, and what comes back goes to stdout.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use countersign::{Context, Error, UdpSocket};

use super::LARGEST;
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::{Output, Traffic};
use crate::request::{Connect, Dial, Linger};
use crate::run::conversation::unbuffered_stdout;
use crate::run::host;
use crate::run::join::Counter;

/// Connects, and carries datagrams until stdin has ended and nothing comes any more.
///
/// # Errors
///
/// Those of connecting, sending, and of stdin and stdout.
pub(in crate::run) fn connect(
    request: &Connect,
    Linger(linger): Linger,
    output: &Output,
) -> Result<Verdict, Failure> {
    let context = host::context(&request.host)?;
    let (socket, peer) = dial(&context, &request.dial)?;
    output.connected(Some(peer), socket.query(peer)?.evidence());
    let exchange = Arc::new(Exchange {
        socket,
        peer,
        sent: Counter::default(),
        received: Counter::default(),
        sending: Mutex::new(Sending::Underway),
    });
    let started = Instant::now();
    let sender = exchange.clone();
    // It may wait for stdin for ever, so it is never waited for.
    thread::Builder::new()
        .spawn(move || {
            let ending = sender.send_stdin();
            *sender.lock() = Sending::Over(Instant::now(), Some(ending));
        })
        .map_err(Failure::io("start a thread"))?;
    let ending = exchange.receive(linger);
    // The sender may still hold the socket, so the peer is told here.
    exchange.socket.disconnect(peer);
    output.ended(Traffic {
        sent: exchange.sent.total(),
        received: exchange.received.total(),
        time: started.elapsed(),
    });
    ending.map(|()| Verdict::AsExpected)
}

/// Makes a socket for one peer, which has proved the name that it must; each address in turn until
/// somebody is there. A peer that does not prove its name ends the attempt, as with streams.
///
/// # Errors
///
/// Those of the library and of the look-up.
pub(in crate::run) fn dial(
    context: &Context,
    request: &Dial,
) -> Result<(UdpSocket, SocketAddr), Failure> {
    let mut last = None;
    for address in request.address.resolve()? {
        let socket = UdpSocket::unbound(context, address)?;
        socket.set_security(Some(request.settings.clone()))?;
        socket.set_peer_target_name(address, request.name.clone())?;
        socket.set_write_timeout(request.timeout);
        match socket.connect(address) {
            Ok(()) => return Ok((socket, address)),
            Err(error @ Error::Io { .. }) => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    let nowhere = || Error::Io {
        doing: format!("reach {}", request.address),
        source: io::ErrorKind::NotFound.into(),
    };
    Err(last.unwrap_or_else(nowhere).into())
}

#[derive(Debug)]
struct Exchange {
    socket: UdpSocket,
    peer: SocketAddr,
    sent: Counter,
    received: Counter,
    sending: Mutex<Sending>,
}

/// How far sending has come.
#[derive(Debug)]
enum Sending {
    /// It ended then; why is taken by whoever looks first.
    Over(Instant, Option<Result<(), Failure>>),
    Underway,
}

/// How often it is looked whether sending is over.
const TICK: Duration = Duration::from_millis(50);

impl Exchange {
    fn send_stdin(&self) -> Result<(), Failure> {
        let mut stdin = BufReader::new(io::stdin().lock());
        let mut datagram = Vec::new();
        loop {
            datagram.clear();
            let most = u64::try_from(self.socket.max_datagram_size(self.peer)).unwrap_or(u64::MAX);
            let piece = stdin.by_ref().take(most).read_until(b'\n', &mut datagram);
            if piece.map_err(Failure::io("read stdin"))? == 0 {
                return Ok(());
            }
            self.socket.send(&datagram)?;
            self.sent.add(datagram.len());
        }
    }

    fn receive(&self, linger: Duration) -> Result<(), Failure> {
        let mut stdout = unbuffered_stdout()?;
        let mut buffer = vec![0; LARGEST];
        let mut heard = None;
        self.socket.set_read_timeout(Some(TICK));
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(count) => {
                    heard = Some(Instant::now());
                    match stdout.write_all(buffer.get(..count).unwrap_or_default()) {
                        Ok(()) => self.received.add(count),
                        // Whoever reads us has had enough, as `head` has.
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                        Err(error) => return Err(Failure::io("write to stdout")(error)),
                    }
                }
                Err(error) if error.is_would_block() => {}
                Err(error) => return Err(error.into()),
            }
            if let Sending::Over(at, ending) = &mut *self.lock() {
                if let Some(Err(why)) = ending.take() {
                    return Err(why);
                }
                if heard.map_or(*at, |heard| heard.max(*at)).elapsed() >= linger {
                    return Ok(());
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
