//! `serve`: who is served, who is not, and what the log says.

use std::process::Stdio;
use std::time::Duration;

use crate::session::{Running, Session, finish};

#[test]
fn a_certificate_can_be_required() {
    let session = Session::with(&["echo/localhost", "alice@EXAMPLE.COM"]);
    let mut server = session.serve("echo/localhost", &["--echo", "--require-client-certificate"]);
    let connect = ["connect", "echo/localhost", &server.at()];
    session.run_with(&connect, b"hello").ended(3).wrote("").said(&[
        "the peer refused us: certificate_required",
        "hint: the peer wants a certificate of ours: name one with --as",
    ]);
    let line = server.logged("refused 127.0.0.1:");
    assert!(line.contains(": the peer sent no certificate, and one is required; hint: "), "{line}");
    let with_certificate = [&connect[..], &["--as", "alice@EXAMPLE.COM"]].concat();
    session.run_with(&with_certificate, b"hello").success().wrote("hello");
    let line = server.logged("accepted 127.0.0.1:");
    assert!(line.contains(": alice@EXAMPLE.COM (certificate KRB5PrincipalName); "), "{line}");
}

#[test]
fn patterns_refuse_and_permit() {
    let session = Session::with(&[
        "echo/localhost",
        "alice@EXAMPLE.COM",
        "mallory@EXAMPLE.ORG",
        "web/a.example.com",
    ]);
    let mut server = session.serve(
        "echo/localhost",
        &["--echo", "--allow", "*@EXAMPLE.COM", "--allow", "web/*.example.com"],
    );
    let connect =
        |own| session.run_with(&["connect", "echo/localhost", &server.at(), "--as", own], b"hello");
    connect("alice@EXAMPLE.COM").success().wrote("hello");
    connect("web/a.example.com").success().wrote("hello");
    connect("mallory@EXAMPLE.ORG").ended(3).wrote("").said(&[
        "the peer refused us: access_denied",
        "hint: the peer knows who we are, and its rules do not allow us",
    ]);
    session.run(&["connect", "echo/localhost", &server.at()]).ended(3);
    let line = server.logged("refused ");
    let expected =
        "mallory@EXAMPLE.ORG is not allowed here: allowed are *@EXAMPLE.COM, web/*.example.com";
    assert!(line.contains(expected), "{line}");
    assert!(line.contains("hint: add an [[allow]] rule"), "{line}");
}

#[test]
fn the_log_can_be_json() {
    let session = Session::with(&["echo/localhost"]);
    let mut command =
        session.command(&["serve", "echo/localhost", "--listen", "0", "--echo", "--json"]);
    let mut server = Running::spawn(command.stdin(Stdio::null()));
    let mut event =
        || -> serde_json::Value { serde_json::from_str(&server.wait_for(|_| true)).unwrap() };
    let listening = event();
    assert_eq!(listening["event"], "listening");
    assert_eq!(listening["name"], "echo/localhost");
    let at = listening["address"].as_str().unwrap();
    session.run(&["connect", "echo/localhost", at]).success();
    assert_eq!(event()["event"], "accepted");
    session.run(&["connect", "db/localhost", at]).ended(3);
    let refused = event();
    assert_eq!(refused["event"], "refused");
    assert_eq!(refused["fault"], "peer");
    assert!(refused["hint"].is_string(), "{refused}");
}

#[test]
fn once_is_once() {
    let session = Session::with(&["echo/localhost"]);
    let mut server = session.serve("echo/localhost", &["--echo", "--once"]);
    // Who is refused is not served.
    session.run(&["connect", "db/localhost", &server.at()]).ended(3);
    session.run_with(&["connect", "echo/localhost", &server.at()], b"hello").success();
    assert_eq!(server.ended(), Some(0));
}

#[test]
fn clients_wait_when_all_places_are_taken() {
    let session = Session::with(&["echo/localhost"]);
    let mut server = session.serve("echo/localhost", &["--echo", "--max-connections", "1"]);
    let start = || {
        let mut command = session.command(&["connect", "echo/localhost", &server.at()]);
        Running::spawn(command.stdin(Stdio::piped()))
    };
    let (mut first, at) = (start(), server.at());
    let kept_open = first.stdin();
    server.logged("accepted ");
    let mut command = session.command(&["connect", "echo/localhost", &at]);
    let mut second = Running::spawn(command.stdin(Stdio::null()));
    server.is_silent_for(Duration::from_millis(300));
    drop(kept_open);
    assert_eq!(first.ended(), Some(0));
    server.logged("accepted ");
    assert_eq!(second.ended(), Some(0));
}

#[test]
fn files_must_prove_the_name() {
    let session = Session::with(&["http/www.example.com"]);
    let (chain, key) = session.export("http/www.example.com");
    let files = ["--certificate", &chain, "--key", &key];
    let serve =
        |name| session.run(&[&["serve", name, "--listen", "0", "--echo"], &files[..]].concat());
    for name in ["postgres/www.example.com", "http/example.com", "spiffe://a/b"] {
        serve(name).ended(2).said(&[
            &format!("asked to serve as {name}"),
            "proves http/www.example.com",
            "\n  hint: ",
        ]);
    }
    let server = session.serve("http/www.example.com", &[&["--echo"], &files[..]].concat());
    let connect = ["connect", "http/www.example.com", &server.at()];
    session.run_with(&connect, b"hello").success().wrote("hello");
}

/// Certificates that we had no part in: their kinds of keys, and a name for every service.
#[test]
fn certificates_of_other_authorities_do() {
    let session = Session::with(&[]);
    for kind in ["rsa:2048", "ec"] {
        let mut request = session.stranger("openssl");
        request.args([
            "req",
            "-x509",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=Elsewhere",
            "-newkey",
            kind,
        ]);
        if kind == "ec" {
            request.args(["-pkeyopt", "ec_paramgen_curve:P-384"]);
        }
        request.args(["-keyout", "other.key", "-out", "other.pem"]);
        request.args(["-addext", "subjectAltName=DNS:www.example.com"]);
        request.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        finish(&mut request, b"").success();
        let files = ["--echo", "--certificate", "other.pem", "--key", "other.key"];
        // A certificate for the host is one for every service on it.
        for name in ["www.example.com", "http/www.example.com"] {
            let _server = session.serve(name, &files);
        }
        let other = [&["serve", "mail.example.com", "--listen", "0"], &files[..]].concat();
        session.run(&other).ended(2).said(&["proves host/www.example.com"]);
    }
}

#[test]
fn without_a_certificate_there_is_no_server() {
    let session = Session::empty();
    let serve = ["serve", "db1.example.com", "--listen", "0", "--echo"];
    session
        .run(&serve)
        .ended(4)
        .said(&["there is no authority in", "hint: run `countersign identity init`"]);
    session.run(&["identity", "init"]).success();
    session
        .run(&serve)
        .ended(4)
        .said(&["no certificate for host/db1.example.com", "countersign identity issue host/db1"]);
}

#[test]
fn the_policy_can_name_the_certificate() {
    let session = Session::with(&["http/www.example.com"]);
    session.export("http/www.example.com");
    // Paths are relative to the policy.
    session.write("policy.toml", b"identity = { certificate = 'chain.pem', key = 'key.pem' }\n");
    let policy = ["--policy", "policy.toml"];
    let mut serve = session.command(&["serve", "http/www.example.com", "--listen", "0", "--echo"]);
    let _server = Running::start(serve.args(policy).args(["--home", "nowhere"]));
}

#[test]
fn a_port_is_never_shared() {
    let session = Session::with(&["echo/localhost"]);
    let server = session.serve("echo/localhost", &["--echo"]);
    session
        .run(&["serve", "echo/localhost", "--listen", &server.at(), "--echo"])
        .ended(4)
        .said(&["cannot listen on 127.0.0.1:", "hint: another socket holds that port"]);
}

#[test]
fn a_bad_policy_says_where() {
    let session = Session::with(&["echo/localhost"]);
    session.write("policy.toml", b"[require]\nsecurity = true\nsecurty = true\n");
    session
        .run(&["serve", "echo/localhost", "--listen", "0", "--echo", "--policy", "policy.toml"])
        .ended(2)
        .said(&[
            "policy.toml, line 3, column 1: unknown field `securty`",
            "  hint: correct the policy",
        ]);
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart() {
    let session = Session::with(&["echo/localhost"]);
    let server = session.serve("echo/localhost", &["--echo"]);
    let connect = ["connect", "echo/localhost", &server.at(), "--json"];
    let expires = || session.run(&connect).success().events()[0]["evidence"]["expires"].clone();
    let before = expires();
    session.run(&["identity", "issue", "echo/localhost", "--days", "3"]).success();
    // The server looks at its files once a second at most.
    std::thread::sleep(Duration::from_millis(1100));
    let after = expires();
    assert_ne!(before, after);
}
