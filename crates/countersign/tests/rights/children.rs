//! Programs that are started inside, and processes that cannot revert.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use countersign_lab::{Seen, on_stage};

use crate::{ALICE, alice};

fn status_of_a_child(command: &mut Command) -> Seen {
    let output = command.arg("/proc/self/status").stderr(Stdio::inherit()).output().unwrap();
    Seen::parse(&String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_program_that_is_started_inside_is_the_peer_and_nothing_more() {
    on_stage("children::a_program_that_is_started_inside_is_the_peer_and_nothing_more", |_| {
        let (before, (uid, gid, groups)) = (Seen::now(), ALICE);
        let child = alice().impersonate(|_| status_of_a_child(&mut Command::new("cat")));
        let child = child.unwrap();
        assert!(child.is_only(uid, gid, groups), "{child:?}");
        assert_eq!(child.capabilities, [0; 4]);
        // With a shell in between, which forks by itself.
        let mut shell = Command::new("sh");
        shell.args(["-c", "cat $0 | cat"]);
        let child = alice().impersonate(|_| status_of_a_child(&mut shell)).unwrap();
        assert!(child.is_only(uid, gid, groups) && child.capabilities == [0; 4], "{child:?}");
        // By fork(2) and execve(2) instead of posix_spawn(3): a program cannot be given away.
        let given = alice().impersonate(|_| {
            std::os::unix::process::CommandExt::uid(&mut Command::new("true"), 0).status()
        });
        assert!(given.unwrap().is_err(), "a child of alice's that is root");
        assert_eq!(Seen::now(), before);
        assert_eq!(status_of_a_child(&mut Command::new("cat")), before);
    });
}

#[test]
fn no_new_privileges_is_honoured() {
    on_stage("children::no_new_privileges_is_honoured", |_| {
        rustix::thread::set_no_new_privs(true).unwrap();
        let (before, (uid, gid, groups)) = (Seen::now(), ALICE);
        alice().impersonate(|_| assert!(Seen::now().is_only(uid, gid, groups))).unwrap();
        assert_eq!(Seen::now(), before);
        assert!(rustix::thread::no_new_privs().unwrap());
    });
}

#[test]
fn whoever_cannot_revert_does_not_go_on() {
    const INNER: &str = "COUNTERSIGN_TEST_INNER";
    const TEST: &str = "children::whoever_cannot_revert_does_not_go_on";
    on_stage(TEST, |_| {
        if std::env::var_os(INNER).is_some() {
            let _ = alice().impersonate(|_| {
                // The code inside throws the way back away.
                let none = rustix::thread::CapabilitySet::empty();
                rustix::thread::set_capabilities(
                    None,
                    rustix::thread::CapabilitySets {
                        effective: none,
                        permitted: none,
                        inheritable: none,
                    },
                )
                .unwrap();
            });
            println!("went on as {:?}", Seen::now());
            return;
        }
        let mut again = Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", TEST, "--nocapture"]).env(INNER, "1").output().unwrap();
        assert_eq!(output.status.signal(), Some(6), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("cannot become who it was, so the process ends"), "{said}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("went on"));
    });
}
