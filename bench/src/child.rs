//! Parts of a measurement that need a process of their own: what memory is whose can only be told
//! where nobody else allocates.
//!
//! A child is this program with `--child WHAT WORDS`. It says lines on its output, and goes on until
//! its input ends.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::{datagrams, kerberos, memory, scaling, targets, tickets, tunnels, winsock};

/// A child that is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Helper {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Helper {
    pub(crate) fn start(words: &[&str]) -> io::Result<Self> {
        Self::start_with(words, &[])
    }

    /// Starts one with these in its environment.
    pub(crate) fn start_with(
        words: &[&str],
        environment: &[(&'static str, OsString)],
    ) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let environment = environment.iter().map(|(name, value)| (name, value));
        command
            .arg("--child")
            .args(words)
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let output = BufReader::new(child.stdout.take().expect("it was asked for"));
        Ok(Self { child, output })
    }

    /// Waits for its next line.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the helper ended before it had answered"));
        }
        Ok(line.trim_end().to_owned())
    }

    /// Waits for its next line, a number.
    pub(crate) fn number(&mut self) -> io::Result<f64> {
        let line = self.line()?;
        line.parse().map_err(|_| io::Error::other(format!("the helper said {line:?}")))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does what a child was started for.
pub(crate) fn main(words: &[String]) -> io::Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["datagram-memory", peer, at] => datagrams::child(peer, at),
        ["datagram-tickets", what, time] => datagrams::ticket_child(what, seconds(time)?),
        ["kerberos-steps", time] => kerberos::child(seconds(time)?),
        ["memory-server", peer, at, count] => memory::serve(peer, at, number(count)?),
        ["memory-client", peer, at, address, count] => {
            memory::connect(peer, at, address, number(count)?)
        }
        ["scaling-server", peer, at, count] => scaling::serve(peer, at, number(count)?),
        ["relay", side, at, listen, to] => tunnels::relay(side, at, address(listen)?, address(to)?),
        ["tickets", what, clients, time] => tickets::child(what, number(clients)?, seconds(time)?),
        ["targets", count] => targets::child(number(count)?),
        ["winsock-calls", by, at, time] => winsock::calls(by, at, seconds(time)?),
        ["winsock-sockets", threads, _, time] => winsock::sockets(number(threads)?, seconds(time)?),
        _ => Err(io::Error::other(format!("no helper does {words:?}"))),
    }
}

/// Says a line, and waits until nobody wants us any more.
pub(crate) fn say_and_wait(line: &str) -> io::Result<()> {
    println!("{line}");
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

/// Returns the bytes of memory that this process has, as the kernel counts them page by page
/// (proc_pid_smaps_rollup(5)); the sums in /proc/self/statm lag behind.
pub(crate) fn resident() -> io::Result<f64> {
    resident_of(std::process::id())
}

/// The same of another process.
pub(crate) fn resident_of(id: u32) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    let kibibytes: f64 = kibibytes.ok_or_else(|| io::Error::other("no Rss in smaps_rollup"))?;
    Ok(kibibytes * 1024.0)
}

fn number(text: &str) -> io::Result<usize> {
    text.parse().map_err(|_| io::Error::other(format!("{text:?} is not a number")))
}

fn address(text: &str) -> io::Result<SocketAddr> {
    text.parse().map_err(|_| io::Error::other(format!("{text:?} is not an address")))
}

fn seconds(text: &str) -> io::Result<Duration> {
    let time = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| io::Error::other(format!("{text:?} is not a time")))
}

#[cfg(test)]
mod tests {
    use super::resident;

    #[test]
    fn memory_that_is_touched_counts() {
        let before = resident().unwrap();
        let touched = vec![1_u8; 32 << 20];
        assert!(resident().unwrap() - before > 30e6);
        assert_eq!(touched.last(), Some(&1));
    }
}
