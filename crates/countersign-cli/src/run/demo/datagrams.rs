//! Datagrams: one socket, two peers, a name for each, and a third that answers for the wrong name.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as Plain};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use countersign::core::HandshakeError;
use countersign::{Context, Error, UdpSocket};

use super::attempt::SECRET;
use super::scenario::{Outcome, Scenario};
use super::stage::{Issuer, PATIENCE, Stage, name};
use crate::failure::Failure;

/// Two peers are who they must be, and the third is not; all of it passes by recorders.
pub(super) fn names_on_one_socket(stage: &Stage) -> Result<Scenario, Failure> {
    let started = Instant::now();
    let (one, two) = (stage.asked(), name("syslog/db2.example.com"));
    let other = name("http/db3.example.com");
    let asked = name("statsd/db3.example.com");
    let servers = [&one, &two, &other].map(|own| Server::start(stage.context(own, Issuer::Ours)?));
    let [first, second, third] = servers;
    let (first, second, third) = (first?, second?, third?);

    let client = stage.context(&name("alice@EXAMPLE.COM"), Issuer::Ours)?;
    let socket = UdpSocket::bind_with(&client, loopback())?;
    socket.set_read_timeout(Some(PATIENCE));
    for (server, name) in [(&first, &one), (&second, &two), (&third, &asked)] {
        socket.set_peer_target_name(server.address(), name.clone())?;
    }
    let is_echoed = exchange(&socket, &first)? && exchange(&socket, &second)?;
    let evidence = |server: &Server| -> Result<_, Failure> {
        Ok(socket.query(server.address())?.evidence().cloned())
    };
    let (evidence, other_evidence) = (evidence(&first)?, evidence(&second)?);
    let proved = other_evidence.as_ref().and_then(|evidence| evidence.peer());
    let are_named = evidence.as_ref().and_then(|it| it.peer()).is_some_and(|it| *it.name() == one)
        && proved.is_some_and(|it| *it.name() == two);
    let (refusal, is_refused) = match socket.send_to(SECRET, third.address()) {
        Err(Error::Handshake { source, .. }) => {
            let is_expected = matches!(source, HandshakeError::WrongPeer { .. });
            (format!("the third was refused: {source}"), is_expected)
        }
        Err(error) => return Err(error.into()),
        Ok(_) => ("the third was not refused".to_owned(), false),
    };
    drop(socket);
    let mut wire = Kept::default();
    let mut got = Vec::new();
    for server in [first, second, third] {
        let (kept, received) = server.finish();
        wire.add(&kept);
        got.push(received);
    }
    let arrived = got == [1, 1, 0];
    Ok(Scenario {
        name: "datagrams",
        tried: format!(
            "two peers with two names on one datagram socket, {one} and {two}, and one \
                        that answers for the wrong name"
        ),
        seen: vec![
            match proved {
                Some(proved) => format!("and to {} ({})", proved.name(), proved.proof()),
                None => "and to nobody else".to_owned(),
            },
            refusal,
            format!(
                "{} bytes on the wire, and {}",
                wire.bytes,
                if wire.times == 0 {
                    "none of the text among them"
                } else {
                    "the text among them, in clear"
                }
            ),
        ],
        is_as_expected: is_echoed && are_named && is_refused && arrived && wire.times == 0,
        outcome: Outcome::Connected(evidence.map(Box::new)),
        took: started.elapsed(),
    })
}

/// Sends the text, and says whether it came back.
pub(super) fn exchange(socket: &UdpSocket, server: &Server) -> Result<bool, Failure> {
    socket.send_to(SECRET, server.address())?;
    let mut buffer = [0; 2048];
    let (count, from) = socket.recv_from(&mut buffer)?;
    Ok(from == server.address() && buffer.get(..count) == Some(SECRET))
}

/// A server that sends back what it gets, behind a wire that remembers.
#[derive(Debug)]
pub(super) struct Server {
    wire: Wire,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<u32>,
}

/// How often a thread looks whether all is over.
const TICK: Duration = Duration::from_millis(20);

impl Server {
    pub(super) fn start(context: Context) -> Result<Self, Failure> {
        let socket = UdpSocket::bind_with(&context, loopback())?;
        socket.set_read_timeout(Some(TICK));
        let wire = Wire::before(socket.local_addr()?).map_err(Failure::io("start the recorder"))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let serve = move || {
            let mut buffer = [0; 2048];
            let mut received = 0;
            while !over.load(Ordering::Relaxed) {
                if let Ok((count, from)) = socket.recv_from(&mut buffer) {
                    received += 1;
                    let _ = socket.send_to(buffer.get(..count).unwrap_or_default(), from);
                }
            }
            received
        };
        let thread = thread::Builder::new().spawn(serve).map_err(Failure::io("start a thread"))?;
        Ok(Self { wire, is_over, thread })
    }

    /// Returns where the wire to it begins.
    pub(super) fn address(&self) -> SocketAddr {
        self.wire.address
    }

    /// Returns what passed by, and how many datagrams the server was handed.
    pub(super) fn finish(self) -> (Kept, u32) {
        self.is_over.store(true, Ordering::Relaxed);
        let received = self.thread.join().unwrap_or_default();
        self.wire.is_over.store(true, Ordering::Relaxed);
        (self.wire.thread.join().unwrap_or_default(), received)
    }
}

/// A plain UDP relay for one client that looks at every datagram.
#[derive(Debug)]
struct Wire {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Kept>,
}

/// What passed by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    bytes: usize,
    /// How often the text was among it.
    pub(super) times: usize,
}

impl Kept {
    fn look(&mut self, datagram: &[u8]) {
        self.bytes += datagram.len();
        self.times += datagram.windows(SECRET.len()).filter(|it| *it == SECRET).count();
    }

    fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.times += other.times;
    }
}

impl Wire {
    fn before(target: SocketAddr) -> io::Result<Self> {
        let socket = Plain::bind(loopback())?;
        socket.set_read_timeout(Some(TICK))?;
        let address = socket.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let thread = thread::Builder::new().spawn(move || {
            let (mut kept, mut client) = (Kept::default(), None);
            let mut buffer = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                let Ok((count, from)) = socket.recv_from(&mut buffer) else { continue };
                let datagram = buffer.get(..count).unwrap_or_default();
                kept.look(datagram);
                if from != target {
                    client = Some(from);
                }
                if let Some(to) = if from == target { client } else { Some(target) } {
                    let _ = socket.send_to(datagram, to);
                }
            }
            kept
        })?;
        Ok(Self { address, is_over, thread })
    }
}

pub(super) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

#[cfg(test)]
mod tests {
    use super::{Kept, SECRET};

    #[test]
    fn the_recorder_would_see_the_text() {
        let mut kept = Kept::default();
        kept.look(&[b"before ", SECRET, b" after"].concat());
        assert_eq!(kept.times, 1);
    }
}
