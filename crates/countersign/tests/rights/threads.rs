//! Sixty-four threads that are somebody else all the time, and one that never is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use countersign_lab::{Seen, on_stage};
use rustix::process::{getegid, geteuid, getgid, getuid};

use crate::token;

/// Changes of identity of all threads together: each impersonation is two.
const SWITCHES: u64 = 1_000_000;
const THREADS: u64 = 64;

#[test]
fn a_million_switches_stay_in_their_threads() {
    on_stage("threads::a_million_switches_stay_in_their_threads", |stage| {
        let secret = stage.join("secret");
        std::fs::write(&secret, "root's").unwrap();
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let before = Seen::now();
        let (is_over, switches, looks) =
            (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        assert_eq!(Seen::now(), before, "a thread that is the server's");
                        assert!(std::fs::File::open(&secret).is_ok());
                        looks.fetch_add(1, Ordering::Relaxed);
                        thread::yield_now();
                    }
                });
            }
            let workers: Vec<_> = (0..THREADS)
                .map(|number| {
                    let (switches, before, secret) = (&switches, &before, &secret);
                    scope.spawn(move || {
                        let id = u32::try_from(number).unwrap();
                        let (uid, gid) = (4000 + id, 5000 + id);
                        let token = token(&format!("u{number}@EXAMPLE.COM"));
                        for turn in 0..SWITCHES.div_ceil(THREADS * 2) {
                            token
                                .impersonate(|_| {
                                    let seen = (getuid(), geteuid(), getgid(), getegid());
                                    let raw = (seen.0.as_raw(), seen.1.as_raw(), seen.2.as_raw());
                                    assert_eq!(raw, (uid, uid, gid));
                                    assert_eq!(seen.3.as_raw(), gid);
                                    if turn % 256 == 0 {
                                        let seen = Seen::now();
                                        assert!(
                                            seen.is_only(uid, gid, &[gid, 6000 + id]),
                                            "{seen:?}"
                                        );
                                        assert!(std::fs::File::open(secret).is_err());
                                    }
                                })
                                .unwrap();
                            assert!(geteuid().is_root() && getuid().is_root());
                            if turn % 256 == 0 {
                                assert_eq!(Seen::now(), *before);
                            }
                            switches.fetch_add(2, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            for worker in workers {
                let ended = worker.join();
                if ended.is_err() {
                    is_over.store(true, Ordering::Relaxed);
                }
                ended.unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert!(switches.into_inner() >= SWITCHES);
        let looks = looks.into_inner();
        assert!(looks > 100, "the server's threads looked {looks} times only");
    });
}
