//! What can be tried with a proof: by those in the middle, by peers that have agreed on one and do
//! not keep to it, and by those who only repeat what they have seen.

use std::time::Duration;

use countersign_core::{HandshakeError, KerberosUse, Proof};
use countersign_dtls::{Config, Limits, Side};
use countersign_lab::{Authority, Leaf};

use crate::clock;
use crate::net::{Net, Weather, World};
use crate::prover::Conduct;
use crate::stranger::{Oddity, Stranger};

const HOST: &str = "db1.test";
const ASKED: &str = "postgres/db1.test";
const SERVICE: &str = "postgres/db1.test@EXAMPLE.COM";
const ALICE: &str = "alice@EXAMPLE.COM";
const PREFER: &str = "kerberos.server = 'prefer'";
const AT: &str = "203.0.113.7:7000";

const OFFERING: Oddity = Oddity {
    offers: Stranger::OFFER,
    chooses: Some(b"countersign-krb5/1"),
    lacks_extended_master_secret: false,
};

fn nobody() -> Config {
    let nobody = Authority::new("nobody").issue(Leaf::new().dns(HOST));
    let anchors = Authority::new("nobody else").anchors();
    Config::new(&anchors, Some(&nobody.credential()), 1400).unwrap()
}

/// A server that offers proofs, alone on the net.
fn server(conduct: Conduct) -> Net {
    let mut net = Net::new(Weather::fair(), 1);
    net.add_prover(nobody(), PREFER, conduct);
    net
}

/// The message of the stand-in for a proof.
fn message(name: &str, binding: &[u8; 32]) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap().to_be_bytes();
    let body = [&length[..], name.as_bytes(), binding].concat();
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
}

fn part(number: u32, bytes: &[u8]) -> Vec<u8> {
    [&[1][..], &number.to_be_bytes(), bytes].concat()
}

fn ack(next: u32, beyond: u16) -> Vec<u8> {
    [&[2][..], &next.to_be_bytes(), &beyond.to_be_bytes()].concat()
}

fn data(datagram: &[u8]) -> Vec<u8> {
    [&[0], datagram].concat()
}

fn delivered(net: &Net, host: usize) -> Vec<&[u8]> {
    net.hosts[host].diary.delivered.iter().map(|(_, it)| &it[..]).collect()
}

/// Has a stranger meet the server and prove a name to it, as far as its last word.
fn prove(net: &mut Net, stranger: &mut Stranger) {
    assert!(stranger.meet(net) && stranger.has_agreed());
    stranger.say(net, &part(0, &message(ALICE, &stranger.binding())));
    stranger.listen(net);
    let heard = stranger.heard.iter().any(|it| it.starts_with(&part(0, b"")));
    assert!(heard, "no reply: {:?}", stranger.heard);
    stranger.say(net, &ack(1, 0));
}

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

/// The proof's bytes are copied between two associations: the victim's with the attacker, and the
/// attacker's with the real server. What each is bound to differs.
#[test]
fn a_machine_in_the_middle_can_take_the_offer_but_not_prove() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let victim = net.add_prover(world.client(), "", Conduct::proves(ALICE));
    let middle = net.add_prover(nobody(), PREFER, Conduct::Relays);
    let second = net.add_prover(world.client(), "", Conduct::Relays);
    let real = net.add_prover(nobody(), PREFER, Conduct::proves(SERVICE));
    net.offer(victim, middle, ASKED, KerberosUse::Require);
    net.offer(second, real, ASKED, KerberosUse::Require);
    for _ in 0..20 {
        net.run(Duration::from_millis(100), |_| false);
        let heard = std::mem::take(&mut net.hosts[middle].prover.heard);
        net.hosts[second].prover.given.extend(heard);
        let heard = std::mem::take(&mut net.hosts[second].prover.heard);
        net.hosts[middle].prover.given.extend(heard);
        net.go_on(middle);
        net.go_on(second);
    }
    let (_, end) = &net.hosts[real].prover.ends[0];
    assert_eq!(end, &Err(HandshakeError::Protocol { what: "another binding".to_owned() }));
    assert_ne!(net.hosts[victim].prover.bindings, net.hosts[real].prover.bindings);
    net.run(Duration::from_secs(11), |_| false);
    assert!(net.hosts.iter().all(|host| host.diary.secured.is_empty()));
    assert!(net.hosts.iter().all(|host| host.diary.delivered.is_empty()));
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

/// RFC 9266 section 4.2: without it two sessions could be bound to the same.
#[test]
fn without_extended_master_secret_there_is_no_proof() {
    let mut net = server(Conduct::proves(SERVICE));
    let oddity = Oddity { lacks_extended_master_secret: true, ..OFFERING };
    let mut stranger = Stranger::client(AT, 0, oddity);
    stranger.meet(&mut net);
    assert!(stranger.has_agreed(), "it got as far as that");
    let (_, _, error) = &net.hosts[0].diary.failed[0];
    assert!(matches!(error, HandshakeError::NothingShared { .. }), "{error}");
    assert!(net.hosts[0].prover.begun.is_empty());
}

/// A client of ours, and a server that is not, with a certificate that does.
fn client(offer: KerberosUse, oddity: Oddity) -> (Net, Stranger) {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let client = net.add_prover(world.client(), "", Conduct::proves(ALICE));
    let own = world.authority.issue(Leaf::new().dns(HOST)).credential();
    let mut stranger = Stranger::server(AT, client, &own, oddity);
    let to = stranger.address;
    let asked = crate::net::asked(ASKED);
    let endpoint = &mut net.hosts[client].endpoint;
    endpoint.connect_offering(to, asked, offer, None, clock::now()).unwrap();
    net.collect(client);
    stranger.meet(&mut net);
    (net, stranger)
}

#[test]
fn a_server_without_extended_master_secret_gets_no_proof() {
    let oddity = Oddity { lacks_extended_master_secret: true, ..OFFERING };
    let (net, _) = client(KerberosUse::Prefer, oddity);
    let (_, _, error) = &net.hosts[0].diary.failed[0];
    assert!(matches!(error, HandshakeError::NothingShared { .. }), "{error}");
    assert!(net.hosts[0].prover.begun.is_empty());
}

/// It may choose what was offered, or nothing; and then it is judged by its certificate.
#[test]
fn a_server_that_chooses_what_was_not_offered_is_refused() {
    for offer in [KerberosUse::Prefer, KerberosUse::Require] {
        let (net, _) = client(offer, Oddity { chooses: Some(b"h2"), ..OFFERING });
        assert!(net.hosts[0].prover.begun.is_empty());
        assert!(net.hosts[0].diary.secured.is_empty(), "{offer:?}");
    }
    for (offer, is_good) in [(KerberosUse::Prefer, true), (KerberosUse::Require, false)] {
        let (net, stranger) = client(offer, Oddity::default());
        assert_eq!(net.hosts[0].diary.secured.len(), usize::from(is_good), "{offer:?}");
        assert_eq!(stranger.end.is_none(), is_good);
        assert!(net.hosts[0].prover.begun.is_empty());
    }
    let (net, _) = client(KerberosUse::Prefer, OFFERING);
    assert_eq!((net.hosts[0].prover.begun.len(), net.hosts[0].diary.secured.len()), (1, 0));
}

/// What a proof is bound to must stay what protects the association (RFC 9266 section 4.2).
#[test]
fn there_is_no_second_handshake_in_an_association() {
    // A client begins one in the middle of its proof.
    let mut net = server(Conduct::proves(SERVICE));
    let mut stranger = Stranger::client(AT, 0, OFFERING);
    prove(&mut net, &mut stranger);
    stranger.renegotiate(&mut net);
    for _ in 0..4 {
        stranger.listen(&mut net);
    }
    assert!(stranger.is_in_handshake(), "the server took part");
    assert_eq!(net.hosts[0].prover.begun.len(), 1);
    assert!(net.hosts[0].diary.secured.is_empty() && net.hosts[0].diary.delivered.is_empty());

    // A server asks for one.
    let (mut net, mut stranger) = client(KerberosUse::Prefer, Oddity::default());
    let session = net.hosts[0].endpoint.evidence(stranger.address).unwrap().session();
    let binding = stranger.binding();
    stranger.renegotiate(&mut net);
    for _ in 0..4 {
        stranger.listen(&mut net);
    }
    assert_eq!(stranger.binding(), binding);
    // OpenSSL gives up when it is refused, which is its right.
    let evidence = net.hosts[0].endpoint.evidence(stranger.address);
    assert!(evidence.is_none_or(|evidence| evidence.session() == session));
    assert_eq!(net.hosts[0].diary.secured.len(), 1);
}

#[test]
fn clients_with_other_offers_or_none_are_undisturbed() {
    let world = World::new();
    let policy = format!("{PREFER}\nserver.client-certificates = 'request'");
    const OFFERS: [(&[&[u8]], bool); 4] = [
        (&[], false),
        (&[b"h2", b"webrtc"], false),
        (&[b"countersign-krb5/2"], false),
        (&[b"h2", b"countersign-krb5/1"], true),
    ];
    for (offers, agrees) in OFFERS {
        let mut net = Net::new(Weather::fair(), 1);
        net.add_prover(world.host(HOST), &policy, Conduct::proves(SERVICE));
        let oddity = Oddity { offers, ..Oddity::default() };
        let mut stranger = Stranger::client(AT, 0, oddity);
        assert!(stranger.meet(&mut net), "{offers:?}");
        assert_eq!(stranger.has_agreed(), agrees, "{offers:?}");
        assert_eq!(net.hosts[0].diary.secured.is_empty(), agrees);
        if !agrees {
            // A record is a datagram, as it always was.
            stranger.say(&mut net, b"\x01plain");
            assert_eq!(delivered(&net, 0), [b"\x01plain"]);
        }
    }
}

/// The server's first message is in clear: someone on the way writes into it that the server has
/// agreed, where it has not or was not asked; or strikes that out.
#[test]
fn an_agreement_that_is_forged_or_struck_out_comes_to_nothing() {
    let world = World::new();
    let alpn = {
        let mut extension = vec![0, 16, 0, 21, 0, 19, 18];
        extension.extend(b"countersign-krb5/1");
        extension
    };
    for (offer, policy, is_forged) in [
        (KerberosUse::Off, "", true),
        (KerberosUse::Prefer, "", true),
        (KerberosUse::Require, "", true),
        (KerberosUse::Prefer, PREFER, false),
        (KerberosUse::Require, PREFER, false),
    ] {
        let mut net = Net::new(Weather::fair(), 1);
        let mut limits = Limits::default();
        limits.handshake_timeout = Duration::from_secs(5);
        let (client, server) = (world.host("laptop.test"), world.host(HOST));
        let client = net.add_prover_with(client, limits, "", Conduct::proves(ALICE));
        let server = net.add_prover_with(server, limits, policy, Conduct::proves(SERVICE));
        let forge = alpn.clone();
        net.on_the_way = Some(Box::new(move |datagram| forge_hello(datagram, &forge, is_forged)));
        net.offer(client, server, ASKED, offer);
        net.run(Duration::from_secs(20), |_| false);
        for host in [client, server] {
            let host = &net.hosts[host];
            assert!(host.diary.secured.is_empty(), "{offer:?} {policy}: {:?}", host.diary);
            assert!(host.prover.begun.is_empty(), "{offer:?} {policy}");
        }
        assert!(net.changed > 0, "{offer:?} {policy}: nothing was changed");
    }
}

/// Adds an extension to the ServerHello in front of a datagram, or takes it away.
fn forge_hello(datagram: &mut Vec<u8>, extension: &[u8], adds: bool) -> bool {
    const HEADER: usize = 13;
    if datagram.len() < HEADER + 12 || datagram[0] != 22 || datagram[HEADER] != 2 {
        return false;
    }
    let record = usize::from(u16::from_be_bytes([datagram[11], datagram[12]]));
    let session = usize::from(datagram[HEADER + 12 + 34]);
    let extensions = HEADER + 12 + 35 + session + 3;
    let by = if adds { i32::try_from(extension.len()).unwrap() } else { -25 };
    if adds {
        let end = HEADER + record;
        datagram.splice(end..end, extension.iter().copied());
    } else {
        let at = datagram.windows(extension.len()).position(|it| it == extension);
        let Some(at) = at else { return false };
        datagram.drain(at..at + extension.len());
    }
    assert_eq!(by.unsigned_abs(), u32::try_from(extension.len()).unwrap());
    let mut grow = |at: usize| {
        let before = i32::from(u16::from_be_bytes([datagram[at], datagram[at + 1]]));
        let after = u16::try_from(before + by).unwrap();
        datagram[at..at + 2].copy_from_slice(&after.to_be_bytes());
    };
    grow(11);
    grow(HEADER + 2);
    grow(HEADER + 10);
    grow(extensions);
    true
}

/// A server that took the offer and then says nothing of use is no server by its certificate.
#[test]
fn no_certificate_stands_in_for_a_proof_that_was_begun() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let client = net.add_prover(world.client(), "", Conduct::proves(ALICE));
    let server = net.add_prover(world.host(HOST), PREFER, Conduct::Silent);
    net.offer(client, server, ASKED, KerberosUse::Prefer);
    net.run(Duration::from_secs(20), |_| false);
    assert_eq!(net.hosts[client].prover.begun.len(), 1, "and it is not begun anew");
    let failed = &net.hosts[client].diary.failed;
    assert!(matches!(failed[..], [(_, Side::Ours, _)]), "{failed:?}");
    assert!(net.hosts.iter().all(|host| host.diary.secured.is_empty()));
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
