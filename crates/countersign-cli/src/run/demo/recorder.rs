//! A wire that remembers.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::stage::PATIENCE;
use crate::failure::Failure;

/// A plain TCP relay for one connection that keeps every byte it carries.
#[derive(Debug)]
pub(super) struct Recorder {
    address: SocketAddr,
    recording: Receiver<io::Result<Recording>>,
}

/// The bytes of both directions.
#[derive(Debug, Default)]
pub(super) struct Recording {
    up: Vec<u8>,
    down: Vec<u8>,
}

impl Recorder {
    /// Makes one in front of `target`.
    pub(super) fn before(target: SocketAddr) -> Result<Self, Failure> {
        let started = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            let (done, recording) = mpsc::channel();
            thread::Builder::new().spawn(move || {
                // Who waits may have given up.
                let _ = done.send(record(&listener, target));
            })?;
            Ok(Self { address, recording })
        };
        started().map_err(Failure::io("start the recorder"))
    }

    /// Returns where to connect to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until both directions are done.
    pub(super) fn finish(self) -> Result<Recording, Failure> {
        let recording = self.recording.recv_timeout(PATIENCE);
        let recording = recording.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        recording.map_err(Failure::io("record the connection"))
    }
}

impl Recording {
    /// Returns how often `text` is in it.
    pub(super) fn count(&self, text: &[u8]) -> usize {
        let count = |bytes: &[u8]| bytes.windows(text.len()).filter(|it| *it == text).count();
        count(&self.up) + count(&self.down)
    }

    /// Returns how many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.up.len() + self.down.len()
    }
}

fn record(listener: &TcpListener, target: SocketAddr) -> io::Result<Recording> {
    let (client, _) = listener.accept()?;
    let server = TcpStream::connect(target)?;
    for end in [&client, &server] {
        end.set_nodelay(true)?;
        end.set_read_timeout(Some(PATIENCE))?;
    }
    thread::scope(|scope| {
        let down = thread::Builder::new().spawn_scoped(scope, || carry(&server, &client))?;
        let up = carry(&client, &server);
        let down = down.join().unwrap_or_default();
        Ok(Recording { up, down })
    })
}

/// Keeps what came before an error: an end by reset is as good as any.
fn carry(mut from: &TcpStream, mut to: &TcpStream) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let piece = buffer.get(..count).unwrap_or_default();
        kept.extend_from_slice(piece);
        if to.write_all(piece).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    kept
}
