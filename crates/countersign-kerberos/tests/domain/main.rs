//! The proof against an Active Directory domain, whose controller is Samba. Without one, all of
//! this fails.
//!
//! There a service principal name is an account's by-name: all of them share the account's key,
//! none tells cases apart, and some are other words for `host`.

use std::sync::LazyLock;

use countersign_core::{
    Encrypted, EncryptionRule, EncryptionType, KerberosFailure, KerberosRefusal, Sid,
};
use countersign_kerberos::{
    AcceptorCredential, Channel, Exchange, InitiatorCredential, Proved, Terms,
};
use countersign_lab::{Domain, Realm, within};

const COMMANDS: &str = "\
domain passwordsettings set --complexity=off --min-pwd-age=0 {db}
user create alice alicepw.Xy1 {db}
user create svc-server --random-password {db}
computer create LAPTOP {db}
group add engineers {db}
group addmembers engineers alice {db}
spn add host/server.example.test svc-server {db}
spn add MyProto/server.example.test:9000 svc-server {db}
user create svc-old --random-password {db}
spn add host/old.example.test svc-old {db}
user setpassword svc-old --newpassword=Old.pw.Xy5 {db}
aes svc-server
aes alice
aes LAPTOP$
user setpassword alice --newpassword=alicepw.Xy2 {db}
user setpassword LAPTOP$ --newpassword=Lap.pw.Xy4 {db}
user enable LAPTOP$ {db}
user setpassword svc-server --newpassword=Srv.pw.Xy3 {db}
domain exportkeytab {dir}/host --principal=host/server.example.test {conf}
domain exportkeytab {dir}/old --principal=host/old.example.test {conf}
domain exportkeytab {dir}/custom --principal=MyProto/server.example.test:9000 {conf}
domain exportkeytab {dir}/alice.keytab --principal=alice {conf}
domain exportkeytab {dir}/laptop.keytab --principal=LAPTOP$ {conf}
user show alice --attributes=objectSid {db}
group show engineers --attributes=objectSid {db}
";

const HOST: &str = "host/server.example.test";
const CUSTOM: &str = "MyProto/server.example.test:9000";

fn in_domain(body: impl FnOnce(&Realm)) {
    // If it does not start, all tests fail at once, and not each after its own attempt.
    static DOMAIN: LazyLock<Domain> = LazyLock::new(|| {
        let domain = Domain::start(COMMANDS);
        domain.ticket_by_keytab(&domain.file("alice.keytab"), "alice", "alice", &[]);
        domain.ticket_by_keytab(&domain.file("laptop.keytab"), "LAPTOP$", "laptop", &[]);
        domain
    });
    within(|| Realm::clone(&DOMAIN), body);
}

#[derive(Debug)]
struct Ending {
    client: Result<Proved, KerberosFailure>,
    server: Result<Proved, KerberosFailure>,
}

/// Lets the holder of a cache ask for a service, and the services of a keytab answer; with
/// `claimed`, somebody on the way claims that another service was asked for.
fn talk(realm: &Realm, cache: &str, asked: &str, keytab: &str, claimed: Option<&str>) -> Ending {
    let terms = [Terms::default(), Terms::default()];
    talk_with(realm, cache, asked, keytab, claimed, terms)
}

/// The same with terms of the client, and of the server.
fn talk_with(
    realm: &Realm,
    cache: &str,
    asked: &str,
    keytab: &str,
    claimed: Option<&str>,
    [of_client, of_server]: [Terms; 2],
) -> Ending {
    let channel = || Channel::new([1; Channel::EXPORTED_LEN]);
    let credential = InitiatorCredential::cache(&realm.file(cache));
    let asked = asked.parse().unwrap();
    let mut client = Exchange::initiate(&asked, credential, channel(), of_client);
    let keys = AcceptorCredential::load(Some(&realm.file(keytab)), &[]).unwrap();
    let mut server = Exchange::accept(keys, channel(), of_server);
    loop {
        let mut there = Vec::new();
        work(&mut client);
        client.transmit(&mut there);
        if let (Some(claimed), Some(b'T')) = (claimed, there.get(4)) {
            let name = usize::from(u16::from_be_bytes([there[5], there[6]]));
            let length = u16::try_from(claimed.len()).unwrap().to_be_bytes();
            let body = [length.as_slice(), claimed.as_bytes(), &there[7 + name..]].concat();
            let head = u32::try_from(body.len()).unwrap().to_be_bytes();
            there = [head.as_slice(), b"T", &body].concat();
        }
        server.handle_input(&there);
        work(&mut server);
        let mut back = Vec::new();
        server.transmit(&mut back);
        client.handle_input(&back);
        if there.is_empty() && back.is_empty() {
            let undecided = || KerberosFailure::Other { text: "undecided".to_owned() };
            let outcome = |side: &mut Exchange| side.poll().and_then(|it| it.ok_or_else(undecided));
            return Ending { client: outcome(&mut client), server: outcome(&mut server) };
        }
    }
}

fn work(side: &mut Exchange) {
    while let Some(work) = side.take_work() {
        side.finish(work.run());
    }
}

#[test]
fn users_of_a_domain_prove_themselves_with_their_groups() {
    in_domain(|realm| {
        let ending = talk(realm, "alice", HOST, "host", None);
        ending.client.unwrap();
        let proved = ending.server.unwrap();
        assert_eq!(proved.principal(), "alice@AD.EXAMPLE.TEST");
        let said = std::fs::read_to_string(realm.path("said")).unwrap();
        let sids = said.lines().filter_map(|line| line.strip_prefix("objectSid: "));
        let sids: Vec<Sid> = sids.map(|sid| sid.parse().unwrap()).collect();
        let [alice, engineers] = sids.try_into().unwrap();
        assert_eq!(proved.groups().first(), Some(&alice));
        assert!(proved.groups().contains(&engineers), "{:?}", proved.groups());
        // Every user of a domain is one of its Domain Users.
        assert!(proved.groups().iter().any(|sid| sid.rid() == 513), "{:?}", proved.groups());
        let machine = talk(realm, "laptop", HOST, "host", None).server.unwrap();
        assert!(!machine.groups().contains(&engineers));
        assert!(machine.groups().iter().any(|sid| sid.rid() == 515), "{:?}", machine.groups());
    });
}

#[test]
fn machines_prove_their_accounts() {
    in_domain(|realm| {
        let proved = talk(realm, "laptop", HOST, "host", None).server.unwrap();
        assert_eq!(proved.principal(), "LAPTOP$@AD.EXAMPLE.TEST");
        assert_eq!(proved.peer().unwrap().to_string(), "LAPTOP$@AD.EXAMPLE.TEST");
    });
}

#[test]
fn names_that_setspn_gives_are_services() {
    in_domain(|realm| {
        let ending = talk(realm, "alice", CUSTOM, "custom", None);
        let expected = format!("{CUSTOM}@AD.EXAMPLE.TEST");
        assert_eq!(ending.client.unwrap().principal(), expected);
        assert_eq!(ending.server.unwrap().service().to_string(), expected);
    });
}

#[test]
fn case_does_not_matter() {
    in_domain(|realm| {
        for asked in ["HOST/server.example.test", "Host/SERVER.Example.Test"] {
            let ending = talk(realm, "alice", asked, "host", None);
            let proved = ending.client.unwrap();
            assert!(proved.service().satisfies(&HOST.parse().unwrap()));
            ending.server.unwrap();
        }
    });
}

#[test]
fn another_service_of_the_account_does_not_stand_in() {
    in_domain(|realm| {
        // The KDC gives a ticket for `cifs/server`, and the key is the same.
        for asked in [CUSTOM, "cifs/server.example.test"] {
            let ending = talk(realm, "alice", asked, "host", None);
            let failure = ending.server.unwrap_err();
            assert!(matches!(failure, KerberosFailure::WrongService { .. }), "{failure:?}");
            // With a lie about what was asked for, the server is satisfied with the ticket, which
            // the client finds out.
            let ending = talk(realm, "alice", asked, "host", Some(HOST));
            let failure = ending.client.unwrap_err();
            assert!(matches!(failure, KerberosFailure::ConfirmationFailed { .. }), "{failure:?}");
            let reason = KerberosRefusal::ConfirmationFailed;
            let refused = KerberosFailure::RefusedByPeer { reason, detail: None };
            assert_eq!(ending.server.unwrap_err(), refused);
        }
    });
}

/// An account of a domain whose administrator never said that it has AES keys.
#[test]
fn an_account_without_aes_keys_is_refused_unless_rc4_is_let_in() {
    in_domain(|realm| {
        let old = "host/old.example.test";
        let lax = || Terms::default().with_encryption(EncryptionRule::new(None, Some(true)));
        let met = |terms| talk_with(realm, "alice", old, "old", None, terms);
        let is_weak = |failure: &KerberosFailure| {
            matches!(failure, KerberosFailure::WeakEncryption { what: Encrypted::Ticket, used, .. }
                if *used == EncryptionType::RC4)
        };
        let failure = met([Terms::default(), lax()]).client.unwrap_err();
        assert!(is_weak(&failure), "{failure:?}");
        assert!(failure.hint().contains("msDS-SupportedEncryptionTypes"), "{}", failure.hint());
        let failure = met([lax(), Terms::default()]).server.unwrap_err();
        assert!(is_weak(&failure), "{failure:?}");
        let proved = met([lax(), lax()]).server.unwrap();
        assert_eq!(proved.encryption().ticket, EncryptionType::RC4);
    });
}
