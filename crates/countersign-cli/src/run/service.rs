//! What clients reach: an echo, a plain TCP service, or a program.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as PlainStream};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use countersign::{Context, TcpStream};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::join::{End, PIECE, Side, carry, join};
use crate::failure::Failure;
use crate::request::{Address, Service};

/// Serves one client until both sides are done.
///
/// # Errors
///
/// What broke the conversation.
pub(super) fn serve(
    service: &Service,
    stream: TcpStream,
    peer: SocketAddr,
    context: &Context,
) -> Result<(), Failure> {
    let client = Side { end: &stream, called: "the client" };
    let served = match service {
        Service::Echo => carry(client, client),
        Service::Program { program, arguments } => {
            let evidence = stream.evidence().and_then(|evidence| evidence.peer());
            let mut command = Command::new(program);
            command.args(arguments).env("COUNTERSIGN_PEER_ADDRESS", peer.to_string());
            match evidence {
                Some(proved) => command
                    .env("COUNTERSIGN_PEER", proved.name().to_string())
                    .env("COUNTERSIGN_PROOF", proved.proof().to_string()),
                // What we inherited speaks of somebody else.
                None => command.env_remove("COUNTERSIGN_PEER").env_remove("COUNTERSIGN_PROOF"),
            };
            run_program(command, program, &stream)
        }
        Service::Relay(to) => relay(client, to, context),
    };
    if served.is_err() {
        stream.abort();
    }
    served
}

fn relay(client: Side<'_>, to: &Address, context: &Context) -> Result<(), Failure> {
    let timeout = context.policy().limits().connect_timeout;
    let mut last = None;
    for address in to.resolve()? {
        match PlainStream::connect_timeout(&address, timeout) {
            Ok(plain) => {
                plain.set_nodelay(true).map_err(Failure::io("set the socket up"))?;
                return join(client, Side { end: &plain, called: &to.to_string() });
            }
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::NotFound.into());
    Err(Failure::io(format!("connect to {to}"))(error))
}

fn run_program(
    mut command: Command,
    program: &OsString,
    stream: &TcpStream,
) -> Result<(), Failure> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let shown = program.to_string_lossy();
    let mut child = command.spawn().map_err(Failure::io(format!("start {shown}")))?;
    let Some(running) = Program::of(&mut child) else { return Ok(()) };
    let client = Side { end: stream, called: "the client" };
    thread::scope(|scope| {
        let forth = thread::Builder::new().spawn_scoped(scope, || feed(client, &running));
        let forth = forth.inspect_err(|_| running.abort());
        let forth = forth.map_err(Failure::io("start a thread"));
        let back = carry(Side { end: &running, called: &shown }, client);
        if back.is_err() {
            running.abort();
        }
        let ended = child.wait().map(drop).map_err(Failure::io(format!("wait for {shown}")));
        // Nobody is left who could read what the client still sends.
        let _ = stream.shutdown(Shutdown::Read);
        let forth = forth.and_then(|thread| thread.join().unwrap_or(Ok(())));
        back.and(forth).and(ended)
    })
}

/// Gives a program what the client sends. A program need not read all of it; the rest is thrown
/// away, because closing over it would reset the connection and cost the client the answer.
fn feed(client: Side<'_>, program: &Program) -> Result<(), Failure> {
    let mut buffer = vec![0; PIECE];
    loop {
        match client.end.receive(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                if program.send(buffer.get(..count).unwrap_or_default()).is_err() {
                    program.close_stdin();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                program.abort();
                return Err(Failure::io(format!("receive from {}", client.called))(error));
            }
        }
    }
    program.close_stdin();
    Ok(())
}

/// A running program, as something that bytes go into and come out of.
struct Program {
    stdin: Mutex<Option<ChildStdin>>,
    stdout: Mutex<ChildStdout>,
    /// Stands for this process even once it has ended, as its number does not.
    descriptor: Option<OwnedFd>,
}

impl Program {
    fn of(child: &mut Child) -> Option<Self> {
        let descriptor = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take()?);
        Some(Self { stdin: Mutex::new(stdin), stdout: Mutex::new(stdout), descriptor })
    }

    fn close_stdin(&self) {
        *self.stdin.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl End for Program {
    fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner).read(into)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        match &mut *self.stdin.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(stdin) => stdin.write_all(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn finish(&self) -> io::Result<()> {
        self.close_stdin();
        Ok(())
    }

    /// Whoever it was started for is gone.
    fn abort(&self) {
        if let Some(descriptor) = &self.descriptor {
            let _ = pidfd_send_signal(descriptor, Signal::TERM);
        }
    }
}
