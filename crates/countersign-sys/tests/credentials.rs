//! A thread becomes somebody else and comes back; the kernel is asked what that means.
#![expect(unsafe_code, reason = "fork(2) and the C library's setuid(2) are what is tested")]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use countersign_lab::{Seen, on_stage};
use countersign_sys::{Credentials, Identity, SwitchError};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, configure_capability_in_ambient_set, set_capabilities,
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

fn alice() -> Identity {
    Identity::new(2001, 2001, &[2001, 3001, 3002]).unwrap()
}

/// On a thread of its own, so that no test can spoil another.
fn alone(body: impl FnOnce() + Send + 'static) {
    thread::spawn(body).join().unwrap();
}

#[test]
fn everything_changes_and_comes_back() {
    on_stage("everything_changes_and_comes_back", |_| {
        alone(|| {
            let (before, seen) = (Credentials::of_thread().unwrap(), Seen::now());
            for _ in 0..3 {
                before.assume(&alice()).unwrap();
                assert!(Seen::now().is_only(2001, 2001, &[2001, 3001, 3002]), "{:?}", Seen::now());
                before.restore().unwrap();
                assert_eq!(Seen::now(), seen);
            }
        });
    });
}

#[test]
fn only_the_calling_thread_changes() {
    on_stage("only_the_calling_thread_changes", |_| {
        let ((go, wait), (report, reported)) = (mpsc::channel::<()>(), mpsc::channel());
        let other = thread::spawn(move || {
            let before = Seen::now();
            wait.recv().unwrap();
            report.send(Seen::now() == before).unwrap();
        });
        alone(move || {
            Credentials::of_thread().unwrap().assume(&alice()).unwrap();
            go.send(()).unwrap();
            assert!(reported.recv().unwrap(), "the other thread was changed");
        });
        other.join().unwrap();
    });
}

/// A service that is not root, as systemd starts it with AmbientCapabilities=.
fn become_service(capabilities: CapabilitySet) {
    set_thread_groups(&[Gid::from_raw(991)]).unwrap();
    let gid = Gid::from_raw(990);
    set_thread_res_gid(gid, gid, gid).unwrap();
    set_keep_capabilities(true).unwrap();
    let uid = Uid::from_raw(990);
    set_thread_res_uid(uid, uid, uid).unwrap();
    set_keep_capabilities(false).unwrap();
    let sets = CapabilitySets {
        effective: capabilities,
        permitted: capabilities,
        inheritable: capabilities,
    };
    set_capabilities(None, sets).unwrap();
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if capabilities.contains(one) {
            configure_capability_in_ambient_set(one, true).unwrap();
        }
    }
}

#[test]
fn a_service_without_root_comes_back_with_its_ambient_capabilities() {
    on_stage("a_service_without_root_comes_back_with_its_ambient_capabilities", |_| {
        alone(|| {
            become_service(CapabilitySet::SETUID | CapabilitySet::SETGID);
            let (before, seen) = (Credentials::of_thread().unwrap(), Seen::now());
            assert_ne!(seen.capabilities[3], 0, "ambient");
            before.assume(&alice()).unwrap();
            assert!(Seen::now().is_only(2001, 2001, &[2001, 3001, 3002]), "{:?}", Seen::now());
            let child = Command::new("cat").arg("/proc/self/status").output().unwrap();
            let child = Seen::parse(&String::from_utf8(child.stdout).unwrap());
            assert!(child.is_only(2001, 2001, &[2001, 3001, 3002]), "{child:?}");
            assert_eq!(child.capabilities, [0; 4], "a capability passed exec");
            before.restore().unwrap();
            assert_eq!(Seen::now(), seen);
        });
        alone(|| {
            become_service(CapabilitySet::SETUID | CapabilitySet::SETGID);
            let (before, seen) = (Credentials::of_thread().unwrap(), Seen::now());
            before.assume(&Identity::new(0, 0, &[]).unwrap()).unwrap();
            assert_eq!(Seen::now().uids, [0; 4]);
            before.restore().unwrap();
            assert_eq!(Seen::now(), seen, "from root back to a user");
        });
    });
}

#[test]
fn what_is_missing_is_named_and_nothing_changes() {
    on_stage("what_is_missing_is_named_and_nothing_changes", |_| {
        assert_eq!(Credentials::of_thread().unwrap().missing(), None);
        for (have, setuid, setgid) in [
            (CapabilitySet::SETUID, false, true),
            (CapabilitySet::SETGID, true, false),
            (CapabilitySet::CHOWN, true, true),
        ] {
            alone(move || {
                become_service(have);
                let (before, seen) = (Credentials::of_thread().unwrap(), Seen::now());
                let missing = before.missing().unwrap();
                assert_eq!((missing.setuid, missing.setgid), (setuid, setgid));
                // Also if nobody asks first.
                let refused = before.assume(&alice());
                assert!(matches!(refused, Err(SwitchError::Refused { .. })), "{refused:?}");
                assert_eq!(Seen::now(), seen);
            });
        }
    });
}

/// Runs the calling test again, in a user namespace in which these many users and groups exist, from
/// root on (user_namespaces(7)); or with root alone and no way to set groups.
fn again_with(mapping: Option<(u32, u32)>, test: &str) {
    let mut again = Command::new("unshare");
    again.args(["--user", "sh", "-c", "echo ready; read go; exec \"$@\"", "sh"]);
    again.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    again.env(INNER, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut again = again.spawn().unwrap();
    let mut said = BufReader::new(again.stdout.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    let write = |file: &str, text: &str| {
        fs::write(format!("/proc/{}/{file}", again.id()), text).unwrap();
    };
    if mapping.is_none() {
        write("setgroups", "deny");
    }
    let (users, groups) = mapping.unwrap_or((1, 1));
    write("gid_map", &format!("0 0 {groups}"));
    write("uid_map", &format!("0 0 {users}"));
    again.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(again.wait().unwrap().success() && rest.contains("1 passed"), "{mapping:?}: {rest}");
}

/// Set in a test that was started again by itself.
const INNER: &str = "COUNTERSIGN_TEST_INNER";

#[test]
fn an_identity_without_a_mapping_changes_nothing() {
    const TEST: &str = "an_identity_without_a_mapping_changes_nothing";
    on_stage(TEST, |_| {
        if std::env::var_os(INNER).is_none() {
            // The first call fails, and then the last, when there is something to be undone.
            again_with(None, TEST);
            again_with(Some((1, 4000)), TEST);
            return;
        }
        let (before, seen) = (Credentials::of_thread().unwrap(), Seen::now());
        let sets_groups = fs::read_to_string("/proc/self/setgroups").unwrap();
        let expected = if sets_groups.trim() == "allow" { "setresuid" } else { "setgroups" };
        match before.assume(&alice()) {
            Err(SwitchError::Refused { call, .. }) => assert_eq!(call, expected),
            other => panic!("{other:?}"),
        }
        assert_eq!(Seen::now(), seen);
    });
}

#[test]
fn a_thread_with_root_in_reserve_comes_back() {
    on_stage("a_thread_with_root_in_reserve_comes_back", |_| {
        for next in [alice(), Identity::new(0, 0, &[]).unwrap()] {
            for (real, effective, saved) in [(990, 990, 0), (990, 0, 0), (0, 990, 990)] {
                let next = next.clone();
                alone(move || {
                    let [real, effective, saved] = [real, effective, saved].map(Uid::from_raw);
                    set_thread_res_uid(real, effective, saved).unwrap();
                    let had = rustix::thread::capabilities(None).unwrap();
                    set_capabilities(None, CapabilitySets { effective: had.permitted, ..had })
                        .unwrap();
                    let (before, seen) = (Credentials::of_thread().unwrap(), Seen::now());
                    before.assume(&next).unwrap();
                    assert_eq!(Seen::now().uids, [next.uid(); 4]);
                    before.restore().unwrap();
                    assert_eq!(Seen::now(), seen);
                });
            }
        }
    });
}

#[test]
fn ids_for_files_that_differ_come_back() {
    on_stage("ids_for_files_that_differ_come_back", |_| {
        alone(|| {
            // SAFETY: setfsuid(2) takes a number, and changes this thread alone.
            unsafe { libc::setfsuid(2002) };
            // SAFETY: the same of setfsgid(2).
            unsafe { libc::setfsgid(2002) };
            let (before, seen) = (Credentials::of_thread().unwrap(), Seen::now());
            assert_eq!((seen.uids[3], seen.gids[3]), (2002, 2002));
            before.assume(&alice()).unwrap();
            assert!(Seen::now().is_only(2001, 2001, &[2001, 3001, 3002]));
            before.restore().unwrap();
            let back = Seen::now();
            assert_eq!((back.uids, back.gids), (seen.uids, seen.gids));
        });
    });
}

/// Runs `child` in a child of fork(2) and returns what it returned.
fn in_fork(child: impl FnOnce() -> u8) -> i32 {
    // SAFETY: the child makes system calls and allocates (which glibc permits after fork(2) even in
    // a process with threads), and ends by _exit(2) without returning.
    let id = unsafe { libc::fork() };
    if id == 0 {
        let code = child();
        // SAFETY: ends the child at once, and runs nothing that the parent has registered.
        unsafe { libc::_exit(i32::from(code)) };
    }
    assert!(id > 0, "{}", io::Error::last_os_error());
    let mut status = 0;
    // SAFETY: waitpid(2) writes one int to the pointer, which points to a local.
    let waited = unsafe { libc::waitpid(id, &raw mut status, 0) };
    assert_eq!(waited, id);
    std::process::ExitStatus::from_raw(status).code().unwrap_or(-1)
}

#[test]
fn a_child_of_fork_keeps_no_capability_and_no_way_back() {
    on_stage("a_child_of_fork_keeps_no_capability_and_no_way_back", |_| {
        alone(|| {
            let before = Credentials::of_thread().unwrap();
            before.assume(&alice()).unwrap();
            let came_to = in_fork(|| {
                let seen = Seen::now();
                if !seen.is_only(2001, 2001, &[2001, 3001, 3002]) || seen.capabilities != [0; 4] {
                    return 1;
                }
                // SAFETY: setuid(2) takes a number.
                let became_alice = unsafe { libc::setuid(2001) };
                // SAFETY: the same.
                let became_root = unsafe { libc::setuid(0) };
                // SAFETY: the same of seteuid(2).
                let became_root_in_effect = unsafe { libc::seteuid(0) };
                if became_alice != 0 || became_root == 0 || became_root_in_effect == 0 {
                    return 2;
                }
                if before.restore().is_ok() || Seen::now() != seen {
                    return 3;
                }
                0
            });
            assert_eq!(came_to, 0);
            before.restore().unwrap();
        });
        // One that is nobody else forks as ever.
        alone(|| {
            let seen = Seen::now();
            assert_eq!(in_fork(|| u8::from(Seen::now() != seen)), 0);
        });
    });
}

#[test]
fn a_thread_that_is_started_inside_is_the_peer_for_good() {
    on_stage("a_thread_that_is_started_inside_is_the_peer_for_good", |_| {
        alone(|| {
            let before = Credentials::of_thread().unwrap();
            before.assume(&alice()).unwrap();
            let (go, wait) = mpsc::channel::<()>();
            let inner = thread::spawn(move || {
                wait.recv().unwrap();
                let seen = Seen::now();
                let own = Credentials::of_thread().unwrap();
                (seen, own.missing().is_some(), own.assume(&alice()).is_err())
            });
            before.restore().unwrap();
            go.send(()).unwrap();
            let (seen, is_missing, is_refused) = inner.join().unwrap();
            assert!(seen.is_only(2001, 2001, &[2001, 3001, 3002]), "{seen:?}");
            assert!(is_missing && is_refused);
        });
    });
}

/// keyctl(2): a session for this thread and those that it starts, so that the key is in no other.
fn join_session() {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: JOIN_SESSION_KEYRING takes a string or null, which is an anonymous one.
    let session = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, 0, 0, 0, 0) };
    assert!(session > 0, "{}", io::Error::last_os_error());
}

/// keyctl(2): the key of this name, searched for from the session keyring of the calling thread.
fn find_key() -> io::Result<libc::c_long> {
    const SEARCH: libc::c_long = 10;
    const SESSION: libc::c_long = -3;
    let (kind, name) = (c"user".as_ptr(), c"countersign-test".as_ptr());
    // SAFETY: KEYCTL_SEARCH reads two strings, which are constants, and writes nothing.
    let key = unsafe { libc::syscall(libc::SYS_keyctl, SEARCH, SESSION, kind, name, 0) };
    if key < 0 { Err(io::Error::last_os_error()) } else { Ok(key) }
}

/// add_key(2), to the session keyring of the calling thread.
fn add_key() -> libc::c_long {
    const SESSION: libc::c_long = -3;
    let (kind, name) = (c"user".as_ptr(), c"countersign-test".as_ptr());
    // SAFETY: add_key(2) reads two strings and one byte, which are constants, and writes nothing.
    let key = unsafe { libc::syscall(libc::SYS_add_key, kind, name, c"x".as_ptr(), 1, SESSION) };
    assert!(key > 0, "{}", io::Error::last_os_error());
    key
}

#[test]
fn keys_of_the_session_stay_behind_on_both_ways() {
    on_stage("keys_of_the_session_stay_behind_on_both_ways", |_| {
        alone(|| {
            join_session();
            let servers = add_key();
            assert_eq!(find_key().unwrap(), servers);
            alone(move || {
                assert_eq!(find_key().unwrap(), servers, "threads share the session");
                let before = Credentials::of_thread().unwrap();
                before.assume(&alice()).unwrap();
                assert!(find_key().is_err(), "the server's key");
                let alices = add_key();
                assert_eq!(find_key().unwrap(), alices);
                before.restore().unwrap();
                assert!(find_key().is_err(), "alice's key, as the server");
                // What the thread itself has put there is not the next one's either.
                add_key();
                before.assume(&Identity::new(2002, 2002, &[]).unwrap()).unwrap();
                assert!(find_key().is_err(), "a key of the server's, as bob");
                before.restore().unwrap();
            });
            assert_eq!(find_key().unwrap(), servers, "another thread");
        });
    });
}

#[test]
fn set_user_id_calls_of_another_thread_end_the_process() {
    const TEST: &str = "set_user_id_calls_of_another_thread_end_the_process";
    on_stage(TEST, |_| {
        if std::env::var_os(INNER).is_some() {
            let (ready, is_ready) = mpsc::channel();
            let _impersonating = thread::spawn(move || {
                Credentials::of_thread().unwrap().assume(&alice()).unwrap();
                ready.send(()).unwrap();
                loop {
                    thread::park();
                }
            });
            is_ready.recv().unwrap();
            // By signal 33 the C library has every thread do the same: this one can, that one must
            // not be able to.
            // SAFETY: seteuid(2) takes a number.
            let outcome = unsafe { libc::seteuid(0) };
            // Only reached if the other thread has obeyed, and is root now.
            println!("seteuid returned {outcome}");
            return;
        }
        let mut again = Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", TEST, "--nocapture"]).env(INNER, "1").output().unwrap();
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
    });
}
