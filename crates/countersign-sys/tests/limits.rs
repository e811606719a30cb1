//! What becoming somebody else does not do. The documentation of `countersign::rights` says each of
//! these; should one change, that must too.
#![expect(unsafe_code, reason = "the calls that get around the library are what is shown")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use countersign_lab::{Seen, on_stage};
use countersign_sys::{Credentials, Identity};
use rustix::thread::{CapabilitySets, capabilities, set_capabilities};

/// Runs `inside` as alice, on a thread of its own.
fn as_alice(inside: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(|| {
        let own = Credentials::of_thread().unwrap();
        own.assume(&Identity::new(2001, 2001, &[2001]).unwrap()).unwrap();
        inside();
        own.restore().unwrap();
    });
    thread.join().unwrap();
}

fn take_up() -> bool {
    let sets = capabilities(None).unwrap();
    set_capabilities(None, CapabilitySets { effective: sets.permitted, ..sets }).is_ok()
        && Seen::now().capabilities[2] != 0
}

#[test]
fn the_code_inside_can_take_its_privilege_up_again() {
    on_stage("the_code_inside_can_take_its_privilege_up_again", |stage| {
        let secret = stage.join("shadow");
        as_alice(move || {
            assert!(File::open(&secret).is_err());
            assert!(take_up(), "then the documentation is too modest");
            assert!(File::open(&secret).is_ok());
        });
    });
}

#[test]
fn a_child_by_the_bare_system_call_keeps_the_permitted_capabilities() {
    on_stage("a_child_by_the_bare_system_call_keeps_the_permitted_capabilities", |_| {
        as_alice(|| {
            // SAFETY: clone(2) with a signal and no flags is fork(2) without the C library's
            // handlers; the child makes system calls, and ends by _exit(2) without returning.
            let id = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
            if id == 0 {
                let is_privileged = capabilities(None).is_ok_and(|it| !it.permitted.is_empty());
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(i32::from(is_privileged)) };
            }
            let mut status = 0;
            let id = libc::pid_t::try_from(id).unwrap();
            // SAFETY: waitpid(2) writes one int to the pointer, which points to a local.
            let waited = unsafe { libc::waitpid(id, &raw mut status, 0) };
            assert_eq!(waited, id);
            assert_eq!(libc::WEXITSTATUS(status), 1, "then the documentation is too modest");
        });
    });
}

#[test]
fn set_user_id_calls_inside_change_the_whole_process() {
    const INNER: &str = "COUNTERSIGN_TEST_INNER";
    const TEST: &str = "set_user_id_calls_inside_change_the_whole_process";
    on_stage(TEST, |_| {
        if std::env::var_os(INNER).is_none() {
            // In a process that is nobody else's.
            let mut again = Command::new(std::env::current_exe().unwrap());
            let output = again.args(["--exact", TEST, "--nocapture"]).env(INNER, "1").output();
            let said = String::from_utf8(output.unwrap().stdout).unwrap();
            assert!(said.contains("the other thread is [2001, 2001, 2001, 2001]"), "{said}");
            return;
        }
        let (ask, asked) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            asked.recv().unwrap();
            println!("the other thread is {:?}", Seen::now().uids);
        });
        let inside = thread::spawn(move || {
            let own = Credentials::of_thread().unwrap();
            own.assume(&Identity::new(2001, 2001, &[2001]).unwrap()).unwrap();
            // SAFETY: setuid(2) takes a number.
            unsafe { libc::setuid(2001) };
            ask.send(()).unwrap();
        });
        inside.join().unwrap();
        other.join().unwrap();
        // SAFETY: ends the process, whose harness could not write its report any more.
        unsafe { libc::_exit(0) };
    });
}

#[test]
fn descriptors_that_were_opened_inside_stay() {
    on_stage("descriptors_that_were_opened_inside_stay", |stage| {
        let path = stage.join("alices");
        fs::write(&path, "hers").unwrap();
        chown(&path, Some(2001), Some(2001)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let (give, given) = mpsc::channel();
        as_alice(move || give.send(File::open(&path).unwrap()).unwrap());
        let bob = thread::spawn(move || {
            let own = Credentials::of_thread().unwrap();
            own.assume(&Identity::new(2002, 2002, &[]).unwrap()).unwrap();
            let mut text = String::new();
            given.recv().unwrap().read_to_string(&mut text).unwrap();
            own.restore().unwrap();
            text
        });
        assert_eq!(bob.join().unwrap(), "hers");
    });
}

static USER_IN_HANDLER: AtomicU32 = AtomicU32::new(u32::MAX);

extern "C" fn handler(_: libc::c_int) {
    USER_IN_HANDLER.store(rustix::process::geteuid().as_raw(), Ordering::Relaxed);
}

#[test]
fn a_signal_handler_runs_as_whom_its_thread_is() {
    on_stage("a_signal_handler_runs_as_whom_its_thread_is", |_| {
        let action = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler makes a system call and stores to an atomic, which may be done in one.
        let previous = unsafe { libc::signal(libc::SIGUSR1, action) };
        assert_ne!(previous, libc::SIG_ERR);
        as_alice(|| {
            // SAFETY: sends a signal that has a handler to the calling thread.
            unsafe { libc::raise(libc::SIGUSR1) };
        });
        assert_eq!(USER_IN_HANDLER.load(Ordering::Relaxed), 2001);
        // SAFETY: the same, as ourselves.
        unsafe { libc::raise(libc::SIGUSR1) };
        assert_eq!(USER_IN_HANDLER.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn the_working_directory_is_the_processs() {
    on_stage("the_working_directory_is_the_processs", |stage| {
        let stage = stage.to_owned();
        as_alice(move || std::env::set_current_dir("/").unwrap());
        assert_eq!(std::env::current_dir().unwrap(), std::path::Path::new("/"));
        File::create(stage.join("still-ours")).unwrap().write_all(b"x").unwrap();
    });
}
