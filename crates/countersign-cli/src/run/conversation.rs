//! `connect`: stdin and stdout joined to a peer.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use countersign::TcpStream;

use super::join::{Counter, End, PIECE};
use super::{datagrams, dial, host};
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::{Output, Traffic};
use crate::request::{Carried, Connect};

/// Connects, and carries bytes until the peer ends.
///
/// # Errors
///
/// Those of connecting, and of a conversation that was broken off.
pub(super) fn run(request: &Connect, output: &Output) -> Result<Verdict, Failure> {
    if let Carried::Datagrams(linger) = request.carried {
        return datagrams::connect(request, linger, output);
    }
    let context = host::context(&request.host)?;
    dial::warn(&context, &request.dial, output);
    let stream = dial::dial(&context, &request.dial)?;
    output.connected(stream.peer_addr().ok(), stream.evidence());

    let conversation = Arc::new(Conversation::new(stream));
    let ending = thread::scope(|scope| {
        let (over, is_over) = mpsc::channel::<()>();
        // A person who types and reads needs no rate in between.
        let is_chat = io::stdin().is_terminal() && io::stdout().is_terminal();
        if output.is_watched() && !is_chat {
            let conversation = &conversation;
            scope.spawn(move || {
                while is_over.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                    output.progress(conversation.traffic());
                }
            });
        }
        let ending = converse(&conversation);
        drop(over);
        ending
    });
    output.ended(conversation.traffic());
    ending.map(|()| Verdict::AsExpected)
}

/// How often the rate is shown.
const TICK: Duration = Duration::from_millis(500);

/// How long the last word may take to go out, once the peer is done.
const LAST_WORD: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Conversation {
    stream: TcpStream,
    sent: Counter,
    received: Counter,
    started: Instant,
    /// Why sending stopped, if that says more than what receiving will find.
    sending: Mutex<Option<Failure>>,
}

impl Conversation {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            sent: Counter::default(),
            received: Counter::default(),
            started: Instant::now(),
            sending: Mutex::new(None),
        }
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            sent: self.sent.total(),
            received: self.received.total(),
            time: self.started.elapsed(),
        }
    }

    /// Sends stdin. It may wait for ever for it, so this thread is never waited for.
    fn send_stdin(&self) {
        let mut buffer = vec![0; PIECE];
        let mut stdin = io::stdin().lock();
        let failure = loop {
            match stdin.read(&mut buffer) {
                Ok(0) => match self.stream.finish() {
                    Ok(()) => return,
                    Err(error) => break Failure::io("finish sending to the peer")(error),
                },
                Ok(count) => {
                    if let Err(error) = self.stream.send(buffer.get(..count).unwrap_or_default()) {
                        break Failure::io("send to the peer")(error);
                    }
                    self.sent.add(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.note(Failure::io("read stdin")(error));
                    // Not an end that was meant, so the peer must not see one.
                    return self.stream.abort();
                }
            }
        };
        if let Failure::Library(countersign::Error::Handshake { .. }) = failure {
            self.note(failure);
        }
    }

    /// Receives until the peer ends, and writes it to stdout.
    fn receive(&self) -> Result<(), Failure> {
        let mut stdout = unbuffered_stdout()?;
        let mut buffer = vec![0; PIECE];
        loop {
            let count = match self.stream.receive(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) => {
                    let noted = self.sending.lock().unwrap_or_else(PoisonError::into_inner).take();
                    return Err(
                        noted.unwrap_or_else(|| Failure::io("receive from the peer")(error))
                    );
                }
            };
            match stdout.write_all(buffer.get(..count).unwrap_or_default()) {
                Ok(()) => self.received.add(count),
                // Whoever reads us has had enough, as `head` has.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(Failure::io("write to stdout")(error)),
            }
        }
    }

    fn note(&self, failure: Failure) {
        *self.sending.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }
}

fn converse(conversation: &Arc<Conversation>) -> Result<(), Failure> {
    let sender = conversation.clone();
    thread::Builder::new()
        .spawn(move || sender.send_stdin())
        .map_err(Failure::io("start a thread"))?;
    let ending = conversation.receive();
    if ending.is_ok() {
        // The sender may still wait for stdin, and the process ends without waiting for it.
        let stream = &conversation.stream;
        let _ = stream.set_write_timeout(Some(LAST_WORD));
        let _ = stream.shutdown(Shutdown::Write);
    }
    ending
}

/// The stdout of the standard library keeps what follows the last line end.
pub(super) fn unbuffered_stdout() -> Result<File, Failure> {
    let stdout = io::stdout().as_fd().try_clone_to_owned();
    stdout.map(File::from).map_err(Failure::io("use stdout"))
}
