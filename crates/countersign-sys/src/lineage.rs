//! Whether this process is the one that it was: fork(2) copies what is in memory, and no thread but
//! the one that calls it.

#![expect(unsafe_code, reason = "memory that the kernel wipes in a child")]

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// A number in memory that is zero again in each child (MADV_WIPEONFORK, madvise(2)).
static WIPED: AtomicPtr<AtomicUsize> = AtomicPtr::new(ptr::null_mut());

/// The last number that was given out, here or in a process that this one was forked from.
static LAST: AtomicUsize = AtomicUsize::new(0);

/// Returns the number of this process among those that were forked from one another without
/// exec(3): 0 in the first one that asks, and in each child another one than in all its ancestors.
/// They go up by one, but where several threads ask first at one time.
///
/// Whoever keeps threads, or locks that other threads hold, has to look: neither are there in a
/// child. No lock is taken here. The kernel itself tells a child, however it was made; where it
/// cannot (Linux before 4.14), the number is always 0.
pub fn lineage() -> usize {
    let Some(number) = wiped() else { return 0 };
    loop {
        match number.load(Ordering::Acquire) {
            0 => {
                // It counts as given out before anybody can see it, and so before a child can be
                // made by who has seen it.
                let next = LAST.fetch_add(1, Ordering::AcqRel) + 1;
                let _ = number.compare_exchange(0, next, Ordering::AcqRel, Ordering::Acquire);
            }
            number => return number - 1,
        }
    }
}

/// Returns the number that a child finds to be zero.
fn wiped() -> Option<&'static AtomicUsize> {
    let there = WIPED.load(Ordering::Acquire);
    let place = if there.is_null() { make()? } else { there };
    // SAFETY: it points to a page of our own, aligned and large enough for the number, which is
    // never unmapped; zero bytes are a number.
    Some(unsafe { &*place })
}

fn make() -> Option<*mut AtomicUsize> {
    const LENGTH: usize = 4096;
    // SAFETY: a new private mapping of our own, where the kernel wants it, touches no other memory.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            LENGTH,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the range is the mapping that was just made.
    let is_wiped = unsafe { libc::madvise(page, LENGTH, libc::MADV_WIPEONFORK) } == 0;
    let ours = page.cast::<AtomicUsize>();
    let nobody = ptr::null_mut();
    let theirs = match is_wiped {
        true => WIPED.compare_exchange(nobody, ours, Ordering::AcqRel, Ordering::Acquire),
        false => Err(nobody),
    };
    match theirs {
        Ok(_) => Some(ours),
        Err(theirs) => {
            // SAFETY: the mapping was just made, and nobody else has seen it.
            unsafe { libc::munmap(page, LENGTH) };
            (!theirs.is_null()).then_some(theirs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lineage;

    /// Runs this in a child, which says by its exit status whether it was as expected.
    #[track_caller]
    fn in_child(check: impl FnOnce() -> bool) {
        // SAFETY: the child asks for numbers, which takes no lock and no memory of the C library,
        // and ends without a handler of exit(3).
        let child = unsafe { libc::fork() };
        if child == 0 {
            crate::exit_at_once(u8::from(!check()));
        }
        assert!(child > 0, "{}", std::io::Error::last_os_error());
        let mut status = 0;
        // SAFETY: the status is written to a number of ours.
        let waited = unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!((waited, status), (child, 0));
    }

    #[test]
    fn each_child_has_a_number_of_its_own_and_keeps_it() {
        let first = lineage();
        assert_eq!(lineage(), first);
        in_child(|| {
            let child = lineage();
            let mut is_fine = child > first && lineage() == child;
            // SAFETY: as above.
            let grandchild = unsafe { libc::fork() };
            if grandchild == 0 {
                crate::exit_at_once(u8::from(lineage() <= child));
            }
            let mut status = 0;
            // SAFETY: as above.
            unsafe { libc::waitpid(grandchild, &mut status, 0) };
            is_fine &= status == 0 && lineage() == child;
            is_fine
        });
        assert_eq!(lineage(), first, "a child's number is not ours");
    }
}
