//! What all connections of a command share, and how they come to an end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::carriers::Carriers;
use super::limits::raise_descriptors;
use super::stop::Signals;
use super::units::Units;
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::Patience;

/// What all connections of a command share.
#[derive(Debug)]
pub(in crate::run) struct Tunnels {
    pub(in crate::run) output: Output,
    pub(super) units: Units,
    pub(super) idle: Option<Duration>,
    carriers: Carriers,
    places: Arc<Semaphore>,
    live: AtomicUsize,
}

/// The place of one connection, which others wait for.
#[derive(Debug)]
pub(in crate::run) struct Place(
    #[expect(dead_code, reason = "it is there to be dropped")] OwnedSemaphorePermit,
);

/// Why a connection did not end as it should.
#[derive(Debug)]
pub(in crate::run) enum Trouble {
    /// It was broken off later.
    Broken(Failure),
    /// It never came to a connection.
    Refused(Failure),
}

/// A connection that is carried; if nobody says how it ended, it was stopped.
#[derive(Debug)]
struct Live {
    tunnels: Arc<Tunnels>,
    from: SocketAddr,
    has_ended: bool,
}

/// How long to wait before another look whether the log has caught up.
const BEHIND: Duration = Duration::from_millis(20);

/// How long those may take that cannot be stopped, and the last lines of the log.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Runs `serving`, which takes connections, on `acceptors` threads, until it ends or a signal
/// (SIGTERM, SIGINT) comes. Then no more connections are taken, and those under way may end by
/// themselves for as long as `patience` says, or until the next signal; the rest is cut.
///
/// # Errors
///
/// Those of `serving`; that threads cannot be started.
pub(in crate::run) fn run<F>(
    acceptors: usize,
    max_connections: u32,
    handshakes: usize,
    patience: Patience,
    output: &Output,
    serving: impl FnOnce(Arc<Tunnels>) -> F,
) -> Result<Verdict, Failure>
where
    F: Future<Output = Result<Verdict, Failure>> + Send + 'static,
{
    raise_descriptors(max_connections, handshakes);
    let output = output.queued().map_err(Failure::io("start a thread"))?;
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .worker_threads(acceptors)
        .thread_name("acceptor")
        .build()
        .map_err(Failure::io("start threads"))?;
    let (carriers, threads) = Carriers::start(LAST_WORD)?;
    let places = usize::try_from(max_connections).unwrap_or(usize::MAX);
    let tunnels = Arc::new(Tunnels {
        output: output.clone(),
        units: Units::default(),
        idle: patience.idle,
        carriers,
        places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
        live: AtomicUsize::new(0),
    });
    let serving = serving(Arc::clone(&tunnels));
    let ended = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let mut serving = tokio::spawn(serving);
        tokio::select! {
            ended = &mut serving => {
                return ended.unwrap_or_else(|error| Err(Failure::io("serve")(io::Error::other(error))));
            }
            () = signals.next() => serving.abort(),
        }
        tunnels.drain(max_connections, patience.drain, &mut signals).await;
        Ok(Verdict::AsExpected)
    });
    // Whatever is left is dropped with its thread, and so cut.
    runtime.shutdown_timeout(LAST_WORD);
    threads.end();
    output.settle(LAST_WORD);
    ended
}

impl Tunnels {
    /// Waits until the log can take what another client makes us write.
    pub(in crate::run) async fn may_write(&self) {
        while self.output.is_behind() {
            sleep(BEHIND).await;
        }
    }

    /// Waits for a place.
    pub(in crate::run) async fn place(&self) -> Place {
        match Arc::clone(&self.places).acquire_owned().await {
            Ok(permit) => Place(permit),
            // Nobody closes it.
            Err(_) => std::future::pending().await,
        }
    }

    /// Has a connection carried by a task of its own, on another thread, and logs it if it was broken.
    pub(in crate::run) fn carry<F>(
        self: &Arc<Self>,
        place: Place,
        from: SocketAddr,
        carrying: impl FnOnce(Arc<Self>) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), Trouble>> + Send + 'static,
    {
        self.live.fetch_add(1, Ordering::Relaxed);
        let mut live = Live { tunnels: Arc::clone(self), from, has_ended: false };
        self.carriers.spawn(move || async move {
            // Given back last, when nothing is held any more that counts against a limit.
            let _place = place;
            let ended = carrying(Arc::clone(&live.tunnels)).await;
            live.has_ended = true;
            match ended {
                Ok(()) => {}
                Err(Trouble::Broken(why)) => live.tunnels.output.broken(from, &why),
                Err(Trouble::Refused(why)) => live.tunnels.output.refused(from, &why),
            }
        });
    }

    /// Waits for those that are under way, but no longer than `time` or for another signal.
    async fn drain(&self, places: u32, time: Duration, signals: &mut Signals) {
        self.output.stopping(self.live.load(Ordering::Relaxed), time);
        tokio::select! {
            // All places are free when nobody accepts and nothing is carried any more.
            _ = self.places.acquire_many(places) => {}
            () = sleep(time) => {}
            () = signals.next() => {}
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.tunnels.live.fetch_sub(1, Ordering::Relaxed);
        if !self.has_ended {
            self.tunnels.output.broken(self.from, &Failure::Stopped);
        }
    }
}
