//! Which core a thread runs on, and how much of it threads and processes have used.

use std::fs;
use std::io;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The core of the side that sends or connects, and that of the side that receives or accepts.
pub(crate) const CORES: (usize, usize) = (0, 1);

/// Keeps the calling thread, and the threads and processes that it starts from now on, on one
/// core, if the machine has that many.
pub(crate) fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    // On a machine with one core everybody shares it.
    let _ = sched_setaffinity(None, &set);
}

/// Lets the calling thread run on every core again.
pub(crate) fn unpin() {
    let mut set = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|core| set.set(core));
    // The kernel leaves out those that there are not.
    let _ = sched_setaffinity(None, &set);
}

/// Returns the seconds of processor time that the calling thread has used, in the kernel too.
pub(crate) fn of_this_thread() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Returns the seconds of processor time that a process has used, by all of its threads (proc(5),
/// `/proc/pid/stat`).
pub(crate) fn of_process(id: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    ticks(&stat)
        .map(|ticks| ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
        .ok_or_else(|| io::Error::other(format!("/proc/{id}/stat is not understood: {stat}")))
}

/// Fields 14 and 15, utime and stime; the name of the program, field 2, may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::{of_process, of_this_thread, ticks};

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (short) S 1 2"), None);
    }

    #[test]
    fn work_takes_time() {
        let before = of_this_thread();
        let sum = (0..2_000_000_u64).fold(0, |sum, it| std::hint::black_box(sum ^ it));
        assert!(sum < u64::MAX && of_this_thread() > before);
        assert!(of_process(std::process::id()).unwrap() >= 0.0);
    }
}
