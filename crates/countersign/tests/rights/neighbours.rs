//! What other processes on the host can do to a thread that acts for their account, and it to
//! them.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use countersign::rights::{assume, revert};
use countersign_lab::on_stage;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::alice;

/// Whether a process of this user succeeds with a shell command.
fn succeeds(uid: u32, script: &str) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).uid(uid).gid(uid).stderr(Stdio::null()).stdout(Stdio::null());
    shell.status().unwrap().success()
}

#[test]
fn the_same_account_can_signal_the_thread_and_not_look_into_it() {
    on_stage("neighbours::the_same_account_can_signal_the_thread_and_not_look_into_it", |_| {
        let (process, thread) = (std::process::id(), rustix::thread::gettid());
        let signal = format!("kill -0 {}", thread.as_raw_nonzero());
        let task = format!("/proc/{process}/task/{}", thread.as_raw_nonzero());
        let look = format!("cat {task}/environ");
        let read = format!("head -c 1 {task}/mem");
        let descriptors = format!("ls {task}/fd/0");
        // The neighbours are started by a thread that is root all the time.
        let (ask, asked) = std::sync::mpsc::channel::<(u32, String)>();
        let (answer, answers) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for (uid, script) in asked {
                answer.send(succeeds(uid, &script)).unwrap();
            }
        });
        let succeeds = |uid: u32, script: &str| {
            ask.send((uid, script.to_owned())).unwrap();
            answers.recv().unwrap()
        };
        assert!(succeeds(0, &signal) && !succeeds(2001, &signal), "before");
        assume(&alice()).unwrap();
        // Documented, and not to be avoided: what the kernel asks is the real user id.
        assert!(succeeds(2001, &signal), "the documentation says more than is true");
        assert!(!succeeds(2002, &signal), "bob");
        for script in [&look, &read, &descriptors] {
            assert!(!succeeds(2001, script), "alice's process got through with {script}");
        }
        revert();
        assert!(!succeeds(2001, &signal), "after");
        assert!(!succeeds(2001, &look));
    });
}

#[test]
fn the_thread_cannot_signal_the_servers_processes() {
    on_stage("neighbours::the_thread_cannot_signal_the_servers_processes", |_| {
        let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
        let id = Pid::from_child(&sleeper);
        let refused = alice().impersonate(|_| kill_process(id, Signal::TERM)).unwrap();
        assert_eq!(refused, Err(Errno::PERM));
        let memory = format!("/proc/{}/environ", sleeper.id());
        assert!(alice().impersonate(|_| fs::read(&memory)).unwrap().is_err());
        assert!(fs::read(&memory).is_ok(), "the server itself");
        kill_process(id, Signal::KILL).unwrap();
        sleeper.wait().unwrap();
    });
}
