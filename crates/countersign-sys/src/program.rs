//! Programs that are started for somebody else.
#![expect(unsafe_code, reason = "what a child does before it executes, and close_range(2)")]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Has a program that is to be somebody else's share neither terminal nor open files with us.
///
/// It has a session of its own, so it cannot put words into our terminal (TIOCSTI, ioctl_tty(2)),
/// and of the descriptors only the three standard ones, so that what whoever started us left open
/// is not read with its rights. Where the kernel cannot close them (Linux before 5.11) nothing is
/// started.
pub fn set_apart(command: &mut Command) {
    let apart = || {
        rustix::process::setsid()?;
        const FIRST: libc::c_uint = 3;
        // The child still needs one of them, to tell us that it could not execute.
        let how = libc::CLOSE_RANGE_CLOEXEC;
        // SAFETY: close_range(2) takes three numbers and touches no memory of ours.
        let outcome =
            unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, how) };
        if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: in the child the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(apart) };
}
