//! A chain that is remembered is that chain, in its role, in its time, and nothing else.

use std::sync::Arc;

use countersign_core::{Asked, AskedFrom, HandshakeError, Policy, ServerPlan, Timestamp};
use countersign_core::{SecuritySettings, TargetTable};
use countersign_lab::{Authority, Charter, Issued, Leaf, now};
use rustls_pki_types::CertificateDer;

use super::{ChainDigest, KnownChains, MOST, Usage, VerifiedChain};
use crate::TrustAnchors;
use crate::names::StatedNames;
use crate::scope::{Answer, Question};
use crate::verify::Verifier;

fn anchors(root: &Authority) -> TrustAnchors {
    TrustAnchors::new([root.certificate()]).unwrap()
}

fn verifier(root: &Authority) -> Verifier {
    Verifier::new(anchors(root))
}

fn is_server(name: &str) -> Question {
    let from = AskedFrom::Program("192.0.2.2:443".parse().unwrap());
    Question::IsServer(Asked::Name { name: name.parse().unwrap(), from })
}

fn may_connect(policy: &str) -> Question {
    let policy = Policy::parse(policy, "p").unwrap();
    let listen = "192.0.2.2:443".parse().unwrap();
    let settings = SecuritySettings::default();
    match policy.plan_server(Some(&settings), &TargetTable::default(), listen) {
        Ok(ServerPlan::Tls { admission, .. }) => {
            Question::MayConnect(Arc::new(admission), "192.0.2.1:50000".parse().unwrap())
        }
        other => panic!("{other:?}"),
    }
}

fn ask(
    verifier: &Verifier,
    chain: &[CertificateDer<'_>],
    asks: &Question,
    at: Timestamp,
) -> Result<Answer, HandshakeError> {
    let (leaf, rest) = chain.split_first().unwrap();
    verifier.ask(asks, leaf, rest, at)
}

fn is_known(verifier: &Verifier, usage: Usage, chain: &[CertificateDer<'_>]) -> bool {
    let (leaf, rest) = chain.split_first().unwrap();
    verifier.known(&ChainDigest::of(usage, leaf, rest), now()).is_some()
}

fn variant(outcome: Result<Answer, HandshakeError>) -> String {
    format!("{:?}", outcome.unwrap_err()).split([' ', '(']).next().unwrap().to_owned()
}

/// A root, one between, and a leaf below it with two names.
fn chain() -> (Authority, Authority, Issued) {
    let root = Authority::new("root");
    let between = root.intermediate(Charter::new("between"));
    let issued = between.issue(Leaf::new().dns("a.test").dns("b.test"));
    (root, between, issued)
}

fn later(secs: u64) -> Timestamp {
    Timestamp::from_secs(now().as_secs() + secs)
}

#[test]
fn a_good_chain_is_verified_once_and_asked_each_time() {
    let (root, _, Issued { chain, .. }) = chain();
    let verifier = verifier(&root);
    assert!(!is_known(&verifier, Usage::Server, &chain));
    let first = ask(&verifier, &chain, &is_server("a.test"), now()).unwrap();
    let second = ask(&verifier, &chain, &is_server("http/b.test"), now()).unwrap();
    assert!(Arc::ptr_eq(&first.chain, &second.chain));
    assert_eq!(first.names[0].name().to_string(), "host/a.test");
    assert_eq!(second.names[0].name().to_string(), "http/b.test");
    assert_eq!(first.expires, second.expires);
    assert_eq!(first.chain.certificates()[..], chain[..]);
    assert_eq!(variant(ask(&verifier, &chain, &is_server("c.test"), now())), "WrongPeer");
    let nobody = may_connect("[[allow]]\npeers = ['c.test']");
    assert_eq!(variant(ask(&verifier, &chain, &nobody, now())), "NotAllowed");
    assert!(ask(&verifier, &chain, &may_connect("[[allow]]\npeers = ['*']"), now()).is_ok());
    assert_eq!(variant(ask(&verifier, &chain, &nobody, now())), "NotAllowed", "known by now");
}

#[test]
fn another_chain_is_another_whatever_they_have_in_common() {
    let (root, between, Issued { chain, .. }) = chain();
    let verifier = verifier(&root);
    ask(&verifier, &chain, &is_server("a.test"), now()).unwrap();
    let refused = |chain: &[CertificateDer<'_>]| {
        let outcome = variant(ask(&verifier, chain, &is_server("a.test"), now()));
        assert!(!is_known(&verifier, Usage::Server, chain));
        outcome
    };
    assert_eq!(refused(&chain[..1]), "UntrustedIssuer");
    let stranger = Authority::new("root").intermediate(Charter::new("between"));
    let below_stranger = [&chain[..1], &[stranger.certificate().clone()]].concat();
    assert_eq!(refused(&below_stranger), "UntrustedIssuer");
    let reversed: Vec<_> = chain.iter().rev().cloned().collect();
    assert_eq!(refused(&reversed), "BadCertificate");
    // Good too, and not the same.
    let other = between.issue(Leaf::new().dns("c.test")).chain;
    assert_eq!(variant(ask(&verifier, &other, &is_server("a.test"), now())), "WrongPeer");
    let doubled = [&chain[..], &chain[1..]].concat();
    let doubled = ask(&verifier, &doubled, &is_server("a.test"), now()).unwrap();
    let single = ask(&verifier, &chain, &is_server("a.test"), now()).unwrap();
    assert!(!Arc::ptr_eq(&doubled.chain, &single.chain));
}

#[test]
fn where_certificates_begin_and_end_is_part_of_what_is_remembered() {
    let one = |bytes: &'static [u8]| CertificateDer::from(bytes);
    let of = |usage, leaf, rest: &[CertificateDer<'_>]| ChainDigest::of(usage, &one(leaf), rest);
    let all = [
        of(Usage::Server, b"ab", &[]),
        of(Usage::Client, b"ab", &[]),
        of(Usage::Server, b"a", &[one(b"b")]),
        of(Usage::Server, b"", &[one(b"ab")]),
        of(Usage::Server, b"ab", &[one(b"")]),
        of(Usage::Server, b"a", &[one(b""), one(b"b")]),
    ];
    for (at, digest) in all.iter().enumerate() {
        assert!(!all[..at].contains(digest), "{at}");
    }
}

#[test]
fn altered_chain_is_judged_itself() {
    let (root, _, Issued { chain, .. }) = chain();
    let verifier = verifier(&root);
    ask(&verifier, &chain, &is_server("a.test"), now()).unwrap();
    for (number, certificate) in chain.iter().enumerate() {
        for at in 0..certificate.len() {
            let mut altered = certificate.to_vec();
            altered[at] ^= 1;
            let mut chain = chain.clone();
            chain[number] = altered.into();
            let outcome = ask(&verifier, &chain, &is_server("a.test"), now());
            assert!(outcome.is_err(), "byte {at} of certificate {number}");
        }
    }
}

#[test]
fn remembered_chain_is_good_in_its_time_only() {
    let root = Authority::new("root");
    let start = now().as_secs();
    let between = root.intermediate(Charter::new("between").valid(start - 50, start + 1_000));
    let Issued { chain, .. } =
        between.issue(Leaf::new().dns("a.test").valid(start - 100, start + 2_000));
    let verifier = verifier(&root);
    let asks = is_server("a.test");
    let at = |secs: i64| {
        ask(&verifier, &chain, &asks, Timestamp::from_secs(start.saturating_add_signed(secs)))
    };
    let first = at(0).unwrap();
    for secs in [-50, 1, 1_000] {
        assert!(Arc::ptr_eq(&at(secs).unwrap().chain, &first.chain), "{secs}");
    }
    assert_eq!(variant(at(-51)), "NotYetValid");
    assert_eq!(variant(at(1_001)), "Expired");
    assert_eq!(variant(at(i64::MAX)), "Expired");
    assert!(at(0).is_ok());
    assert_eq!(first.chain.good_until(), later(1_000).min(Timestamp::from_secs(start + 1_000)));
}

#[test]
fn chain_that_was_good_for_one_role_is_not_for_the_other() {
    let root = Authority::new("root");
    let clients = root.issue(Leaf::new().dns("a.test").client_only()).chain;
    let servers = root.issue(Leaf::new().dns("a.test").server_only()).chain;
    let verifier = verifier(&root);
    let (as_server, as_client) = (is_server("a.test"), may_connect(""));
    for _ in 0..2 {
        assert!(ask(&verifier, &clients, &as_client, now()).is_ok());
        assert_eq!(variant(ask(&verifier, &clients, &as_server, now())), "WrongUsage");
        assert!(ask(&verifier, &servers, &as_server, now()).is_ok());
        assert_eq!(variant(ask(&verifier, &servers, &as_client, now())), "WrongUsage");
    }
}

#[test]
fn constraints_and_public_anchors_count_for_a_known_chain_too() {
    let root = Authority::new("root");
    let within = root.intermediate(Charter::new("within").permitting_dns("example.com"));
    let leaf = Leaf::new().dns("db1.example.com").service("postgres", "db1.example.org");
    let chain = within.issue(leaf.service("postgres", "db1.example.com")).chain;
    let verifier = verifier(&root);
    let workload = root.issue(Leaf::new().uri("spiffe://prod/a")).chain;
    let public = TrustAnchors::lenient(&[], &[root.certificate().clone()]);
    let public = Verifier::new(public);
    for _ in 0..2 {
        assert!(ask(&verifier, &chain, &is_server("postgres/db1.example.com"), now()).is_ok());
        let outside = ask(&verifier, &chain, &is_server("postgres/db1.example.org"), now());
        assert_eq!(variant(outside), "WrongPeer");
        assert!(ask(&verifier, &workload, &is_server("spiffe://prod/a"), now()).is_ok());
        let asked = ask(&public, &workload, &is_server("spiffe://prod/a"), now());
        assert_eq!(variant(asked), "WrongPeer");
    }
}

#[test]
fn what_is_bad_or_too_large_is_not_remembered() {
    let root = Authority::new("root");
    let verifier = verifier(&root);
    let expired = root.issue(Leaf::new().dns("a.test").valid(0, 60)).chain;
    assert_eq!(variant(ask(&verifier, &expired, &is_server("a.test"), now())), "Expired");
    assert_eq!(variant(ask(&verifier, &expired, &is_server("a.test"), later(1))), "Expired");
    assert!(!is_known(&verifier, Usage::Server, &expired));
    let many = (0..100).fold(Leaf::new(), |leaf, number| leaf.dns(&format!("a{number}.test")));
    let many = root.issue(many).chain;
    assert!(ask(&verifier, &many, &is_server("a99.test"), now()).is_ok());
    assert!(!is_known(&verifier, Usage::Server, &many));
    let padded: Vec<_> = std::iter::once(&root.issue(Leaf::new().dns("a.test")).chain[0])
        .chain(std::iter::repeat_n(root.certificate(), 60))
        .cloned()
        .collect();
    assert!(ask(&verifier, &padded, &is_server("a.test"), now()).is_ok());
    assert!(!is_known(&verifier, Usage::Server, &padded));
}

#[test]
fn a_flood_of_good_chains_takes_no_more_room_than_there_is() {
    let root = Authority::new("root");
    let chain = root.issue(Leaf::new().dns("a.test")).chain;
    let (leaf, rest) = chain.split_first().unwrap();
    let usage = Usage::Server;
    let known = KnownChains::new();
    let verified = VerifiedChain::verify(&anchors(&root), usage, leaf, rest, now()).unwrap();
    let other = |number: usize| {
        let name: CertificateDer<'static> = number.to_be_bytes().to_vec().into();
        ChainDigest::of(usage, &name, &[])
    };
    known.remember(&Arc::new(verified));
    for number in 0..3 * MOST {
        known.remember(&Arc::new(VerifiedChain {
            certificates: chain.clone().into(),
            digest: other(number),
            stated: StatedNames::none(),
            proved: Vec::new(),
            window: Some((now(), now())),
            expires: now(),
        }));
        // What is in use stays.
        assert!(known.find(&ChainDigest::of(usage, leaf, rest)).is_some(), "{number}");
    }
    assert_eq!(known.len(), MOST);
    assert!(known.find(&other(0)).is_none() && known.find(&other(3 * MOST - 1)).is_some());
}
