//! An endpoint that hears anything from strangers keeps nothing of it, and answers no more than it
//! hears.
#![no_main]

use std::time::Instant;

use countersign_dtls::{Arrival, Config, Endpoint, Event, Limits, Moment};
use countersign_lab::{Authority, Leaf};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagrams: Vec<Vec<u8>>| {
    thread_local! {
        static CONFIG: Config = {
            let authority = Authority::new("fuzz");
            let credential = authority.issue(Leaf::new().dns("db1.test")).credential();
            Config::new(&authority.anchors(), Some(&credential), Config::DEFAULT_MTU).unwrap()
        };
    }
    let now = Moment { instant: Instant::now(), time: countersign_lab::now() };
    let config = CONFIG.with(Config::clone);
    let mut endpoint = Endpoint::new(config, Limits::default(), now.instant).unwrap();
    let arrival = Arrival { from: ([192, 0, 2, 1], 1).into(), to: None };
    for datagram in &datagrams {
        endpoint.handle_datagram(arrival, datagram, now, &|_| None);
        while let Some(event) = endpoint.poll() {
            let Event::Transmit { datagram: answer, .. } = event else { panic!("{event:?}") };
            assert!(answer.len() <= datagram.len());
        }
        assert!(endpoint.is_empty());
    }
});
