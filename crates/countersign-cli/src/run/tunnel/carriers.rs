//! The threads on which connections are carried.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::failure::Failure;

/// How many threads of each at most wait for names and files.
const WAITERS: usize = 32;

/// One thread for each core, each with a reactor of its own.
///
/// A runtime whose threads steal work from each other has one reactor for all, and whoever has
/// nothing to do is woken for each packet of a connection that another is busy with: that cost a
/// sixth of the time of a bulk transfer.
#[derive(Debug)]
pub(super) struct Carriers(Vec<Carrier>);

#[derive(Debug)]
struct Carrier {
    runtime: Handle,
    load: Arc<AtomicUsize>,
}

/// Those threads themselves, which end with this.
#[derive(Debug, Default)]
pub(super) struct Threads(Vec<(oneshot::Sender<()>, JoinHandle<()>)>);

/// What counts as the load of a carrier as long as it is there.
#[derive(Debug)]
struct Load(Arc<AtomicUsize>);

impl Carriers {
    /// Starts them; work of theirs that cannot be stopped may take `last_word` when they end.
    ///
    /// # Errors
    ///
    /// If there can be no thread, or no reactor.
    pub(super) fn start(last_word: Duration) -> Result<(Self, Threads), Failure> {
        let (mut carriers, mut threads) = (Vec::new(), Threads::default());
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(WAITERS)
                .build()
                .map_err(Failure::io("start a thread"))?;
            carriers.push(Carrier { runtime: runtime.handle().clone(), load: Arc::default() });
            let (goes_on, is_over) = oneshot::channel();
            let carry = move || {
                // Nothing is ever sent: it ends when the sender is dropped.
                let _ = runtime.block_on(is_over);
                runtime.shutdown_timeout(last_word);
            };
            let thread = thread::Builder::new().name("carrier".to_owned()).spawn(carry);
            threads.0.push((goes_on, thread.map_err(Failure::io("start a thread"))?));
        }
        Ok((Self(carriers), threads))
    }

    /// Has the one that carries least do this too.
    pub(super) fn spawn<F>(&self, what: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let least = self.0.iter().min_by_key(|carrier| carrier.load.load(Ordering::Relaxed));
        let Some(Carrier { runtime, load }) = least else { return };
        load.fetch_add(1, Ordering::Relaxed);
        let load = Load(Arc::clone(load));
        runtime.spawn(async move {
            let _load = load;
            what().await;
        });
    }
}

impl Threads {
    /// Ends them all, and drops what they still carry.
    pub(super) fn end(self) {
        let (going_on, threads): (Vec<_>, Vec<_>) = self.0.into_iter().unzip();
        drop(going_on);
        for thread in threads {
            // If it has panicked there is nothing left to drop.
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
