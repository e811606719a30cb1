//! The command in a realm of Kerberos, with MIT's KDC: tickets instead of certificates.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use countersign_lab::{Kdc, free_port};

use crate::session::{Running, Session, finish, list};

const SERVICE: &str = "postgres/db1.example.test";

/// One realm serves all tests that change nothing in it.
fn shared() -> &'static Kdc {
    static KDC: OnceLock<Kdc> = OnceLock::new();
    KDC.get_or_init(realm)
}

/// Alice and bob with tickets, and a service with a keytab.
fn realm() -> Kdc {
    let kdc = Kdc::start();
    kdc.add(&["alice", "bob", SERVICE, "HTTP/www.example.test"]);
    kdc.keytab("db1", &[SERVICE]);
    kdc.keytab("www", &["HTTP/www.example.test"]);
    kdc.ticket("alice", "alice", &[]);
    kdc.ticket("bob", "bob", &[]);
    kdc
}

/// A command of ours in the realm, with the tickets of this cache.
fn command(session: &Session, kdc: &Kdc, cache: &str, arguments: &[&str]) -> Command {
    let mut command = session.command(arguments);
    command.envs(kdc.environment()).env("KRB5CCNAME", format!("FILE:{}", kdc.file(cache)));
    command
}

fn serve(session: &Session, kdc: &Kdc, name: &str, keytab: &str, more: &[&str]) -> Running {
    let keytab = kdc.file(keytab);
    let mut arguments = vec!["serve", name, "--listen", "127.0.0.1:0", "--keytab", &keytab];
    arguments.extend(more);
    Running::start(&mut command(session, kdc, "none", &arguments))
}

#[test]
fn a_keytab_and_a_ticket_do_without_any_certificate() {
    let (session, kdc) = (Session::empty(), shared());
    let script = "echo $COUNTERSIGN_PEER by $COUNTERSIGN_PROOF";
    let more = ["--allow", "*@EXAMPLE.TEST", "--exec", "sh", "-c", script];
    let mut server = serve(&session, kdc, SERVICE, "db1", &more);
    let at = server.at();
    let connect = ["connect", "--kerberos", SERVICE, &at];
    finish(&mut command(&session, kdc, "alice", &connect), b"")
        .success()
        .wrote("alice@EXAMPLE.TEST by Kerberos ticket\n")
        .said(&["postgres/db1.example.test@EXAMPLE.TEST (Kerberos ticket)"]);
    server.wait_for(|line| line.contains("alice@EXAMPLE.TEST (Kerberos ticket)"));

    let json = [&connect[..], &["--json"]].concat();
    let events = finish(&mut command(&session, kdc, "alice", &json), b"").success().events();
    let evidence = &events[0]["evidence"];
    assert_eq!(evidence["peer"]["proof"], "Kerberos ticket", "{events:?}");
    assert_eq!(evidence["name_verified"], true);
    assert_eq!(evidence["ticket_encryption"]["ticket"], "aes256-cts-hmac-sha1-96");

    // Policy instead of options, and the environment instead of a cache that is named.
    session.write("policy.toml", b"[kerberos]\nclient = 'prefer'\n");
    let by_policy = ["connect", "--policy", "policy.toml", SERVICE, &at];
    finish(&mut command(&session, kdc, "bob", &by_policy), b"")
        .success()
        .wrote("bob@EXAMPLE.TEST by Kerberos ticket\n");
    let cache = kdc.file("alice");
    let named = ["connect", "--ticket-cache", &cache, SERVICE, &at];
    finish(&mut command(&session, kdc, "none", &named), b"")
        .success()
        .wrote("alice@EXAMPLE.TEST by Kerberos ticket\n");
}

#[test]
fn refusals_name_the_reason_and_what_to_try() {
    let (session, kdc) = (Session::empty(), shared());
    let mut server =
        serve(&session, kdc, SERVICE, "db1", &["--allow", "bob@EXAMPLE.TEST", "--echo"]);
    let at = server.at();
    let connect = |cache: &str, name: &str| {
        finish(&mut command(&session, kdc, cache, &["connect", "--kerberos", name, &at]), b"hello")
    };
    connect("none", SERVICE).ended(2).said(&["no Kerberos credentials", "hint: ", "kinit"]);
    connect("alice", "postgres/nobody.example.test").said(&["KDC", "postgres/nobody.example.test"]);
    connect("alice", "HTTP/www.example.test").ended(3).said(&["broke off the Kerberos proof"]);
    connect("alice", "bob@EXAMPLE.TEST").ended(2).said(&["user-to-user is not provided"]);
    connect("alice", SERVICE).ended(3).wrote("").said(&["its rules do not let us in", "[[allow]]"]);
    server.wait_for(|line| {
        line.contains("alice@EXAMPLE.TEST is not allowed here: allowed are bob@EXAMPLE.TEST")
    });
    connect("bob", SERVICE).success().wrote("hello");

    let listen = |arguments: &[&str]| {
        let all = [&["serve", SERVICE, "--listen", "127.0.0.1:0", "--echo"], arguments].concat();
        finish(&mut command(&session, kdc, "none", &all), b"")
    };
    listen(&["--keytab", "missing"]).ended(4).said(&["keytab", "missing", "hint: "]);
    listen(&["--udp", "--keytab", "missing"]).ended(4).said(&["keytab", "missing", "hint: "]);
    listen(&["--realm", "EXAMPLE.TEST"]).ended(2).said(&["--keytab"]);
    let keytab = kdc.file("www");
    listen(&["--keytab", &keytab]).ended(4).said(&["no key for postgres/db1.example.test"]);
    listen(&["--udp", "--keytab", &keytab]).ended(4).said(&["no key for postgres/db1"]);
    finish(
        &mut command(
            &session,
            kdc,
            "none",
            &["serve", "spiffe://prod/a", "--listen", "0", "--echo", "--keytab", &keytab],
        ),
        b"",
    )
    .ended(2)
    .said(&["no service"]);
}

#[test]
fn one_server_for_tickets_and_for_certificates() {
    let kdc = shared();
    let session = Session::with(&["HTTP/www.example.test"]);
    let mut server =
        serve(&session, kdc, "HTTP/www.example.test", "www", &["--exec", "echo", "hello"]);
    let at = server.at();
    let by_ticket = ["connect", "--kerberos", "HTTP/www.example.test", &at];
    finish(&mut command(&session, kdc, "alice", &by_ticket), b"").success().wrote("hello\n");
    server.wait_for(|line| line.contains("alice@EXAMPLE.TEST"));
    let by_certificate = ["connect", "HTTP/www.example.test", &at];
    finish(&mut command(&session, kdc, "alice", &by_certificate), b"")
        .success()
        .wrote("hello\n")
        .said(&["certificate SRVName"]);
    for alpn in [&[][..], &["-alpn", "h2,http/1.1"]] {
        let mut openssl = session.stranger("openssl");
        openssl.args(["s_client", "-connect", &at, "-servername", "www.example.test", "-quiet"]);
        openssl.args(["-CAfile", "authority.pem", "-verify_return_error"]).args(alpn);
        finish(&mut openssl, b"").success().wrote("hello\n");
    }

    // Without a certificate for its name, others learn that they need a ticket.
    let bare = Session::empty();
    let mut server = serve(&bare, kdc, SERVICE, "db1", &["--echo"]);
    let plain = ["connect", SERVICE, &server.at()].map(str::to_owned);
    let plain: Vec<&str> = plain.iter().map(|word| &**word).collect();
    finish(&mut command(&bare, kdc, "alice", &plain), b"")
        .ended(3)
        .said(&["no_application_protocol"]);
    server.wait_for(|line| line.contains("takes no part in Kerberos"));
}

/// A plain program reaches a plain service, over datagrams that a ticket and a keytab protect.
#[test]
fn datagrams_do_without_any_certificate_as_well() {
    let (session, kdc) = (Session::empty(), shared());
    let more = ["--udp", "--allow", "alice@EXAMPLE.TEST", "--echo"];
    let mut server = serve(&session, kdc, SERVICE, "db1", &more);
    let at = server.at();
    let connect = |cache: &str, name: &str| {
        let connect = ["connect", "--udp", "--kerberos", name, &at];
        finish(&mut command(&session, kdc, cache, &connect), b"one\ntwo\n")
    };
    connect("alice", SERVICE).success().wrote("one\ntwo\n").said(&[
        "postgres/db1.example.test@EXAMPLE.TEST (Kerberos ticket)",
        "protected by DTLS 1.2, ",
    ]);
    server.wait_for(|line| line.contains("alice@EXAMPLE.TEST (Kerberos ticket); DTLS"));
    connect("none", SERVICE).ended(2).said(&["no Kerberos credentials", "hint: ", "kinit"]);
    connect("alice", "HTTP/www.example.test").ended(3).said(&["broke off the Kerberos proof"]);
    connect("bob", SERVICE).ended(3).wrote("").said(&["its rules do not let us in", "[[allow]]"]);
    server.wait_for(|line| line.contains("bob@EXAMPLE.TEST is not allowed here"));

    // Each program of a forwarder has a ticket of its own for the peer.
    let forward = ["forward", "--udp", "--kerberos", "--listen", "0", "--to", &at, "--name"];
    let forward = [&forward[..], &[SERVICE]].concat();
    let mut forward = Running::start(&mut command(&session, kdc, "alice", &forward));
    let plain = UdpSocket::bind("127.0.0.1:0").unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    plain.send_to(b"by ticket", forward.address()).unwrap();
    let mut buffer = [0; 64];
    assert_eq!(plain.recv_from(&mut buffer).unwrap().0, 9);
    forward.wait_for(|line| line.contains("(Kerberos ticket)"));
}

#[test]
fn explain_shows_the_proof() {
    let (session, kdc) = (Session::empty(), shared());
    session.write("policy.toml", b"[kerberos]\nclient = 'require'\nserver = 'prefer'\n");
    let explain = |more: &[&str]| {
        let all = [&["explain", "10.0.0.5:5432", "--policy", "policy.toml"], more].concat();
        finish(&mut command(&session, kdc, "none", &all), b"")
    };
    let client = explain(&["--name", SERVICE]).success().text();
    assert!(client.contains("kerberos    a ticket must prove the name\n"), "{client}");
    assert!(client.contains("tickets by  aes256-cts-hmac-sha384-192, aes256"), "{client}");
    explain(&["--name", "alice@EXAMPLE.TEST"]).ended(2).said(&["user-to-user"]);
    let client = explain(&["--name", SERVICE, "--udp"]).success().text();
    assert!(client.contains("plan        DTLS 1.2\n"), "{client}");
    assert!(client.contains("kerberos    a ticket must prove the name\n"), "{client}");
    let peers = explain(&["--listen", "--udp"]).ended(4);
    assert!(peers.text().contains("plan        DTLS 1.2\n"), "{}", peers.text());
    assert!(peers.text().contains("prove themselves by a ticket alone\n"), "{}", peers.text());
    // Whom a ticket must prove when it is greeted, it must prove when it greets.
    let named = explain(&["--listen", "--udp", "--name", SERVICE]).ended(4);
    assert!(named.text().contains("refused without a ticket\n"), "{}", named.text());
    explain(&["--udp", "--danger-allow-insecure"]).ended(2).said(&["cannot be used with --udp"]);
    let server = explain(&["--listen"]).ended(4);
    assert!(server.text().contains("prove themselves by a ticket alone\n"), "{}", server.text());
    server.said(&["no service is named"]);
}

#[test]
fn doctor_tells_an_outdated_keytab_from_a_good_one() {
    let (session, kdc) = (Session::empty(), realm());
    let keytab = kdc.file("db1");
    let doctor = |cache: &str| {
        let arguments = ["doctor", "--kerberos", "--keytab", &keytab];
        finish(&mut command(&session, &kdc, cache, &arguments), b"")
    };
    let good = doctor("alice");
    let text = good.text();
    for words in [
        "names without a realm are in EXAMPLE.TEST",
        "clocks may differ by 300 s",
        "dns_canonicalize_hostname = false",
        "tickets may be encrypted by aes256-cts-hmac-sha384-192, aes256-cts-hmac-sha1-96, ",
        "we have tickets of alice@EXAMPLE.TEST",
        "keys of postgres/db1.example.test@EXAMPLE.TEST: version 2 (aes256",
        "a ticket of alice@EXAMPLE.TEST for postgres/db1.example.test@EXAMPLE.TEST fits the key",
    ] {
        assert!(
            text.contains(words)
                || words.contains("version 2") && text.contains("version 1 (aes256"),
            "no {words:?} in\n{text}"
        );
    }
    kdc.rotate(SERVICE);
    kdc.ticket("bob", "fresh", &[]);
    let outdated = doctor("fresh").ended(1);
    let text = outdated.text();
    assert!(text.contains("is from before the service's key was changed"), "{text}");
    let none = doctor("none").ended(1);
    assert!(none.text().contains("no Kerberos credentials"), "{}", none.text());
}

#[test]
fn doctor_tells_a_wrong_clock_and_keys_that_are_too_weak() {
    let (session, kdc) = (Session::empty(), realm());
    // Tickets that came by the right clock: the KDC is asked for one more by the wrong one.
    let keytab = kdc.file("db1");
    let arguments = ["doctor", "--kerberos", "--keytab", &keytab];
    let mut ahead = command(&session, &kdc, "alice", &arguments);
    ahead.env("LD_PRELOAD", FAKETIME).env("FAKETIME", "+600s");
    let text = finish(&mut ahead, b"").ended(1).text();
    assert!(text.contains("differ too much: "), "{text}");
    assert!(text.contains("timedatectl"), "{text}");

    let old = "postgres/old.example.test";
    kdc.administer(&format!("addprinc -randkey -e arcfour-hmac:normal {old}\n"));
    let keytab = kdc.keytab("old", &[old]);
    let policy = |more: &str, code| {
        let text = format!(
            "[kerberos]\nclient = 'prefer'\nserver = 'prefer'\nkeytab = '{keytab}'\n\
             services = ['{old}']\n{more}"
        );
        session.write("weak.toml", text.as_bytes());
        let arguments = ["doctor", "--policy", "weak.toml"];
        finish(&mut command(&session, &kdc, "alice", &arguments), b"").ended(code).text()
    };
    let text = policy("", 1);
    assert!(text.contains("the best key in the keytab for postgres/old"), "{text}");
    assert!(text.contains("is arcfour-hmac, and accepted here are aes256"), "{text}");
    let text = policy("danger-allow-rc4 = true\n", 0);
    assert!(text.contains("camellia128-cts-cmac, arcfour-hmac"), "{text}");
    assert!(text.contains("passwords can be guessed"), "{text}");
    assert!(text.contains("a ticket of alice@EXAMPLE.TEST for postgres/old"), "{text}");
}

/// Where Debian's package faketime has the library.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

#[test]
fn the_demo_brings_its_own_kdc_and_leaves_nothing_behind() {
    let session = Session::empty();
    std::fs::create_dir(session.path("tmp")).unwrap();
    let mut demo = session.command(&["demo", "--kerberos"]);
    let text = finish(demo.env("TMPDIR", session.path("tmp")), b"").success().text();
    assert!(text.contains("\nok   5 of 5 as expected, in "), "{text}");
    assert!(text.contains("the server knows the client as alice@DEMO.EXAMPLE"), "{text}");
    assert_eq!(list(&session.path("tmp")), [""; 0]);
    let json = session.run(&["demo", "--kerberos", "--json"]).success().json();
    assert_eq!(json["as_expected"], 5);
}

#[test]
fn a_silent_kdc_costs_no_more_than_the_deadline_and_ends_in_order() {
    let (session, kdc) = (Session::empty(), realm());
    let port = free_port();
    let _silent = (
        TcpListener::bind(("127.0.0.1", port)).unwrap(),
        UdpSocket::bind(("127.0.0.1", port)).unwrap(),
    );
    let path = kdc.path("krb5.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    let address = text.lines().find(|line| line.contains(" kdc = ")).unwrap();
    let silent = text.replace(address, &format!("    kdc = 127.0.0.1:{port}"));
    let configuration = session.write("silent.conf", silent.as_bytes());
    let mut server = serve(&session, &kdc, SERVICE, "db1", &["--echo"]);
    let at = server.at();
    for _ in 0..4 {
        let connect = ["connect", "--kerberos", SERVICE, &at, "--timeout-ms", "700"];
        let mut client = command(&session, &kdc, "alice", &connect);
        let started = Instant::now();
        let ended = finish(client.env("KRB5_CONFIG", &configuration), b"");
        let took = started.elapsed();
        assert!(ended.stderr.contains("700 ms"), "{}", ended.stderr);
        assert!(matches!(ended.code, Some(3 | 4)), "{:?}: {}", ended.code, ended.stderr);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    server.wait_for(|line| line.contains("refused"));
}
