//! One lane for each who sends us datagrams: what he sends goes to a far end of his own, and what
//! comes from there goes back to him, until both have been silent for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::LARGEST;
use crate::failure::Failure;

/// The lanes that there are, at most so many.
#[derive(Debug)]
pub(super) struct Lanes<K> {
    lanes: Mutex<HashMap<K, SyncSender<Vec<u8>>>>,
    most: usize,
}

/// What became of a datagram.
#[derive(Debug)]
pub(super) enum Passed {
    /// It has no lane, and there is no room for one.
    Full,
    /// It is the first of a lane, which must be run now.
    Opened(Receiver<Vec<u8>>),
    /// It is on its way, or lost as on any full queue.
    Queued,
}

/// The other end of a lane.
pub(super) trait Far: Sync {
    /// Sends one datagram.
    fn send(&self, datagram: &[u8]) -> Result<(), Failure>;

    /// Waits [`TICK`] at most for a datagram; `None` is that none came.
    fn receive(&self, into: &mut [u8]) -> Result<Option<usize>, Failure>;
}

/// How long a receiver waits before it looks whether its lane is over.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// How many datagrams wait for their lane at most.
const QUEUE: usize = 128;

impl<K: Eq + Hash + Clone> Lanes<K> {
    pub(super) fn new(most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { lanes: Mutex::default(), most }
    }

    /// Puts a datagram on the lane of `key`.
    pub(super) fn pass(&self, key: &K, datagram: &[u8]) -> Passed {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(key) {
            match lane.try_send(datagram.to_vec()) {
                Ok(()) | Err(TrySendError::Full(_)) => return Passed::Queued,
                // It ended without a word to us.
                Err(TrySendError::Disconnected(_)) => {}
            }
        } else if lanes.len() >= self.most {
            return Passed::Full;
        }
        let (lane, queue) = mpsc::sync_channel(QUEUE);
        let _ = lane.try_send(datagram.to_vec());
        lanes.insert(key.clone(), lane);
        Passed::Opened(queue)
    }

    /// Carries datagrams between the queue and `far` until neither had any for `idle`.
    ///
    /// # Errors
    ///
    /// What went wrong at the far end; the lane is over then.
    pub(super) fn run(
        &self,
        key: &K,
        queue: &Receiver<Vec<u8>>,
        far: &impl Far,
        back: impl Fn(&[u8]) + Sync,
        idle: Duration,
    ) -> Result<(), Failure> {
        let heard = Mutex::new(Instant::now());
        let is_over = AtomicBool::new(false);
        let ending = thread::scope(|scope| {
            let receiver = thread::Builder::new().spawn_scoped(scope, || {
                let mut buffer = vec![0; LARGEST];
                while !is_over.load(Ordering::Relaxed) {
                    match far.receive(&mut buffer) {
                        Ok(Some(count)) => {
                            *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                            back(buffer.get(..count).unwrap_or_default());
                        }
                        Ok(None) => {}
                        Err(why) => return Err(why),
                    }
                }
                Ok(())
            });
            let receiver = receiver.map_err(Failure::io("start a thread"))?;
            let sent = loop {
                let last = *heard.lock().unwrap_or_else(PoisonError::into_inner);
                let left = idle.saturating_sub(last.elapsed());
                if receiver.is_finished() || (left.is_zero() && self.is_closed(key, queue)) {
                    break Ok(());
                }
                match queue.recv_timeout(left.min(TICK)) {
                    Ok(datagram) => {
                        *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                        if let Err(why) = far.send(&datagram) {
                            break Err(why);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break Ok(()),
                }
            };
            is_over.store(true, Ordering::Relaxed);
            let received = receiver.join().unwrap_or(Ok(()));
            sent.and(received)
        });
        if ending.is_err() {
            self.close(key);
        }
        ending
    }

    /// Ends a lane; what is still in its queue is lost.
    pub(super) fn close(&self, key: &K) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Ends all lanes.
    pub(super) fn close_all(&self) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Ends a lane unless something is in its queue.
    fn is_closed(&self, key: &K, queue: &Receiver<Vec<u8>>) -> bool {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever passes something on holds the lock, so nothing comes in between.
        match queue.try_recv() {
            Ok(datagram) => {
                // Its place is free, since we are the only reader.
                if let Some(lane) = lanes.get(key) {
                    let _ = lane.try_send(datagram);
                }
                false
            }
            Err(_) => {
                lanes.remove(key);
                true
            }
        }
    }
}
