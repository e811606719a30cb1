//! A program for each client.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use countersign::rights::{Account, PeerToken, set_apart};
use countersign::{Error, TcpStream};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::join::{End, PIECE, Side, carry};
use crate::failure::Failure;
use crate::render::Output;
use crate::request::Rights;

/// What is started for each client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program<'a> {
    pub(super) program: &'a OsString,
    pub(super) arguments: &'a [OsString],
    pub(super) rights: Rights,
}

impl Program<'_> {
    /// Serves one client until both sides are done.
    ///
    /// # Errors
    ///
    /// What broke the conversation.
    pub(super) fn serve(
        self,
        stream: &TcpStream,
        peer: SocketAddr,
        output: &Output,
    ) -> Result<(), Failure> {
        let mut command = Command::new(self.program);
        command.args(self.arguments);
        let served = dress(&mut command, self.rights, stream, peer, output)
            .and_then(|client| run_program(command, self.program, stream, client));
        if served.is_err() {
            stream.abort();
        }
        served
    }
}

/// Gives a program the environment that tells it of its client; returns the client's token if it is
/// to run as the client.
fn dress(
    command: &mut Command,
    rights: Rights,
    stream: &TcpStream,
    peer: SocketAddr,
    output: &Output,
) -> Result<Option<PeerToken>, Failure> {
    let client = match rights {
        Rights::Ours => None,
        Rights::OfTheClient => {
            let token = stream.impersonation_token()?;
            let account = token.account().map_err(Error::from)?;
            output.acting(peer, token.principal(), &account);
            environment_of(&account, command);
            set_apart(command);
            Some(token)
        }
    };
    command.env("COUNTERSIGN_PEER_ADDRESS", peer.to_string());
    match stream.evidence().and_then(|evidence| evidence.peer()) {
        Some(proved) => command
            .env("COUNTERSIGN_PEER", proved.name().to_string())
            .env("COUNTERSIGN_PROOF", proved.proof().to_string()),
        // What we inherited speaks of somebody else.
        None => command.env_remove("COUNTERSIGN_PEER").env_remove("COUNTERSIGN_PROOF"),
    };
    Ok(client)
}

fn run_program(
    mut command: Command,
    program: &OsString,
    stream: &TcpStream,
    rights: Option<PeerToken>,
) -> Result<(), Failure> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let shown = program.to_string_lossy();
    let spawned = match &rights {
        None => command.spawn(),
        // What executes a program while the thread is the client starts it as the client.
        Some(token) => token.impersonate(|_| command.spawn()).map_err(Error::from)?,
    };
    let mut child = spawned.map_err(Failure::io(format!("start {shown}")))?;
    let Some(running) = Running::of(&mut child, rights) else { return Ok(()) };
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

/// What a login would set, and of ours only what says nothing of us: the rest may hold our secrets.
fn environment_of(account: &Account, command: &mut Command) {
    const HARMLESS: [&str; 5] = ["PATH", "LANG", "LC_ALL", "TERM", "TZ"];
    command.env_clear();
    for name in HARMLESS {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("USER", account.name()).env("LOGNAME", account.name());
    command.env("HOME", account.home()).env("SHELL", account.shell());
}

/// Gives a program what the client sends. A program need not read all of it; the rest is thrown
/// away, because closing over it would reset the connection and cost the client the answer.
fn feed(client: Side<'_>, program: &Running) -> Result<(), Failure> {
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
struct Running {
    stdin: Mutex<Option<ChildStdin>>,
    stdout: Mutex<ChildStdout>,
    /// Stands for this process even once it has ended, as its number does not.
    descriptor: Option<OwnedFd>,
    /// Whose it is, if not ours.
    rights: Option<PeerToken>,
}

impl Running {
    fn of(child: &mut Child, rights: Option<PeerToken>) -> Option<Self> {
        let descriptor = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take()?);
        Some(Self { stdin: Mutex::new(stdin), stdout: Mutex::new(stdout), descriptor, rights })
    }

    fn close_stdin(&self) {
        *self.stdin.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl End for Running {
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
            let end = || pidfd_send_signal(descriptor, Signal::TERM);
            // A server that is not root may not, but whose the program is may.
            if let (Err(_), Some(token)) = (end(), &self.rights) {
                let _ = token.impersonate(|_| end());
            }
        }
    }
}
