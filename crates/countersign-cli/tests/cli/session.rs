//! A shell session: a directory, commands in it, and what came of them.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use countersign::identity::Store;
use serde_json::Value;

/// Longer than anything takes on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with a store, and nothing of this host's configuration.
pub(crate) struct Session {
    directory: tempfile::TempDir,
}

/// A command that has ended.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Session {
    /// Starts without a store.
    pub(crate) fn empty() -> Self {
        let session = Self { directory: tempfile::tempdir().unwrap() };
        // An authority of nobody's, so that it does not matter whom this host believes.
        let system = Store::at(session.path("system"));
        system.init().unwrap();
        session.write("system.pem", system.export(None, false).unwrap().as_bytes());
        session
    }

    /// Starts with an authority and certificates, one for each name.
    pub(crate) fn with(names: &[&str]) -> Self {
        let session = Self::empty();
        session.store().init().unwrap();
        for name in names {
            session.run(&["identity", "issue", name]).success();
        }
        session.write("authority.pem", &session.run(&["identity", "export"]).success().stdout);
        session
    }

    pub(crate) fn store(&self) -> Store {
        Store::at(self.path("home"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns a path as an argument.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file that only we can read.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Writes the chain for `name` and its key as files, for programs that want such.
    pub(crate) fn export(&self, name: &str) -> (String, String) {
        let pem = self.run(&["identity", "export", name, "--include-key"]).success().text();
        let (chain, key) = pem.split_once("-----BEGIN PRIVATE").unwrap();
        self.write("chain.pem", chain.as_bytes());
        self.write("key.pem", format!("-----BEGIN PRIVATE{key}").as_bytes());
        (self.file("chain.pem"), self.file("key.pem"))
    }

    /// Returns a command of ours.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.stranger(env!("CARGO_BIN_EXE_countersign"));
        command.args(arguments);
        command
    }

    /// Returns a program that we did not write, in the same surroundings.
    pub(crate) fn stranger(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("user"))
            .env("COUNTERSIGN_HOME", self.path("home"))
            .env("SSL_CERT_FILE", self.path("system.pem"))
            .env("SSL_CERT_DIR", self.path("nowhere"));
        command
    }

    /// Runs a command of ours with nothing on stdin.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.run_with(arguments, b"")
    }

    /// Runs a command of ours with this on stdin.
    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Finished {
        finish(&mut self.command(arguments), stdin)
    }

    /// Starts `countersign serve` on some port of the loopback interface.
    pub(crate) fn serve(&self, name: &str, more: &[&str]) -> Running {
        let mut command = self.command(&["serve", name, "--listen", "127.0.0.1:0"]);
        Running::start(command.args(more))
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command, stdin: &[u8]) -> Finished {
    let mut child =
        spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let id = rustix::process::Pid::from_child(&child);
    let (mut input, stdin) = (child.stdin.take().unwrap(), stdin.to_owned());
    // It need not read all of it.
    thread::spawn(move || input.write_all(&stdin));
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output().unwrap()));
    match is_done.recv_timeout(PATIENCE) {
        Ok(output) => Finished {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        },
        Err(_) => {
            rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
            let output = is_done.recv().unwrap();
            panic!("{command:?} did not end: {output:?}")
        }
    }
}

impl Finished {
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        self.ended(0)
    }

    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        let shown = String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(2000)]);
        assert_eq!(self.code, Some(code), "stdout: {shown}\nstderr: {}", self.stderr);
        self
    }

    /// Checks that stderr has all of these.
    #[track_caller]
    pub(crate) fn said(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in:\n{}", self.stderr);
        }
        self
    }

    /// Checks that stdout is this.
    #[track_caller]
    pub(crate) fn wrote(self, expected: impl AsRef<[u8]>) -> Self {
        let (found, expected) = (self.stdout.as_slice(), expected.as_ref());
        let same = found == expected;
        assert!(same, "{} bytes, not {}; stderr: {}", found.len(), expected.len(), self.stderr);
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap()
    }

    /// Returns the lines of stderr, each as JSON.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        self.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A command that runs until it is dropped, and its log.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    address: Option<SocketAddr>,
}

impl Running {
    /// Starts it, and waits until it says where it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut running = Self::spawn(command.stdin(Stdio::null()));
        let line = running.wait_for(|line| line.starts_with("listening on "));
        let address = line.split(' ').nth(2).unwrap().parse().unwrap();
        running.address = Some(address);
        running
    }

    /// Starts it, with stdout and stderr as its log.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let (sender, lines) = mpsc::channel();
        follow(child.stdout.take().unwrap(), sender.clone());
        follow(child.stderr.take().unwrap(), sender);
        Self { child, lines, seen: Vec::new(), address: None }
    }

    /// Returns where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    /// Returns the same as an argument.
    pub(crate) fn at(&self) -> String {
        self.address().to_string()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its stdin.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Waits for a line of its log.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if is_it(&line) {
                        return line;
                    }
                }
                Err(why) => panic!("{why}; until then: {:#?}", self.seen),
            }
        }
    }

    /// Waits for a line that begins with this.
    #[track_caller]
    pub(crate) fn logged(&mut self, start: &str) -> String {
        self.wait_for(|line| line.starts_with(start))
    }

    /// Checks that it has nothing to say for a moment.
    #[track_caller]
    pub(crate) fn is_silent_for(&self, time: Duration) {
        assert_eq!(self.lines.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        // Its log ends with it.
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap().code(),
                Err(why) => panic!("{why}; until then: {:#?}", self.seen),
            }
        }
    }

    /// Returns everything that it has logged as far as it was waited for.
    pub(crate) fn log(&self) -> String {
        self.seen.join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Programs that are missing are an error of the machine, not a reason to pass.
fn spawn(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        assert!(
            error.kind() != io::ErrorKind::NotFound,
            "{program} is needed for this test and is not installed: run `cargo xtask setup --tests`"
        );
        panic!("cannot start {program}: {error}")
    })
}

fn follow(from: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if to.send(text).is_err() {
                break;
            }
            line.clear();
        }
    });
}

/// Returns bytes in which every value occurs, line ends and NUL among them, and no order repeats.
pub(crate) fn binary(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        // Knuth's MMIX generator: any that is full of variety will do.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Returns the names in a directory, hidden ones too.
pub(crate) fn list(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
