//! Waiting until a descriptor is ready, one or many, with a deadline.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, epoll};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

/// What a descriptor is waited for.
#[expect(clippy::exhaustive_enums, reason = "poll(2) has these two directions")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// It can be read.
    Read,
    /// It can be written.
    Write,
}

/// Waits until `descriptor` is ready, or in error, which its next call tells.
///
/// # Errors
///
/// `TimedOut` once the deadline is over.
pub fn wait(
    descriptor: BorrowedFd<'_>,
    interest: Interest,
    deadline: Option<Instant>,
) -> io::Result<()> {
    wait_for_events(descriptor, interest, deadline).map(drop)
}

/// What a descriptor that was waited for has.
pub(crate) struct Events(PollFlags);

impl Events {
    /// Returns whether there is neither an error nor an end.
    pub(crate) fn is_sound(&self) -> bool {
        !self.0.intersects(PollFlags::ERR | PollFlags::HUP)
    }
}

/// As [`wait`], and says what there is.
pub(crate) fn wait_for_events(
    descriptor: BorrowedFd<'_>,
    interest: Interest,
    deadline: Option<Instant>,
) -> io::Result<Events> {
    let flags = match interest {
        Interest::Read => PollFlags::IN,
        Interest::Write => PollFlags::OUT,
    };
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.map(timespec);
        let mut polled = [PollFd::new(&descriptor, flags)];
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(0) if left.is_some_and(|left| left.is_zero()) => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => {
                let [polled] = polled;
                return Ok(Events(polled.revents()));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns whether something went wrong with a descriptor that its next call will tell (POLLERR of
/// poll(2)); it waits for nothing, and leaves the error where it is.
pub fn has_error(descriptor: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(&descriptor, PollFlags::empty())];
    let answered = rustix::event::poll(&mut polled, Some(&timespec(Duration::ZERO)));
    let [polled] = polled;
    answered.is_ok_and(|count| count > 0) && polled.revents().contains(PollFlags::ERR)
}

/// A set of descriptors and one alarm, of which the next that is ready can be asked for, by any
/// number of threads at once (epoll(7), timerfd_create(2)).
#[derive(Debug)]
pub struct ReadySet {
    epoll: OwnedFd,
    timer: OwnedFd,
}

impl ReadySet {
    /// The key of the alarm.
    pub const ALARM: u64 = u64::MAX;

    /// Makes an empty set with its alarm off.
    ///
    /// # Errors
    ///
    /// As epoll_create(2) and timerfd_create(2).
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let data = epoll::EventData::new_u64(Self::ALARM);
        epoll::add(&epoll, &timer, data, epoll::EventFlags::IN | epoll::EventFlags::ET)?;
        Ok(Self { epoll, timer })
    }

    /// Adds a descriptor that is reported each time that it is readable.
    ///
    /// # Errors
    ///
    /// As epoll_ctl(2).
    pub fn add(&self, descriptor: impl AsFd, key: u64) -> io::Result<()> {
        let data = epoll::EventData::new_u64(key);
        Ok(epoll::add(&self.epoll, descriptor, data, epoll::EventFlags::IN)?)
    }

    /// Adds a descriptor that is reported once, and then not before [`Self::rearm`].
    ///
    /// # Errors
    ///
    /// As epoll_ctl(2).
    pub fn add_once(&self, descriptor: impl AsFd, key: u64, interest: Interest) -> io::Result<()> {
        let data = epoll::EventData::new_u64(key);
        Ok(epoll::add(&self.epoll, descriptor, data, once(interest))?)
    }

    /// Waits again for a descriptor that was reported.
    ///
    /// # Errors
    ///
    /// As epoll_ctl(2).
    pub fn rearm(&self, descriptor: impl AsFd, key: u64, interest: Interest) -> io::Result<()> {
        let data = epoll::EventData::new_u64(key);
        Ok(epoll::modify(&self.epoll, descriptor, data, once(interest))?)
    }

    /// Takes a descriptor out.
    ///
    /// # Errors
    ///
    /// As epoll_ctl(2).
    pub fn remove(&self, descriptor: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, descriptor)?)
    }

    /// Sets the alarm, in place of the one before.
    ///
    /// # Errors
    ///
    /// As timerfd_settime(2).
    pub fn set_alarm(&self, after: Duration) -> io::Result<()> {
        // Zero would turn it off.
        let after = after.max(Duration::from_micros(1));
        let spec = Itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(after) };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)?;
        Ok(())
    }

    /// Returns the key of the next descriptor that is ready; `None` if there is none and `block`
    /// is false, or a signal came.
    ///
    /// # Errors
    ///
    /// As epoll_wait(2).
    pub fn next(&self, block: bool) -> io::Result<Option<u64>> {
        self.next_within(if block { None } else { Some(Duration::ZERO) })
    }

    /// Returns the key of the next descriptor that is ready, and waits so long for one; `None` if
    /// there is none then, or a signal came.
    ///
    /// # Errors
    ///
    /// As epoll_wait(2).
    pub fn next_within(&self, time: Option<Duration>) -> io::Result<Option<u64>> {
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }];
        let timeout = time.map(timespec);
        match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => Ok(None),
            Ok(_) => {
                let [event] = events;
                Ok(Some(event.data.u64()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for ReadySet {
    /// A descriptor that is readable when [`ReadySet::next`] has something to say.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn once(interest: Interest) -> epoll::EventFlags {
    epoll::EventFlags::ONESHOT
        | match interest {
            Interest::Read => epoll::EventFlags::IN | epoll::EventFlags::RDHUP,
            Interest::Write => epoll::EventFlags::OUT,
        }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
