//! Clients that we did not write reach `serve`: OpenSSL's `s_client`, and curl.

use std::process::Command;

use crate::plain::{Service, answer_http};
use crate::session::{Finished, Session, finish};

/// `openssl s_client`, which must find `host` in the certificate.
fn s_client(session: &Session, at: &str, host: &str, authority: &str) -> Command {
    let mut client = session.stranger("openssl");
    client.args(["s_client", "-connect", at, "-servername", host, "-verify_hostname", host]);
    client.args(["-CAfile", authority, "-verify_return_error", "-quiet"]);
    client
}

fn curl(session: &Session, port: u16, host: &str) -> Finished {
    let mut curl = session.stranger("curl");
    curl.args(["--silent", "--show-error", "--noproxy", "*", "--cacert", "authority.pem"]);
    curl.args(["--resolve", &format!("{host}:{port}:127.0.0.1")]);
    finish(curl.arg(format!("https://{host}:{port}/page")), b"")
}

#[test]
fn openssl_reaches_us_by_the_host_of_the_name() {
    let session = Session::with(&["http/www.example.com", "www.example.com"]);
    // Whether the certificate is for a service or for the host, it states the host.
    for name in ["http/www.example.com", "www.example.com"] {
        let mut server = session.serve(name, &["--exec", "echo", "hello stranger"]);
        let mut client = s_client(&session, &server.at(), "www.example.com", "authority.pem");
        finish(&mut client, b"").success().wrote("hello stranger\n");
        server.logged("accepted 127.0.0.1:");
    }
}

#[test]
fn openssl_refuses_us_under_another_name_or_authority() {
    let (session, other) = (Session::with(&["http/www.example.com"]), Session::with(&[]));
    let mut server = session.serve("http/www.example.com", &["--exec", "echo", "not for everyone"]);
    let mut wrong_name = s_client(&session, &server.at(), "mail.example.com", "authority.pem");
    finish(&mut wrong_name, b"").ended(1).said(&["hostname mismatch"]).wrote("");
    let line = server.logged("refused 127.0.0.1:");
    assert!(line.contains("the peer refused us: "), "{line}");
    let file = other.file("authority.pem");
    let mut wrong_authority = s_client(&session, &server.at(), "www.example.com", &file);
    finish(&mut wrong_authority, b"").ended(1).said(&["unable to get local issuer"]).wrote("");
    let line = server.logged("refused 127.0.0.1:");
    assert!(line.contains("the peer refused us: unknown_ca; hint: "), "{line}");
}

#[test]
fn openssl_proves_a_user_to_us() {
    let session = Session::with(&["hello/localhost", "alice@EXAMPLE.COM"]);
    let (chain, key) = session.export("alice@EXAMPLE.COM");
    let script = "echo $COUNTERSIGN_PEER";
    let serve = ["--allow", "*@EXAMPLE.COM", "--exec", "sh", "-c", script];
    let mut server = session.serve("hello/localhost", &serve);
    let connect = || s_client(&session, &server.at(), "localhost", "authority.pem");
    finish(connect().args(["-cert", &chain, "-key", &key]), b"")
        .success()
        .wrote("alice@EXAMPLE.COM\n");
    finish(&mut connect(), b"").wrote("").said(&["alert certificate required"]);
    server.logged("accepted ");
    let line = server.logged("refused ");
    assert!(line.contains("the peer sent no certificate"), "{line}");
}

#[test]
fn openssl_without_tls_1_3_is_refused_unless_policy_says_danger() {
    let session = Session::with(&["hello/localhost"]);
    let serve = ["--exec", "echo", "hello"];
    let mut server = session.serve("hello/localhost", &serve);
    let connect =
        |at: &str| finish(s_client(&session, at, "localhost", "authority.pem").arg("-tls1_2"), b"");
    connect(&server.at()).ended(1).wrote("").said(&["alert protocol version"]);
    let line = server.logged("refused 127.0.0.1:");
    assert!(line.contains("nothing in common with the peer"), "{line}");
    session.write("policy.toml", b"tls.danger-allow-tls12 = true\n");
    let mut lax =
        session.serve("hello/localhost", &[&["--policy", "policy.toml"], &serve[..]].concat());
    connect(&lax.at()).success().wrote("hello\n");
    let line = lax.logged("accepted ");
    assert!(line.contains("; TLS 1.2, TLS_ECDHE_"), "{line}");
}

#[test]
fn curl_reaches_a_web_server_behind_us() {
    let session = Session::with(&["http/www.example.com"]);
    let web = Service::start(answer_http);
    let mut server = session.serve("http/www.example.com", &["--to", &web.at()]);
    let port = server.address().port();
    curl(&session, port, "www.example.com").success().wrote("behind it");
    let request = web.outcome();
    assert!(request.starts_with("GET /page HTTP/1.1\r\nHost: www.example.com:"), "{request}");
    server.logged("accepted ");
}

#[test]
fn curl_refuses_us_under_another_name() {
    let session = Session::with(&["http/www.example.com"]);
    let web = Service::start(answer_http);
    let mut server = session.serve("http/www.example.com", &["--to", &web.at()]);
    // What curl calls CURLE_PEER_FAILED_VERIFICATION.
    curl(&session, server.address().port(), "mail.example.com")
        .ended(60)
        .wrote("")
        .said(&["no alternative certificate subject name matches target host name"]);
    // That is found after the handshake, so for us there was a client.
    server.wait_for(|line| line.starts_with("accepted ") || line.starts_with("refused "));
}

#[test]
fn plain_clients_are_told_nothing() {
    let session = Session::with(&["http/www.example.com"]);
    let mut server = session.serve("http/www.example.com", &["--exec", "echo", "not for everyone"]);
    let mut curl = session.stranger("curl");
    curl.args(["--silent", "--show-error", "--noproxy", "*"]);
    let answer = finish(curl.arg(format!("http://{}/", server.at())), b"");
    assert_ne!(answer.code, Some(0), "{}", answer.text());
    assert!(!String::from_utf8_lossy(&answer.stdout).contains("not for everyone"));
    let line = server.logged("refused ");
    assert!(line.contains("the peer does not speak TLS"), "{line}");
}
