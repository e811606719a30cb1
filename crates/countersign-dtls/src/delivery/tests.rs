//! Both sides of a delivery, without a network.

use std::time::{Duration, Instant};

use super::outbound::NeverSent;
use super::{Inbound, Outbound, WINDOW};
use crate::frame::Ack;

fn ack(next: u32, beyond: u16) -> Ack {
    Ack { next, beyond }
}

/// The numbers of what is sent now.
fn sent(outbound: &mut Outbound, now: Instant) -> Vec<u32> {
    std::iter::from_fn(|| outbound.next(now).map(|(number, _)| number)).collect()
}

fn of_parts(count: usize) -> Outbound {
    let mut outbound = Outbound::new(10);
    assert_eq!(outbound.take(&vec![7; 10 * count]), 10 * count);
    outbound
}

#[test]
fn what_is_lost_comes_again_with_longer_and_longer_waits() {
    let start = Instant::now();
    let mut outbound = of_parts(3);
    assert_eq!(sent(&mut outbound, start), [0, 1, 2]);
    let mut now = start;
    for wait in [500, 1000, 2000, 4000, 4000] {
        assert_eq!(outbound.due(), Some(now + Duration::from_millis(wait)));
        outbound.handle_timeout(now + Duration::from_millis(wait - 1));
        assert_eq!(sent(&mut outbound, now), []);
        now += Duration::from_millis(wait);
        outbound.handle_timeout(now);
        assert_eq!(sent(&mut outbound, now), [0, 1, 2]);
    }
    outbound.acknowledge(ack(1, 1), now).unwrap();
    assert_eq!(outbound.due(), Some(now + Duration::from_secs(4)), "it may be the path");
    now += Duration::from_secs(4);
    outbound.handle_timeout(now);
    assert_eq!(sent(&mut outbound, now), [1], "and only what is missing");
    outbound.acknowledge(ack(3, 0), now).unwrap();
    assert!(outbound.is_empty() && outbound.due().is_none());
}

/// On a path that takes longer than the first wait, the first window is repeated, and no more.
#[test]
fn the_wait_becomes_what_the_path_takes() {
    let check = |both_ways: u64, repeats: u32, wait: u64| {
        let (start, both_ways) = (Instant::now(), Duration::from_millis(both_ways));
        let mut outbound = Outbound::new(10);
        let (mut now, mut acks, mut number, mut repeated) = (start, Vec::new(), 0, 0);
        while number < 200 {
            outbound.take(&[7; 10]);
            for one in sent(&mut outbound, now) {
                repeated += u32::from(one < number);
                number = number.max(one + 1);
                acks.push((now + both_ways, one));
            }
            acks.sort();
            let due = outbound.due().unwrap();
            if due <= acks[0].0 {
                now = due;
                outbound.handle_timeout(now);
            } else {
                let (at, one) = acks.remove(0);
                now = at;
                outbound.acknowledge(ack(one + 1, 0), now).unwrap();
            }
        }
        assert!(repeated <= repeats, "{both_ways:?}: {repeated} were repeated");
        now += both_ways;
        outbound.acknowledge(ack(number, 0), now).unwrap();
        outbound.take(&[7; 10]);
        sent(&mut outbound, now);
        let waits = outbound.due().unwrap() - now;
        let expected = Duration::from_millis(wait);
        assert!((expected..=2 * expected).contains(&waits), "{both_ways:?}: {waits:?}");
    };
    check(20, 0, 200);
    check(300, 0, 600);
    check(700, 16, 1400);
    check(3000, 48, 4000);
}

#[test]
fn what_was_passed_by_three_comes_again_at_once_and_once() {
    let now = Instant::now();
    let mut outbound = of_parts(6);
    sent(&mut outbound, now);
    outbound.acknowledge(ack(0, 0b11), now).unwrap();
    assert_eq!(sent(&mut outbound, now), []);
    for _ in 0..5 {
        outbound.acknowledge(ack(0, 0b11), now).unwrap();
    }
    assert_eq!(sent(&mut outbound, now), [], "nothing new is no reason");
    outbound.acknowledge(ack(0, 0b111), now).unwrap();
    assert_eq!(sent(&mut outbound, now), [0]);
    outbound.acknowledge(ack(0, 0b1_1111), now).unwrap();
    assert_eq!(sent(&mut outbound, now), []);
}

#[test]
fn a_window_is_on_the_way_and_no_more_waits_than_there_is_room_for() {
    let now = Instant::now();
    let mut outbound = Outbound::new(1000);
    let long = vec![1; 100_000];
    let mut taken = outbound.take(&long);
    assert_eq!(taken, 32_000);
    assert_eq!(sent(&mut outbound, now).len(), WINDOW);
    assert!(!outbound.take_room());
    let mut next = 0;
    while taken < long.len() {
        next += 1;
        outbound.acknowledge(ack(next, 0), now).unwrap();
        assert!(outbound.take_room() && !outbound.take_room(), "said once");
        taken += outbound.take(&long[taken..]);
        assert_eq!(sent(&mut outbound, now).len(), 1);
    }
}

#[test]
fn nobody_acknowledges_what_was_not_sent() {
    let now = Instant::now();
    let check = |one: Ack, expected| {
        let mut outbound = of_parts(20);
        sent(&mut outbound, now);
        assert_eq!(outbound.acknowledge(one, now), expected, "{one:?}");
    };
    check(ack(16, 0), Ok(()));
    check(ack(17, 0), Err(NeverSent));
    check(ack(0, 1 << 14), Ok(()));
    check(ack(0, 1 << 15), Err(NeverSent));
    check(ack(15, 1), Err(NeverSent));
    check(ack(u32::MAX, 0), Err(NeverSent));
    check(ack(u32::MAX, u16::MAX), Err(NeverSent));
    // Old ones are told late, and that is nobody's fault.
    let mut outbound = of_parts(20);
    sent(&mut outbound, now);
    outbound.acknowledge(ack(16, 0), now).unwrap();
    outbound.acknowledge(ack(3, 0b101), now).unwrap();
    assert_eq!(sent(&mut outbound, now), [16, 17, 18, 19]);
    outbound.clear();
    outbound.acknowledge(ack(20, 0), now).unwrap();
    assert!(outbound.is_empty() && outbound.due().is_none());
}

#[test]
fn parts_come_out_in_order_and_once_whatever_order_they_come_in() {
    let mut inbound = Inbound::default();
    assert!(!inbound.take(2, b"ef"));
    assert!(!inbound.take(2, b"XX"), "the first that came counts");
    assert_eq!(inbound.ack(), ack(0, 0b10));
    assert!(inbound.take(0, b"ab"));
    assert_eq!((inbound.ready(), inbound.ack()), (&b"ab"[..], ack(1, 1)));
    assert!(!inbound.take(0, b"XX"));
    assert!(inbound.take(1, b"cd"));
    assert_eq!((inbound.ready(), inbound.ack()), (&b"abcdef"[..], ack(3, 0)));
    inbound.consume(4);
    assert_eq!(inbound.ready(), b"ef");
    inbound.consume(usize::MAX);
    assert!(inbound.is_empty());
}

#[test]
fn what_there_is_no_room_for_is_not_acknowledged() {
    let mut inbound = Inbound::default();
    let part = [1; 16_000];
    for number in 0..4 {
        assert!(inbound.take(number, &part));
    }
    assert!(!inbound.take(4, &part) && !inbound.take(5, &part));
    assert_eq!((inbound.ack(), inbound.ready().len()), (ack(4, 0), 64_000));
    inbound.consume(16_000);
    assert!(inbound.take(4, &part));
    assert!(!inbound.take(5 + 15, b"x") && !inbound.take(5 + 16, b"x"));
    assert_eq!(inbound.ack(), ack(5, 1 << 14), "nor what is far ahead");
}

#[test]
fn who_does_not_listen_any_more_still_says_what_has_come() {
    let mut inbound = Inbound::default();
    inbound.take(0, b"a");
    inbound.take(2, b"c");
    inbound.stop();
    assert!(inbound.is_empty());
    assert_eq!(inbound.ack(), ack(1, 0));
    for number in [0, 1, 2, 3, 9] {
        assert!(!inbound.take(number, b"late"));
    }
    assert!(inbound.is_empty());
    assert_eq!(inbound.ack(), ack(4, 0));
}

/// A path that loses, repeats and reorders: whatever goes in comes out.
#[test]
fn whatever_goes_in_comes_out() {
    let mut state = 1_u64;
    let mut below = |end: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    for round in 0..200 {
        let size = usize::try_from(1 + below(900)).unwrap();
        let text: Vec<u8> = (0..below(60_000)).map(|at| at.to_be_bytes()[6]).collect();
        let (mut outbound, mut inbound) = (Outbound::new(size), Inbound::default());
        let (mut now, mut taken, mut got) = (Instant::now(), 0, Vec::new());
        for step in 0.. {
            assert!(step < 20_000, "round {round}: stuck at {} of {}", got.len(), text.len());
            taken += outbound.take(&text[taken..]);
            let mut flight = Vec::new();
            while let Some((number, bytes)) = outbound.next(now) {
                for _ in 0..below(3) {
                    flight.push((number, bytes.to_vec()));
                }
            }
            let mut acks = Vec::new();
            while !flight.is_empty() {
                let at = usize::try_from(below(flight.len() as u64)).unwrap();
                let (number, bytes) = flight.swap_remove(at);
                inbound.take(number, &bytes);
                if below(4) > 0 {
                    acks.push(inbound.ack());
                }
                let used = usize::try_from(below(2000)).unwrap().min(inbound.ready().len());
                got.extend_from_slice(&inbound.ready()[..used]);
                inbound.consume(used);
            }
            while !acks.is_empty() {
                let at = usize::try_from(below(acks.len() as u64)).unwrap();
                outbound.acknowledge(acks.swap_remove(at), now).unwrap();
            }
            got.extend_from_slice(inbound.ready());
            inbound.consume(usize::MAX);
            if taken == text.len() && outbound.is_empty() {
                break;
            }
            if let Some(due) = outbound.due() {
                now = now.max(due);
                outbound.handle_timeout(now);
            }
        }
        assert!(got == text, "round {round}");
    }
}
