//! Real processes to talk to, such as `openssl s_server`: awaited when they start, and gone when
//! the test is.

use std::io::{self, BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition that nobody announces is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A child process that is killed when this is dropped. What it says on either output is kept
/// line by line, so that it never blocks and every error can quote it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    said: Arc<Said>,
}

#[derive(Debug, Default)]
struct Said {
    lines: Mutex<Lines>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    texts: Vec<String>,
    /// How many outputs have ended, of two.
    ended: u8,
}

impl Process {
    /// Starts it, with pipes for input and both outputs.
    ///
    /// # Errors
    ///
    /// Those of the system; the message names the program.
    ///
    /// # Panics
    ///
    /// Never: the pipes were asked for.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            let program = command.get_program().to_string_lossy();
            io::Error::new(error.kind(), format!("{program} does not start: {error}"))
        })?;
        let said = Arc::new(Said::default());
        listen(child.stdout.take().expect("it was asked for"), &said);
        listen(child.stderr.take().expect("it was asked for"), &said);
        Ok(Self { child, said })
    }

    /// Waits until something accepts connections at `address`.
    ///
    /// # Errors
    ///
    /// That it did not within `patience`, or that the process ended before, and what it said.
    pub fn wait_for_port(&mut self, address: SocketAddr, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            // Whoever answers after the child has ended is someone else.
            if let Some(status) = self.child.try_wait()? {
                return Err(self.error(&format!("ended ({status}) before it listened")));
            }
            if TcpStream::connect_timeout(&address, LOOK.max(patience / 10)).is_ok() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(self.error(&format!("does not listen at {address}")));
            }
            thread::sleep(LOOK);
        }
    }

    /// Waits until it says a line that holds `text`, on either output, and returns that line. It
    /// may have said it before.
    ///
    /// # Errors
    ///
    /// That it did not within `patience`, or will not any more, and what it said instead.
    pub fn wait_for_line(&mut self, text: &str, patience: Duration) -> io::Result<String> {
        let deadline = Instant::now() + patience;
        let mut lines = self.said.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = lines.texts.iter().find(|line| line.contains(text)) {
                return Ok(line.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.ended == 2 {
                drop(lines);
                return Err(self.error(&format!("never said {text:?}")));
            }
            let waited = self.said.news.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    ///
    /// That it did not within `patience`, and what it said.
    pub fn wait(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(self.error("does not end"));
            }
            thread::sleep(LOOK);
        }
    }

    /// Hands out its input; dropping that ends it.
    pub fn take_input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns what it has said until now, on both outputs.
    pub fn said(&self) -> String {
        self.said.lines.lock().unwrap_or_else(PoisonError::into_inner).texts.join("\n")
    }

    fn error(&self, what: &str) -> io::Error {
        io::Error::other(format!("process {} {what}; it said:\n{}", self.id(), self.said()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a port of 127.0.0.1 that was free a moment ago. Someone else may take it first; a test
/// that can let its server choose the port should.
///
/// # Panics
///
/// If there is no loopback interface, or no free port on it.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Keeps what comes out of `output`, line by line, until it ends.
fn listen(output: impl Read + Send + 'static, said: &Arc<Said>) {
    let said = Arc::clone(said);
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            said.lines.lock().unwrap_or_else(PoisonError::into_inner).texts.push(text);
            said.news.notify_all();
            line.clear();
        }
        said.lines.lock().unwrap_or_else(PoisonError::into_inner).ended += 1;
        said.news.notify_all();
    });
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::path::Path;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::{Process, free_port};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Process {
        Process::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn a_line_is_found_on_either_output() {
        let mut process = shell("echo one; echo two >&2; exec sleep 60");
        assert_eq!(process.wait_for_line("two", PATIENCE).unwrap(), "two");
        assert_eq!(process.wait_for_line("on", PATIENCE).unwrap(), "one");
    }

    #[test]
    fn a_process_that_ends_too_soon_is_reported_at_once_with_what_it_said() {
        let before = Instant::now();
        let error = shell("echo broken >&2; exit 3").wait_for_line("ready", PATIENCE).unwrap_err();
        assert!(error.to_string().contains("never said \"ready\""), "{error}");
        assert!(error.to_string().contains("broken"), "{error}");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let error = shell("exit 3").wait_for_port(address, PATIENCE).unwrap_err();
        assert!(error.to_string().contains("before it listened"), "{error}");
        assert!(before.elapsed() < PATIENCE);
    }

    #[test]
    fn a_silent_process_is_given_up_after_the_patience() {
        let error = shell("exec sleep 60").wait_for_line("ready", Duration::from_millis(50));
        assert!(error.unwrap_err().to_string().contains("never said"));
        let error = shell("exec sleep 60").wait(Duration::from_millis(50));
        assert!(error.unwrap_err().to_string().contains("does not end"));
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = shell("exec sleep 60");
        let directory = format!("/proc/{}", process.id());
        assert!(Path::new(&directory).exists());
        drop(process);
        assert!(!Path::new(&directory).exists());
    }
}
