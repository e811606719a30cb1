//! Lines on their way to stderr, where nobody may wait for whoever reads it.

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Above this many lines that wait, there should be no more.
const MOST: usize = 1024;

/// How much is written by one system call at most, unless one line is longer.
const PIECE: usize = 64 * 1024;

/// Lines that a thread of their own writes, in order. Without limit: who makes others cause lines
/// looks first whether they can be written ([`Self::is_behind`]).
#[derive(Debug)]
pub(super) struct Log {
    lines: Sender<String>,
    waiting: Arc<Waiting>,
}

/// How many lines have not been written.
#[derive(Debug, Default)]
struct Waiting {
    count: Mutex<usize>,
    fewer: Condvar,
}

impl Log {
    /// Starts the thread, which ends with the last handle.
    pub(super) fn start() -> io::Result<Self> {
        Self::to(|text| {
            let _ = io::stderr().lock().write_all(text.as_bytes());
        })
    }

    fn to(write: impl FnMut(&str) + Send + 'static) -> io::Result<Self> {
        let (lines, queue) = mpsc::channel();
        let waiting = Arc::<Waiting>::default();
        let writing = Arc::clone(&waiting);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&queue, &writing, write))?;
        Ok(Self { lines, waiting })
    }

    /// Has this written after everything before it.
    pub(super) fn push(&self, text: String) {
        *self.waiting.lock() += 1;
        // The thread is there as long as this is.
        let _ = self.lines.send(text);
    }

    /// Returns whether so many wait that there should be no more.
    pub(super) fn is_behind(&self) -> bool {
        *self.waiting.lock() > MOST
    }

    /// Waits until none waits, but no longer than `patience`.
    pub(super) fn settle(&self, patience: Duration) {
        let count = self.waiting.lock();
        let settled = self.waiting.fewer.wait_timeout_while(count, patience, |count| *count > 0);
        drop(settled);
    }
}

impl Waiting {
    /// A number is whole whatever panicked.
    fn lock(&self) -> std::sync::MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_all(queue: &Receiver<String>, waiting: &Waiting, mut write: impl FnMut(&str)) {
    while let Ok(mut text) = queue.recv() {
        let mut lines = 1;
        while text.len() < PIECE
            && let Ok(next) = queue.try_recv()
        {
            text.push_str(&next);
            lines += 1;
        }
        write(&text);
        *waiting.lock() -= lines;
        waiting.fewer.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::{Log, MOST};

    #[test]
    fn who_has_something_to_tell_does_not_wait_and_all_is_written_in_order() {
        let (go, may_go) = mpsc::channel::<()>();
        let (wrote, written) = mpsc::channel();
        let log = Log::to(move |text| {
            let _ = may_go.recv();
            let _ = wrote.send(text.to_owned());
        });
        let log = log.unwrap();
        assert!(!log.is_behind());
        for number in 0..MOST + 2 {
            log.push(format!("{number}\n"));
        }
        assert!(log.is_behind());
        let start = Instant::now();
        log.settle(Duration::from_millis(50));
        assert!(start.elapsed() >= Duration::from_millis(50));
        drop(go);
        log.settle(Duration::from_secs(60));
        assert!(!log.is_behind());
        let expected: String = (0..MOST + 2).map(|number| format!("{number}\n")).collect();
        assert_eq!(written.try_iter().collect::<String>(), expected);
    }
}
