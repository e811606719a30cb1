//! Handshakes with peers that are not ours: what they lack, what they choose, what they do twice.

use countersign_core::{HandshakeError, KerberosUse};
use countersign_lab::Leaf;

use super::prover::Conduct;
use super::stranger::{OFFERING, Oddity, Stranger};
use super::{ALICE, ASKED, AT, HOST, PREFER, SERVICE, delivered, prove, server};
use crate::clock;
use crate::net::{Net, Weather, World};

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
