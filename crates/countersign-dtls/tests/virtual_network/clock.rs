//! The clock of these tests, also for libssl.
//!
//! libssl takes the time of its retransmission timer from gettimeofday(2) and from nothing else. A
//! function of that name in a program stands before the one of the C library, so libssl lives by
//! this clock here, each thread by its own.

#![expect(unsafe_code, reason = "libssl asks the C library for the time, so we answer for it")]

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::time::{Duration, Instant};

use countersign_dtls::Moment;

/// Some day at which the test certificates are good is asked of the laboratory, not of this clock:
/// it only says how much time has passed.
const EPOCH: i64 = 1_700_000_000;

thread_local! {
    static ELAPSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static START: Instant = Instant::now();
}

/// The time now.
pub(crate) fn now() -> Moment {
    let instant = START.with(|start| *start + ELAPSED.get());
    Moment { instant, time: countersign_lab::now() }
}

/// Lets time pass until `then`.
pub(crate) fn jump_to(then: Instant) {
    START.with(|start| {
        ELAPSED.set(ELAPSED.get().max(then.saturating_duration_since(*start)));
    });
}

/// Lets time pass.
pub(crate) fn pass(time: Duration) {
    ELAPSED.set(ELAPSED.get() + time);
}

#[repr(C)]
struct Timeval {
    secs: i64,
    micros: i64,
}

// SAFETY: it has the signature and does what gettimeofday(2) says, on another clock.
#[unsafe(no_mangle)]
extern "C" fn gettimeofday(into: *mut Timeval, _zone: *mut c_void) -> c_int {
    let elapsed = ELAPSED.get();
    let secs = EPOCH + i64::try_from(elapsed.as_secs()).unwrap_or(0);
    let now = Timeval { secs, micros: i64::from(elapsed.subsec_micros()) };
    // SAFETY: callers of gettimeofday(2) give a pointer to a struct timeval.
    unsafe { into.write(now) };
    0
}

#[test]
fn libssl_lives_by_this_clock() {
    use crate::net::{Net, Weather, World};
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let client = net.add(world.client());
    net.connect(client, "192.0.2.99:1", "db1.test");
    let first = net.sent();
    pass(Duration::from_millis(400));
    net.tick(client);
    assert_eq!(net.sent(), first, "no retransmission before its time");
    pass(Duration::from_millis(101));
    net.tick(client);
    assert_eq!(net.sent(), first + 1, "and one at its time");
}
