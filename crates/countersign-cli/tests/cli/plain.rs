//! Plain TCP: services behind ours, and machines in between.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::session::PATIENCE;

/// A plain service for one client, and what came of it.
pub(crate) struct Service<T> {
    pub(crate) address: SocketAddr,
    outcome: Receiver<T>,
}

impl<T: Send + 'static> Service<T> {
    /// Starts a thread that serves the first client.
    pub(crate) fn start(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (done, outcome) = mpsc::channel();
        thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            done.send(serve(client))
        });
        Self { address, outcome }
    }

    pub(crate) fn at(&self) -> String {
        self.address.to_string()
    }

    /// Waits until it is done.
    #[track_caller]
    pub(crate) fn outcome(&self) -> T {
        self.outcome.recv_timeout(PATIENCE).unwrap()
    }
}

/// Reads until the end, and only then answers; so an answer shows that the end arrived.
pub(crate) fn count_then_answer(mut client: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    writeln!(client, "got {} bytes", received.len()).unwrap();
    received
}

/// Says something, ends, and reads what comes afterwards: an end in the other direction.
pub(crate) fn answer_then_listen(mut client: TcpStream) -> Vec<u8> {
    client.write_all(b"hello and goodbye\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    received
}

/// Answers one request as a web server does.
pub(crate) fn answer_http(mut client: TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        request.extend(byte);
    }
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nbehind it";
    client.write_all(answer.as_bytes()).unwrap();
    String::from_utf8(request).unwrap()
}

/// Connects, sends, ends, and returns all that comes back.
pub(crate) fn ask(address: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut sender = stream.try_clone()?;
    let question = question.to_owned();
    // Apart from reading, so that neither waits for the other.
    let sent = thread::spawn(move || {
        sender.write_all(&question).and_then(|()| sender.shutdown(Shutdown::Write))
    });
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = sent.join().unwrap();
    read.map(|_| answer)
}

/// A machine in between that carries everything, keeps it, and can cut the connection.
pub(crate) struct Between {
    pub(crate) address: SocketAddr,
    cut: mpsc::Sender<()>,
    kept: Receiver<Vec<u8>>,
}

impl Between {
    /// Starts one in front of `target`.
    pub(crate) fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, is_cut) = mpsc::channel();
        let (keep, kept) = mpsc::channel();
        thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let server = TcpStream::connect(target).unwrap();
            let ends = [client.try_clone().unwrap(), server.try_clone().unwrap()];
            thread::spawn(move || {
                // Both read an end of TCP where none was meant.
                if is_cut.recv().is_ok() {
                    for end in ends {
                        let _ = end.shutdown(Shutdown::Both);
                    }
                }
            });
            let back = {
                let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || carry(&from, &to))
            };
            let mut all = carry(&client, &server);
            all.extend(back.join().unwrap());
            keep.send(all)
        });
        Self { address, cut, kept }
    }

    pub(crate) fn at(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn cut(&self) {
        self.cut.send(()).unwrap();
    }

    /// Returns how often `text` passed by, once all is over.
    #[track_caller]
    pub(crate) fn count(&self, text: &[u8]) -> usize {
        let kept = self.kept.recv_timeout(PATIENCE).unwrap();
        kept.windows(text.len()).filter(|it| *it == text).count()
    }
}

fn carry(mut from: &TcpStream, mut to: &TcpStream) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    kept
}
