//! Plain clients at one end of a tunnel, and the plain service at the other.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::processes::Tunnel;
use crate::cpu;
use crate::round_trips::sample;

/// The service: the first byte of a client says whether it wants an echo or to be swallowed.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    swallowed: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

const ECHO: u8 = b'e';
const SWALLOW: u8 = b's';

/// What went through while the clock ran.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    /// Of both ends of the tunnel.
    pub(crate) cpu: f64,
}

impl Sink {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (swallowed, is_over) = <(Arc<AtomicU64>, Arc<AtomicBool>)>::default();
        let (count, over) = (Arc::clone(&swallowed), Arc::clone(&is_over));
        thread::spawn(move || {
            for client in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(client) = client else { continue };
                let count = Arc::clone(&count);
                // A client that goes away is no affair of ours: the other end tells.
                thread::spawn(move || serve(client, &count));
            }
        });
        Ok(Self { address, swallowed, is_over })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes it; if that fails there is nobody to wake.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut client: TcpStream, swallowed: &AtomicU64) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut wish = [0];
    client.read_exact(&mut wish)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = client.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        if wish == [ECHO] {
            client.write_all(&buffer[..count])?;
        } else {
            swallowed.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}

fn client(entry: SocketAddr, wish: u8) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(entry)?;
    stream.set_nodelay(true)?;
    // What is longer than this hangs, and is an error.
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(&[wish])?;
    Ok(stream)
}

/// Sends as fast as it goes, and counts what arrives at the sink.
pub(crate) fn bulk(sink: &Sink, tunnel: &Tunnel, duration: Duration) -> io::Result<Load> {
    let mut stream = client(tunnel.entry, SWALLOW)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let sender = thread::spawn(move || {
        let data = vec![0x5a; 32 * 1024];
        while !over.load(Ordering::Relaxed) {
            stream.write_all(&data)?;
        }
        Ok::<_, io::Error>(())
    });
    let ends = tunnel.ends()?;
    let spent = || ends.iter().map(|id| cpu::of_process(*id)).sum::<io::Result<f64>>();
    thread::sleep(duration / 4);
    let (start, before, cpu) = (Instant::now(), sink.swallowed.load(Ordering::Relaxed), spent()?);
    thread::sleep(duration);
    let (seconds, bytes) =
        (start.elapsed().as_secs_f64(), sink.swallowed.load(Ordering::Relaxed) - before);
    let cpu = spent()? - cpu;
    is_over.store(true, Ordering::Relaxed);
    sender.join().expect("the sender does not panic")?;
    if bytes == 0 {
        return Err(io::Error::other("nothing came through"));
    }
    Ok(Load { bytes, seconds, cpu })
}

/// Sends 64 bytes and waits for them, again and again.
pub(crate) fn round_trips(entry: SocketAddr, duration: Duration) -> io::Result<Vec<Duration>> {
    let mut stream = client(entry, ECHO)?;
    let mut message = [0x5a; 64];
    sample(duration, || {
        stream.write_all(&message)?;
        stream.read_exact(&mut message)
    })
}

/// Opens connections of which each carries `size` bytes there and back, and keeps them.
pub(crate) fn quiet(entry: SocketAddr, count: usize, size: usize) -> io::Result<Vec<TcpStream>> {
    let mut data = vec![0x5a; size];
    let mut open = || {
        let mut stream = client(entry, ECHO)?;
        stream.write_all(&data)?;
        stream.read_exact(&mut data)?;
        Ok(stream)
    };
    (0..count).map(|_| open()).collect()
}

/// Returns new connections per second of some clients at once, each with a byte there and back.
pub(crate) fn connections(entry: SocketAddr, clients: u32, duration: Duration) -> io::Result<f64> {
    let start = Instant::now();
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            thread::spawn(move || {
                let mut count = 0_u32;
                while start.elapsed() < duration {
                    let mut stream = client(entry, ECHO)?;
                    stream.write_all(b"x")?;
                    stream.read_exact(&mut [0])?;
                    count += 1;
                }
                Ok::<_, io::Error>(count)
            })
        })
        .collect();
    let mut all = 0;
    for client in clients {
        all += client.join().expect("a client does not panic")?;
    }
    Ok(f64::from(all) / start.elapsed().as_secs_f64())
}
