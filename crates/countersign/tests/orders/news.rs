//! Threads that bring outcomes, and a listener that sleeps until its descriptor is readable.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use countersign_sys::{Interest, wait};
use loom::thread;

use crate::queue::Queue;

fn is_readable(queue: &Queue<u32>) -> bool {
    wait(queue.as_fd(), Interest::Read, Some(Instant::now())).is_ok()
}

#[test]
fn whoever_sleeps_by_the_descriptor_misses_nothing() {
    loom::model(|| {
        let queue = Arc::new(Queue::new().unwrap());
        let bringers = [1, 2].map(|outcome| {
            let queue = queue.clone();
            thread::spawn(move || queue.put(outcome))
        });
        // The listener is awake meanwhile.
        let mut came: Vec<u32> = (0..2).filter_map(|_| queue.take()).collect();
        bringers.into_iter().for_each(|it| it.join().unwrap());
        // From now on it sleeps unless the descriptor says that there is something.
        while is_readable(&queue) {
            came.extend(queue.take());
        }
        came.sort_unstable();
        assert_eq!(came, [1, 2]);
    });
}

#[test]
fn two_who_take_never_get_the_same() {
    loom::model(|| {
        let queue = Arc::new(Queue::new().unwrap());
        queue.put(1);
        queue.put(2);
        let theirs = queue.clone();
        let other = thread::spawn(move || theirs.take());
        let mut came = [queue.take(), other.join().unwrap()];
        came.sort_unstable();
        assert_eq!(came, [Some(1), Some(2)]);
        assert!(!is_readable(&queue), "there is nothing left");
    });
}
