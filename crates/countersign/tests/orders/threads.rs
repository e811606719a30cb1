//! Work that is handed to threads, while these grow tired of waiting, and while it is given up.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use countersign_kerberos::{Awaited, InitiatorCredential};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::pool::{Place, Pool};
use crate::sync::{begin, let_time_pass, wake_the_late};

/// How often something was done. Of the counters of the models nobody waits for anything, so loom
/// need not know them.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn note(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn awaited(name: &str) -> Awaited {
    InitiatorCredential::cache(name).awaits()
}

fn pool(limit: usize) -> &'static Pool {
    Box::leak(Box::new(Pool::new(limit, Duration::ZERO)))
}

/// Has all threads end that have nothing to do, now or later.
fn tire(pool: &Pool) {
    let state = pool.lock();
    let_time_pass();
    drop(state);
    wake_the_late();
}

/// Starts work that counts itself and its outcome.
fn start(pool: &'static Pool, place: &Place, worked: &Count, done: &Count) {
    let (worked, done) = (worked.clone(), done.clone());
    let note_done = move |came: Option<()>| {
        assert!(came.is_some(), "it does not panic");
        done.note();
    };
    pool.start(place, awaited("a"), move || worked.note(), note_done).unwrap();
}

/// Runs a model whose threads of the pool have all ended when it is over: loom complains of one that
/// still waits.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // More switches than that at one point are of no other kind; without a bound it takes hours.
    builder.preemption_bound = Some(3);
    builder.check(move || {
        begin();
        model();
    });
}

#[test]
fn work_is_done_once_though_threads_grow_tired_meanwhile() {
    check(|| {
        let (pool, place, worked, done) =
            (pool(2), Place::default(), Count::default(), Count::default());
        start(pool, &place, &worked, &done);
        let clock = thread::spawn(move || tire(pool));
        let second = Place::default();
        start(pool, &second, &worked, &done);
        clock.join().unwrap();
        while done.get() < 2 {
            thread::yield_now();
        }
        assert_eq!((worked.get(), done.get()), (2, 2));
    });
}

#[test]
fn one_thread_does_what_two_bring() {
    check(|| {
        let (pool, worked, done) = (pool(1), Count::default(), Count::default());
        let (their_worked, their_done) = (worked.clone(), done.clone());
        let other = thread::spawn(move || {
            let place = Place::default();
            start(pool, &place, &their_worked, &their_done);
            place
        });
        let place = Place::default();
        start(pool, &place, &worked, &done);
        let _theirs = other.join().unwrap();
        while done.get() < 2 {
            thread::yield_now();
        }
        tire(pool);
        assert_eq!((worked.get(), done.get()), (2, 2));
    });
}

#[test]
fn work_that_is_given_up_is_done_wholly_or_not_at_all_and_not_begun_later() {
    check(|| {
        let (pool, place, worked, done) =
            (pool(1), Place::default(), Count::default(), Count::default());
        start(pool, &place, &worked, &done);
        drop(place);
        let begun = worked.get();
        tire(pool);
        while pool.is_busy() {
            thread::yield_now();
        }
        assert_eq!(worked.get(), done.get(), "half of it was done");
        assert!(worked.get() <= begun + 1);
    });
}

#[test]
fn work_that_is_given_up_while_it_waits_for_a_thread_is_never_done() {
    check(|| {
        let (pool, worked, done) = (pool(1), Count::default(), Count::default());
        let gate = Arc::new(AtomicBool::new(false));
        let (busy, opened) = (Place::default(), gate.clone());
        let wait_for_gate = move || {
            while !opened.load(Ordering::Acquire) {
                thread::yield_now();
            }
        };
        pool.start(&busy, awaited("a"), wait_for_gate, |_| {}).unwrap();
        let place = Place::default();
        start(pool, &place, &worked, &done);
        drop(place);
        gate.store(true, Ordering::Release);
        tire(pool);
        while pool.is_busy() {
            thread::yield_now();
        }
        assert_eq!((worked.get(), done.get()), (0, 0));
    });
}
