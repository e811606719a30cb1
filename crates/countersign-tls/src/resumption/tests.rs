//! What only the inside can show: tickets taken apart, chains that are forgotten.

use std::sync::Arc;

use countersign_core::{
    Admission, Asked, AskedFrom, Evidence, HandshakeError, Policy, SecuritySettings, ServerPlan,
    TargetTable, Timestamp,
};
use countersign_lab::{Authority, Issued, Leaf, now};
use rustls::server::ProducesTickets;
use rustls_pki_types::CertificateDer;

use super::{LIFETIME, Session, SessionPeer, Ticketer};
use crate::chain::{ChainDigest, Usage};
use crate::scope::{self, Outcome, Question};
use crate::verify::Verifier;
use crate::{ClientConfig, Credential, Engine, Output, ServerConfig, TrustAnchors};

const HOST: &str = "db1.test";

fn anchors(authority: &Authority) -> TrustAnchors {
    TrustAnchors::new([authority.certificate()]).unwrap()
}

fn credential(issued: &Issued) -> Credential {
    Credential::new(issued.chain.clone(), issued.key.clone_key()).unwrap()
}

fn admission(policy: &str) -> Arc<Admission> {
    let policy = Policy::parse(policy, "p").unwrap();
    let listen = "192.0.2.2:443".parse().unwrap();
    let settings = SecuritySettings::default();
    match policy.plan_server(Some(&settings), &TargetTable::default(), listen) {
        Ok(ServerPlan::Tls { admission, .. }) => Arc::new(admission),
        other => panic!("{other:?}"),
    }
}

fn may_connect(policy: &str) -> Question {
    Question::MayConnect(admission(policy), "192.0.2.1:50000".parse().unwrap())
}

fn is_server(name: &str) -> Question {
    let from = AskedFrom::Program("192.0.2.2:443".parse().unwrap());
    Question::IsServer(Asked::Name { name: name.parse().unwrap(), from })
}

const REQUIRE: &str = "server.client-certificates = 'require'";
const NONE: &str = "server.client-certificates = 'none'";

fn later(secs: u64) -> Timestamp {
    Timestamp::from_secs(now().as_secs() + secs)
}

/// Makes a ticket as in the last flight of a full handshake with an anonymous client.
fn seal(ticketer: &Ticketer, question: &Arc<Question>, at: Timestamp) -> Option<(Vec<u8>, u32)> {
    let seal = || ticketer.encrypt(b"what rustls knows").map(|it| (it, ticketer.lifetime()));
    scope::enter(Some(question), at, Outcome::default(), seal).0
}

/// Opens one as in the first flight.
fn open(
    ticketer: &Ticketer,
    question: &Arc<Question>,
    ticket: &[u8],
    at: Timestamp,
) -> Option<(Vec<u8>, Session)> {
    let open = || ticketer.decrypt(ticket);
    let (plain, outcome) = scope::enter(Some(question), at, Outcome::default(), open);
    assert_eq!(plain.is_some(), outcome.offered.is_some());
    plain.zip(outcome.offered)
}

fn ticketer() -> Ticketer {
    Ticketer::new(Arc::new(Verifier::new(anchors(&Authority::new("root")))))
}

#[test]
fn ticket_opens_as_it_was_sealed_and_not_with_any_bit_altered() {
    let (ticketer, asks) = (ticketer(), Arc::new(may_connect(NONE)));
    let (ticket, lifetime) = seal(&ticketer, &asks, now()).unwrap();
    assert_eq!(u64::from(lifetime), LIFETIME.as_secs());
    let (plain, session) = open(&ticketer, &asks, &ticket, now()).unwrap();
    assert_eq!(plain, b"what rustls knows");
    assert_eq!(session.peer, SessionPeer::Anonymous { was_asked: false });
    for bit in 0..ticket.len() * 8 {
        let mut altered = ticket.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&ticketer, &asks, &altered, now()), None, "bit {bit}");
    }
    for length in 0..ticket.len() {
        assert_eq!(open(&ticketer, &asks, &ticket[..length], now()), None, "{length}");
    }
    let longer = [&ticket[..], b"\0"].concat();
    assert_eq!(open(&ticketer, &asks, &longer, now()), None);
    assert_eq!(open(&self::ticketer(), &asks, &ticket, now()), None, "another generation");
}

#[test]
fn ticket_lasts_an_hour_and_its_keys_two() {
    let (ticketer, asks) = (ticketer(), Arc::new(may_connect(NONE)));
    let hour = LIFETIME.as_secs();
    let seal = |at| seal(&ticketer, &asks, later(at)).unwrap().0;
    let is_open = |ticket: &[u8], at| open(&ticketer, &asks, ticket, later(at)).is_some();
    let first = seal(0);
    assert!(is_open(&first, 0) && is_open(&first, hour - 1));
    let second = seal(hour - 10);
    assert!(!is_open(&second, hour - 11), "it was not there yet");
    assert!(!is_open(&first, hour));
    // The keys have changed by now; those before still open.
    assert!(is_open(&second, hour + 10));
    let third = seal(2 * hour);
    assert!(is_open(&third, 2 * hour + 10) && !is_open(&second, 2 * hour + 10));
    // Nobody was there for a long time: nothing from before opens, also if its age were right.
    assert!(!is_open(&third, 5 * hour));
    assert!(!is_open(&third, 2 * hour + 10));
    // A clock that was set back forgets keys.
    let fourth = seal(9 * hour);
    assert!(!is_open(&fourth, 9 * hour - 1));
    assert!(!is_open(&fourth, 9 * hour));
}

#[test]
fn there_is_no_ticket_without_a_question_or_beside_another_proof() {
    let ticketer = ticketer();
    assert_eq!(ticketer.encrypt(b"x"), None);
    let address = "192.0.2.1:50000".parse().unwrap();
    let who_else = Arc::new(Question::WhoElse(admission(NONE), address));
    assert_eq!(seal(&ticketer, &who_else, now()), None);
    let server = Arc::new(is_server(HOST));
    assert_eq!(seal(&ticketer, &server, now()), None);
    let asks = Arc::new(may_connect(NONE));
    let (ticket, _) = seal(&ticketer, &asks, now()).unwrap();
    assert_eq!(ticketer.decrypt(&ticket), None);
    for other in [who_else, server] {
        assert_eq!(open(&ticketer, &other, &ticket, now()), None);
    }
}

#[test]
fn ticket_of_a_resumed_connection_lasts_as_long_as_the_first() {
    let (ticketer, asks) = (ticketer(), Arc::new(may_connect(NONE)));
    let peer = SessionPeer::Anonymous { was_asked: false };
    let session = Session { authenticated: now(), peer };
    let outcome = || Outcome { session: Some(session.clone()), ..Outcome::default() };
    let seal = || ticketer.encrypt(b"x").map(|it| (it, ticketer.lifetime()));
    let (sealed, _) = scope::enter(Some(&asks), later(1_000), outcome(), seal);
    let (ticket, lifetime) = sealed.unwrap();
    assert_eq!(u64::from(lifetime), LIFETIME.as_secs() - 1_000);
    let (_, reopened) = open(&ticketer, &asks, &ticket, later(1_001)).unwrap();
    assert_eq!(reopened, session);
    let (sealed, _) = scope::enter(Some(&asks), later(LIFETIME.as_secs()), outcome(), seal);
    assert_eq!(sealed, None);
    // Before it is settled whether a session is resumed there is no ticket at all.
    let unsettled = Outcome { offered: Some(session.clone()), ..outcome() };
    assert_eq!(scope::enter(Some(&asks), now(), unsettled, seal).0, None);
}

#[test]
fn chain_that_comes_with_a_session_must_be_its_chain_and_do_for_the_question() {
    let root = Authority::new("root");
    let verifier = Verifier::new(anchors(&root));
    let alice = root.issue(Leaf::new().kerberos("A.TEST", &["alice"]));
    let bob = root.issue(Leaf::new().kerberos("A.TEST", &["bob"]));
    let (leaf, rest) = alice.chain.split_first().unwrap();
    let session = |usage| Session {
        authenticated: now(),
        peer: SessionPeer::Certified {
            digest: ChainDigest::of(usage, leaf, rest),
            until: later(1_000),
        },
    };
    let judge = |session: &Session, asks: &Question, chain: &[CertificateDer<'_>]| {
        let answer = session.judge(&verifier, asks, chain, now());
        answer.map(|answer| answer.map(|it| it.names[0].name().to_string()))
    };
    let (client, alices) = (session(Usage::Client), &alice.chain[..]);
    let of_alice = "[[allow]]\npeers = ['alice@A.TEST']";
    let of_bob = "[[allow]]\npeers = ['bob@A.TEST']";
    let name = Ok(Some("alice@A.TEST".to_owned()));
    for policy in [REQUIRE, of_alice] {
        assert_eq!(judge(&client, &may_connect(policy), alices), name);
    }
    let refused = |outcome: Result<Option<String>, HandshakeError>| outcome.is_err();
    assert!(refused(judge(&client, &may_connect(REQUIRE), &bob.chain)));
    assert!(refused(judge(&client, &may_connect(REQUIRE), &[])));
    let longer = [alices, &bob.chain].concat();
    assert!(refused(judge(&client, &may_connect(REQUIRE), &longer)));
    assert!(refused(judge(&client, &may_connect(of_bob), alices)));
    assert!(refused(judge(&client, &may_connect(NONE), alices)), "none is asked for");
    assert!(refused(judge(&client, &is_server("alice@A.TEST"), alices)), "another role");
    let server = session(Usage::Server);
    assert_eq!(judge(&server, &is_server("alice@A.TEST"), alices), name);
    assert!(refused(judge(&server, &is_server("bob@A.TEST"), alices)));
    assert!(refused(judge(&server, &Question::IsServer(Asked::AnyTrusted), alices)));
    let peer = SessionPeer::Anonymous { was_asked: true };
    let anonymous = Session { authenticated: now(), peer };
    assert_eq!(judge(&anonymous, &may_connect(NONE), &[]), Ok(None));
    assert!(refused(judge(&anonymous, &may_connect(NONE), alices)), "a proof from nowhere");
    assert!(refused(judge(&anonymous, &may_connect(REQUIRE), &[])));
    assert!(refused(judge(&anonymous, &is_server(HOST), &[])));
}

/// A client and a server of this crate's own build, and what moves between them.
struct Ends {
    client: ClientConfig,
    server: ServerConfig,
}

impl Ends {
    fn new() -> Self {
        let root = Authority::new("root");
        let policy = Policy::default();
        let server = credential(&root.issue(Leaf::new().dns(HOST)));
        let client = credential(&root.issue(Leaf::new().kerberos("A.TEST", &["alice"])));
        Self {
            client: ClientConfig::new(&policy, &anchors(&root), Some(&client)),
            server: ServerConfig::new(&policy, &anchors(&root), &server),
        }
    }

    /// What both come to, and what the client hears in the end.
    fn meet(&self, policy: &str) -> [Result<Evidence, HandshakeError>; 2] {
        let Question::IsServer(asked) = is_server(HOST) else { panic!() };
        let mut client = Engine::client(&self.client, asked, now()).unwrap();
        let peer = "192.0.2.1:50000".parse().unwrap();
        let mut server = Engine::server(&self.server, admission(policy), peer).unwrap();
        let mut ended = [const { None }; 2];
        for _ in 0..8 {
            carry(&mut client, &mut server, &mut ended[1]);
            carry(&mut server, &mut client, &mut ended[0]);
            server.seal(b"x");
        }
        ended.map(|ended| ended.expect("it ends"))
    }
}

type Ended = Option<Result<Evidence, HandshakeError>>;

fn carry(from: &mut Engine, to: &mut Engine, ended: &mut Ended) {
    let mut wire = Vec::new();
    while from.wants_transmit() {
        from.transmit(&mut wire).unwrap();
    }
    let outcome = to.handle_input(&wire, now()).and_then(|_| to.poll(now()));
    match outcome.and_then(|outcome| to.open(&mut [0; 100]).map(|_| outcome)) {
        Ok(Output::Secured(evidence)) => *ended = Some(Ok(*evidence)),
        Ok(_) => {}
        Err(error) => *ended = Some(Err(error)),
    }
}

#[test]
fn server_that_knows_the_chain_no_more_judges_it_when_it_is_there() {
    let ends = Ends::new();
    let forget = || ends.server.resumes.as_ref().unwrap().forget();
    let meet = |policy| ends.meet(policy).map(|ended| ended.map(|it| it.is_resumed()));
    assert_eq!(meet(REQUIRE), [Ok(false), Ok(false)]);
    forget();
    assert_eq!(meet(REQUIRE), [Ok(true), Ok(true)]);
    // rustls has let it in by then; we have not.
    forget();
    let alert = HandshakeError::RefusedByPeer { alert: "access_denied".to_owned() };
    let [client, server] = meet("[[allow]]\npeers = ['bob@A.TEST']");
    assert_eq!(client, Err(alert));
    assert!(matches!(server, Err(HandshakeError::NotAllowed { .. })), "{server:?}");
}
