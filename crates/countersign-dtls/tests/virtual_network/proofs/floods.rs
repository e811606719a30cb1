//! What peers that have agreed on a proof make us hold, and send.

use std::time::Duration;

use countersign_core::HandshakeError;
use countersign_dtls::Limits;

use super::prover::Conduct;
use super::stranger::{OFFERING, Stranger};
use super::{ALICE, AT, PREFER, SERVICE, ack, data, message, nobody, part, server};
use crate::clock;
use crate::net::{Net, Weather};

#[test]
fn numbers_without_sense_are_ignored_and_hold_nothing() {
    let mut net = server(Conduct::Silent);
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    assert!(stranger.meet(&mut net));
    for number in [16, 17, 1000, u32::MAX - 1, u32::MAX] {
        stranger.say(&mut net, &part(number, &[0; 1000]));
    }
    stranger.listen(&mut net);
    assert_eq!(stranger.heard, vec![ack(0, 0); 5], "none of them is wanted");
    stranger.say(&mut net, &part(15, b"the last in the window"));
    stranger.heard.clear();
    stranger.listen(&mut net);
    assert_eq!(stranger.heard, [ack(0, 1 << 14)]);
}

#[test]
fn a_flood_in_the_proof_is_bounded_and_answered_by_no_more_than_it_is() {
    let mut net = server(Conduct::Silent);
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    assert!(stranger.meet(&mut net));
    let (proof, ..) = net.hosts[0].prover.begun[0];
    let (before, mut said) = (net.sent(), 0);
    for number in 0..2000_u32 {
        let record = part(number, &[7; 1200]);
        said += record.len();
        stranger.say(&mut net, &record);
        stranger.say(&mut net, &data(&[8; 1200]));
        stranger.listen(&mut net);
    }
    let lent = net.hosts[0].endpoint.proof(proof, clock::now()).unwrap();
    assert!(lent.input().len() <= 64 * 1024, "{} bytes are held", lent.input().len());
    let answered: usize = net.tape[before..].iter().map(|it| it.2.len()).sum();
    assert!(answered < said / 10, "{answered} bytes for {said}");
    // And one that floods us from our side of the window.
    let mut net = server(Conduct::Floods);
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    assert!(stranger.meet(&mut net));
    stranger.listen(&mut net);
    assert_eq!(stranger.heard.len(), 16, "no more than a window is on the way");
    let before = net.sent();
    net.run(Duration::from_secs(9), |_| false);
    let repeated = net.sent() - before;
    assert!((16..=16 * 6).contains(&repeated), "{repeated} in nine seconds");
}

#[test]
fn proofs_count_as_half_open() {
    let mut limits = Limits::default();
    (limits.half_open, limits.half_open_per_host) = (3, 2);
    let mut net = Net::new(Weather::fair(), 1);
    net.add_prover_with(nobody(), limits, PREFER, Conduct::Silent);
    let mut strangers = Vec::new();
    for number in 1..=6 {
        let at = format!("203.0.113.{number}:7000");
        let mut stranger = Stranger::client(&at, 0, OFFERING);
        assert!(stranger.meet(&mut net) && stranger.has_agreed());
        strangers.push(stranger);
        assert!(net.hosts[0].endpoint.half_open() <= 3);
    }
    let prover = &net.hosts[0].prover;
    assert_eq!((prover.begun.len(), prover.over.len()), (6, 3), "the oldest go");
    let failed = &net.hosts[0].diary.failed;
    assert!(failed.iter().all(|it| it.2 == HandshakeError::Overloaded { limit: 3 }));
    net.run(Duration::from_secs(11), |_| false);
    assert!(net.hosts[0].endpoint.is_empty());
}

/// Those who are being told that they are refused count too, and make room first.
#[test]
fn those_who_are_refused_are_counted_until_they_are_told() {
    let mut limits = Limits::default();
    (limits.half_open, limits.half_open_per_host) = (3, 3);
    let mut net = Net::new(Weather::fair(), 1);
    net.add_prover_with(nobody(), limits, PREFER, Conduct::proves(SERVICE));
    for number in 1..=9 {
        let mut stranger = Stranger::client(&format!("203.0.113.{number}:7000"), 0, OFFERING);
        assert!(stranger.meet(&mut net));
        stranger.say(&mut net, &part(0, &message(ALICE, &[0; 32])));
        assert!(net.hosts[0].endpoint.half_open() <= 3 && net.hosts[0].endpoint.len() <= 3);
        assert_eq!(net.hosts[0].endpoint.peers().count(), 0, "they are nobody's peers");
    }
    assert_eq!(net.hosts[0].diary.failed.len(), 9);
    net.run(Duration::from_secs(5), |_| false);
    assert!(net.hosts[0].endpoint.is_empty());
}
