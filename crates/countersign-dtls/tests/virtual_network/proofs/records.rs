//! What a peer under keys says inside its records: out of turn, twice, too late, or without sense.

use std::time::Duration;

use countersign_core::{HandshakeError, KerberosUse, Proof};
use countersign_dtls::Side;

use super::prover::Conduct;
use super::stranger::{OFFERING, Stranger};
use super::{
    ALICE, ASKED, AT, PREFER, SERVICE, ack, data, delivered, message, nobody, part, prove, server,
};
use crate::clock;
use crate::net::{Net, Weather, World};

#[test]
fn a_stranger_that_keeps_to_the_protocol_is_let_in() {
    let mut net = server(Conduct::proves(SERVICE));
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    prove(&mut net, &mut stranger);
    assert_eq!(net.hosts[0].prover.bindings, [stranger.binding()], "one export on both sides");
    stranger.say(&mut net, &part(1, &message("last word", &stranger.binding())));
    assert_eq!(net.hosts[0].diary.secured, [stranger.address]);
    stranger.say(&mut net, &data(b"hello"));
    assert_eq!(delivered(&net, 0), [b"hello"]);
    net.hosts[0].endpoint.send(stranger.address, b"welcome", clock::now()).unwrap();
    net.collect(0);
    stranger.listen(&mut net);
    assert_eq!(stranger.heard.last().unwrap(), &data(b"welcome"));
}

#[test]
fn data_before_the_last_word_waits_for_it_and_is_lost_without() {
    let mut net = server(Conduct::proves(SERVICE));
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    prove(&mut net, &mut stranger);
    for number in 0..40_u8 {
        stranger.say(&mut net, &data(&vec![number; 1000]));
    }
    assert_eq!(delivered(&net, 0).len(), 0, "not before it is known from whom");
    stranger.say(&mut net, &part(1, &message("last word", &stranger.binding())));
    let got = delivered(&net, 0);
    assert!((10..=16).contains(&got.len()), "{} were kept", got.len());
    assert!(got.iter().enumerate().all(|(at, it)| it[0] == u8::try_from(at).unwrap()));

    let mut net = server(Conduct::RefusesAtLast(SERVICE));
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    prove(&mut net, &mut stranger);
    stranger.say(&mut net, &data(b"early"));
    stranger.say(&mut net, &part(1, &message("last word", &stranger.binding())));
    stranger.say(&mut net, &data(b"late"));
    net.run(Duration::from_secs(11), |_| false);
    assert_eq!(delivered(&net, 0).len(), 0);
    assert!(net.hosts[0].endpoint.is_empty() && net.hosts[0].diary.secured.is_empty());
}

#[test]
fn parts_that_come_late_or_twice_are_never_data() {
    let mut net = server(Conduct::proves(SERVICE));
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    prove(&mut net, &mut stranger);
    let last = part(1, &message("last word", &stranger.binding()));
    stranger.say(&mut net, &last);
    stranger.say(&mut net, &data(b"one"));
    stranger.listen(&mut net);
    for late in [&part(0, b"again"), &last, &part(2, b"after the end"), &part(9, b"far ahead")] {
        stranger.heard.clear();
        stranger.say(&mut net, late);
        stranger.listen(&mut net);
        assert_eq!(stranger.heard.len(), 1, "acknowledged, so that it is not repeated");
        assert_eq!(stranger.heard[0][0], 2);
    }
    stranger.say(&mut net, &data(b"two"));
    assert_eq!(delivered(&net, 0), [b"one", b"two"]);
    assert_eq!(net.hosts[0].diary.closed, []);
}

#[test]
fn records_that_are_replayed_or_swapped_change_nothing() {
    let mut net = server(Conduct::proves(SERVICE));
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    assert!(stranger.meet(&mut net));
    let whole = message(ALICE, &stranger.binding());
    let mut records: Vec<Vec<u8>> = whole
        .chunks(7)
        .enumerate()
        .map(|(at, bytes)| stranger.seal(&part(u32::try_from(at).unwrap(), bytes)))
        .collect();
    records.reverse();
    for record in records.iter().chain(&records).chain(&records) {
        net.inject(stranger.address, 0, record);
    }
    stranger.listen(&mut net);
    assert!(stranger.heard.iter().any(|it| it.starts_with(&part(0, b""))), "the reply");
    assert!(net.hosts[0].diary.failed.is_empty());
}

/// A peer under keys that does not keep to the protocol is refused, and told.
#[test]
fn what_is_no_frame_and_acknowledgements_of_what_was_never_sent_are_the_end() {
    let nonsense: &[&[u8]] = &[
        &[0],
        &[1, 0, 0, 0, 0],
        &[1, 0],
        &[2, 0, 0, 0, 0],
        &[4, 1, 2, 3],
        &[255; 900],
        b"plain data",
        &ack(1, 0),
        &ack(0, 1),
        &ack(u32::MAX, 0),
        &ack(u32::MAX, u16::MAX),
        &ack(0, u16::MAX),
    ];
    for nonsense in nonsense {
        let mut net = server(Conduct::Silent);
        let mut stranger = Stranger::client(AT, 0, OFFERING);
        assert!(stranger.meet(&mut net));
        stranger.say(&mut net, nonsense);
        let (_, began, error) = &net.hosts[0].diary.failed[0];
        assert_eq!(*began, Side::Theirs);
        assert!(matches!(error, HandshakeError::Protocol { .. }), "{nonsense:?}: {error}");
        assert_eq!(net.hosts[0].prover.over.len(), 1);
        stranger.listen(&mut net);
        assert_eq!(stranger.heard, [[3, 10]], "it is told");
        assert!(net.hosts[0].endpoint.is_empty());
    }
    // So it is after the proof.
    let mut net = server(Conduct::proves(SERVICE));
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    prove(&mut net, &mut stranger);
    stranger.say(&mut net, &part(1, &message("last word", &stranger.binding())));
    stranger.say(&mut net, &ack(7, 0));
    assert!(matches!(net.hosts[0].diary.closed[0].1, Some(HandshakeError::Protocol { .. })));
    assert_eq!(delivered(&net, 0).len(), 0);
}

#[test]
fn a_proof_that_ends_with_more_than_its_last_word_is_refused() {
    let mut net = server(Conduct::proves(SERVICE));
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    prove(&mut net, &mut stranger);
    let mut last = message("last word", &stranger.binding());
    last.extend(b"and more");
    stranger.say(&mut net, &part(1, &last));
    assert!(matches!(net.hosts[0].diary.failed[0].2, HandshakeError::Protocol { .. }));
    assert!(net.hosts[0].diary.secured.is_empty());
}

#[test]
fn whoever_leaves_in_the_middle_has_proved_nothing() {
    let mut net = Net::new(Weather::fair(), 1);
    let world = World::new();
    let client = net.add_prover(world.client(), "", Conduct::Silent);
    let server = net.add_prover(nobody(), PREFER, Conduct::proves(SERVICE));
    net.offer(client, server, ASKED, KerberosUse::Prefer);
    net.run(Duration::from_secs(1), |net| !net.hosts[server].prover.begun.is_empty());
    net.settle();
    let peer = net.hosts[server].address;
    net.hosts[client].endpoint.close_all(clock::now());
    net.collect(client);
    assert!(net.hosts[client].endpoint.is_empty());
    assert_eq!(net.hosts[client].prover.over.len(), 1);
    net.run(Duration::from_secs(1), |_| false);
    assert_eq!(net.hosts[server].diary.failed[0].2, HandshakeError::Truncated, "{peer} heard it");
    assert_eq!(net.hosts[server].prover.over.len(), 1);
}

/// What was proved in one association is worth nothing in the next with the same peer.
#[test]
fn what_was_said_in_one_association_is_refused_in_the_next() {
    let mut net = server(Conduct::proves(SERVICE));
    let mut first = Stranger::client(AT, 0, OFFERING);
    prove(&mut net, &mut first);
    let mut second = Stranger::client(AT, 0, OFFERING);
    assert!(second.meet(&mut net));
    second.say(&mut net, &part(0, &message(ALICE, &first.binding())));
    let (_, end) = &net.hosts[0].prover.ends[0];
    assert_eq!(end, &Err(HandshakeError::Protocol { what: "another binding".to_owned() }));
    // Records of the first do not open in the second.
    let stale = first.seal(&part(1, &message("last word", &first.binding())));
    net.inject(first.address, 0, &stale);
    assert!(net.hosts[0].diary.secured.is_empty());
}

/// A proof proves a name of the peer, whatever proof the evidence rests on.
#[test]
fn what_the_rules_say_of_a_proof_is_said_of_the_peer_alone() {
    let mut net = server(Conduct::proves(SERVICE));
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    prove(&mut net, &mut stranger);
    stranger.say(&mut net, &part(1, &message("last word", &stranger.binding())));
    let evidence = net.hosts[0].endpoint.evidence(stranger.address).unwrap();
    let names: Vec<_> =
        evidence.names().iter().map(|it| (it.name().to_string(), it.proof())).collect();
    assert_eq!(names, [(ALICE.to_owned(), Proof::KerberosTicket)]);
}

/// Its own word is acknowledged, and ours is lost: whatever it says next is answered with that.
#[test]
fn a_peer_that_missed_its_refusal_hears_it_again_and_not_for_ever() {
    let mut net = server(Conduct::RefusesAtLast(SERVICE));
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    prove(&mut net, &mut stranger);
    stranger.say(&mut net, &part(1, &message("last word", &stranger.binding())));
    stranger.listen(&mut net);
    for _ in 0..3 {
        stranger.heard.clear();
        stranger.say(&mut net, &data(b"are you there?"));
        stranger.listen(&mut net);
        assert_eq!(stranger.heard, [[3, 49]]);
    }
    assert_eq!(net.hosts[0].endpoint.half_open(), 1);
    net.run(Duration::from_secs(5), |_| false);
    assert!(net.hosts[0].endpoint.is_empty());
    stranger.listen(&mut net);
    assert!(stranger.end.is_some(), "and its end is told");
    assert_eq!(delivered(&net, 0).len(), 0);
}

/// What a server said before it refused arrives before the refusal: it may tell more.
#[test]
fn what_was_said_before_a_refusal_is_delivered_first() {
    let mut net = server(Conduct::RefusesAtLast(SERVICE));
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    assert!(stranger.meet(&mut net));
    let (proof, ..) = net.hosts[0].prover.begun[0];
    net.hosts[0].prover.forget(proof);
    let mut lent = net.hosts[0].endpoint.proof(proof, clock::now()).unwrap();
    assert_eq!(lent.seal(b"the clock is wrong"), 18);
    let why = HandshakeError::Protocol { what: "a clock".to_owned() };
    assert_eq!(lent.refuse(why.clone()), why);
    net.collect(0);
    stranger.listen(&mut net);
    assert_eq!(stranger.heard, [part(0, b"the clock is wrong")]);
    // It was lost, for all that we know, and comes again; only then the rest.
    net.run(Duration::from_millis(501), |_| false);
    stranger.listen(&mut net);
    assert_eq!(stranger.heard, vec![part(0, b"the clock is wrong"); 2]);
    stranger.say(&mut net, &ack(1, 0));
    stranger.listen(&mut net);
    assert_eq!(stranger.heard.last().unwrap(), &[3, 49]);
    assert_eq!(net.hosts[0].diary.failed[0].2, why);
}
