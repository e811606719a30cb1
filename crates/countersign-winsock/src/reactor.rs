//! The one thread of this library: it goes on with what the program has started and does not wait
//! for. It exists from the first time that there is something of the kind.
//!
//! It holds sockets weakly, so closing one does not have to ask it.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use crate::entry::{Entry, Secured};
use crate::waker::Waker;
use crate::{connect, kernel, network_events, operations};

/// What a socket is waited for next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) number: RawFd,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) hang_up: bool,
    pub(crate) deadline: Option<Instant>,
}

impl Want {
    fn is_nothing(&self) -> bool {
        !self.read && !self.write && !self.hang_up && self.deadline.is_none()
    }

    fn flags(&self) -> epoll::EventFlags {
        let mut flags = epoll::EventFlags::ONESHOT;
        flags.set(epoll::EventFlags::IN | epoll::EventFlags::RDHUP, self.read);
        flags.set(epoll::EventFlags::RDHUP, self.read || self.hang_up);
        flags.set(epoll::EventFlags::OUT, self.write);
        flags
    }
}

#[derive(Debug)]
struct Reactor {
    process: u32,
    epoll: OwnedFd,
    waker: Waker,
    inbox: Mutex<Inbox>,
    idle: Condvar,
}

#[derive(Debug, Default)]
struct Inbox {
    attend: Vec<Arc<Entry>>,
    /// Sockets that are closed, and have bytes that are still to go out.
    linger: Vec<Arc<Entry>>,
    lingering: usize,
}

/// A socket that is looked after.
struct Attended {
    entry: Weak<Entry>,
    /// Keeps a closed socket until its bytes are gone, or this moment has come.
    lingers: Option<(Arc<Entry>, Instant)>,
    want: Want,
}

const WAKER: u64 = 0;
/// How long bytes of a closed socket have to go out.
const LINGER: Duration = Duration::from_secs(60);

static REACTOR: Mutex<Option<Arc<Reactor>>> = Mutex::new(None);

/// Has the reactor look after a socket. If there can be no reactor, what was started goes on with
/// the next call on the socket.
pub(crate) fn attend(entry: &Arc<Entry>) {
    if let Ok(reactor) = Reactor::of_process() {
        lock(&reactor.inbox).attend.push(entry.clone());
        reactor.waker.wake();
    }
}

/// Makes the reactor before a thread acts for somebody else, whose rights it would inherit.
pub(crate) fn start() {
    // Without one, what was started goes on with the next call on the socket.
    let _none = Reactor::of_process();
}

/// Has the reactor keep a closed socket until its bytes have gone out.
pub(crate) fn linger(entry: Arc<Entry>) {
    if let Ok(reactor) = Reactor::of_process() {
        let mut inbox = lock(&reactor.inbox);
        inbox.linger.push(entry);
        inbox.lingering += 1;
        drop(inbox);
        reactor.waker.wake();
    }
}

/// Waits until the bytes of closed sockets are gone, but no longer than this.
pub(crate) fn wait_for_lingering(time: Duration) {
    let Some(reactor) = lock(&REACTOR).clone() else { return };
    if reactor.process != std::process::id() {
        return;
    }
    let inbox = lock(&reactor.inbox);
    let _ = reactor.idle.wait_timeout_while(inbox, time, |inbox| inbox.lingering > 0);
}

impl Reactor {
    /// The one of this process: after a fork(2) the child has none yet.
    fn of_process() -> io::Result<Arc<Self>> {
        let process = std::process::id();
        let mut reactor = lock(&REACTOR);
        if let Some(reactor) = &*reactor
            && reactor.process == process
        {
            return Ok(reactor.clone());
        }
        let made = Arc::new(Self {
            process,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            waker: Waker::new()?,
            inbox: Mutex::default(),
            idle: Condvar::new(),
        });
        let data = epoll::EventData::new_u64(WAKER);
        let waker = kernel::borrow(made.waker.number());
        epoll::add(&made.epoll, waker, data, epoll::EventFlags::IN)?;
        let running = made.clone();
        std::thread::Builder::new()
            .name("countersign-winsock".to_owned())
            .spawn(move || running.run())?;
        if let Some(parents) = reactor.replace(made.clone()) {
            // Its descriptors are shared with the parent, which still uses them.
            std::mem::forget(parents);
        }
        Ok(made)
    }

    fn run(&self) {
        let mut attended: HashMap<u64, Attended> = HashMap::new();
        let mut deadlines: BTreeSet<(Instant, u64)> = BTreeSet::new();
        loop {
            let first = deadlines.first().map(|(deadline, _)| *deadline);
            let mut due = self.wait(first);
            self.take_inbox(&mut attended, &mut due);
            let now = Instant::now();
            due.extend(deadlines.range(..=(now, u64::MAX)).map(|(_, key)| *key));
            due.sort_unstable();
            due.dedup();
            for key in due {
                let Some(mut one) = attended.remove(&key) else { continue };
                if let Some(deadline) = one.want.deadline {
                    deadlines.remove(&(deadline, key));
                }
                // A panic would be our bug; it must not end the operations of other sockets.
                let serve = std::panic::AssertUnwindSafe(|| self.serve(&mut one, key));
                if std::panic::catch_unwind(serve).unwrap_or(false) {
                    if let Some(deadline) = one.want.deadline {
                        deadlines.insert((deadline, key));
                    }
                    attended.insert(key, one);
                }
            }
        }
    }

    /// Waits, and returns the keys of the sockets that are ready.
    fn wait(&self, until: Option<Instant>) -> Vec<u64> {
        let event = epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(WAKER),
        };
        let mut events = [event; 64];
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            // Rounded up, so that the deadline is over when we look.
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let count = epoll::wait(&self.epoll, &mut events, left.as_ref()).unwrap_or(0);
        let ready = events.iter().take(count).map(|event| event.data.u64());
        ready.filter(|key| *key != WAKER).collect()
    }

    fn take_inbox(&self, attended: &mut HashMap<u64, Attended>, due: &mut Vec<u64>) {
        self.waker.clear();
        let (attend, linger) = {
            let mut inbox = lock(&self.inbox);
            (std::mem::take(&mut inbox.attend), std::mem::take(&mut inbox.linger))
        };
        for entry in attend {
            let key = key(&entry);
            attended.entry(key).or_insert_with(|| Attended {
                entry: Arc::downgrade(&entry),
                lingers: None,
                want: Want::default(),
            });
            due.push(key);
        }
        let until = Instant::now() + LINGER;
        for entry in linger {
            let key = key(&entry);
            let one = attended.entry(key).or_insert_with(|| Attended {
                entry: Arc::downgrade(&entry),
                lingers: None,
                want: Want::default(),
            });
            one.lingers = Some((entry, until));
            due.push(key);
        }
    }

    /// Goes on with a socket; returns whether there is more to wait for.
    fn serve(&self, one: &mut Attended, key: u64) -> bool {
        if one.lingers.is_none()
            && let Some(entry) = one.entry.upgrade()
        {
            let want = if entry.is_closed() { Want::default() } else { advance(&entry) };
            if entry.is_closed() {
                // We may be the last to hold it, and must not wait when it goes.
                lock(&self.inbox).lingering += 1;
                one.lingers = Some((entry, Instant::now() + LINGER));
            } else if self.wait_for(one, want, key) {
                return true;
            }
        }
        if let Some((entry, until)) = &one.lingers {
            let want = lingering(entry, *until);
            if self.wait_for(one, want, key) {
                return true;
            }
        }
        if one.want.number > 0 {
            let _gone_already = epoll::delete(&self.epoll, kernel::borrow(one.want.number));
        }
        if one.lingers.take().is_some() {
            lock(&self.inbox).lingering -= 1;
            self.idle.notify_all();
        }
        false
    }

    /// Has the kernel tell when a socket is ready; returns whether there is anything to wait for.
    fn wait_for(&self, one: &mut Attended, want: Want, key: u64) -> bool {
        if want.is_nothing() {
            return false;
        }
        one.want = want;
        let data = epoll::EventData::new_u64(key);
        let descriptor = kernel::borrow(want.number);
        if epoll::modify(&self.epoll, descriptor, data, want.flags()).is_err() {
            // It is new, or stands for another file than before.
            let _deadlines_remain = epoll::add(&self.epoll, descriptor, data, want.flags());
        }
        true
    }
}

/// Goes on with everything that a socket has under way.
fn advance(entry: &Arc<Entry>) -> Want {
    if let Some(want) = connect::advance(entry) {
        return want;
    }
    operations::advance(entry);
    let (reads, writes) = {
        let operations = entry.operations.lock().unwrap_or_else(PoisonError::into_inner);
        operations.interests()
    };
    let mut want = network_events::advance(entry);
    want.number = entry.number();
    want.read |= reads;
    match entry.secured() {
        Some(Secured::Stream(stream)) => {
            let unsent = stream.try_flush().is_err_and(|it| it.kind() == io::ErrorKind::WouldBlock);
            want.write |= writes || unsent;
        }
        // Its number stands for all that a datagram socket waits for, room for a datagram excepted:
        // there is room but for moments.
        Some(Secured::Datagram(_)) => want.read |= writes,
        Some(Secured::Listener(_)) => {}
        None => want.write |= writes,
    }
    want
}

/// Sends what a closed socket still has to send.
fn lingering(entry: &Arc<Entry>, until: Instant) -> Want {
    let Some(Secured::Stream(stream)) = entry.secured() else { return Want::default() };
    let more = stream.try_flush().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    if !more || Instant::now() >= until {
        // What has not gone out by now never will.
        let _cannot_fail = stream.set_nonblocking(true);
        return Want::default();
    }
    Want { number: entry.number(), write: true, deadline: Some(until), ..Want::default() }
}

/// No two sockets have the same, for as long as one of them is attended.
fn key(entry: &Arc<Entry>) -> u64 {
    Arc::as_ptr(entry).addr() as u64
}

/// Lists are changed in single steps, so what a panic left behind is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
