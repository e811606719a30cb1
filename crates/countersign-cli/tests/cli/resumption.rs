//! Sessions between us and programs that we did not write: OpenSSL's `s_client` and `s_server`.

use std::process::Stdio;

use crate::plain::ask;
use crate::relays::start_forward;
use crate::session::{Finished, Running, Session, finish};

const NAME: &str = "http/www.example.com";

/// Waits until files that were just written count as unchanged: what is read before is read again,
/// and then a generation anew, which resumes nothing of the last.
fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(3_500));
}

/// `openssl s_client`, which says what it has agreed on.
fn s_client(session: &Session, at: &str, more: &[&str]) -> Finished {
    let mut client = session.stranger("openssl");
    client.args(["s_client", "-connect", at, "-servername", "www.example.com"]);
    client.args(["-verify_hostname", "www.example.com", "-CAfile", "authority.pem"]);
    client.args(["-verify_return_error", "-ign_eof"]).args(more);
    finish(&mut client, b"")
}

#[test]
fn openssl_resumes_with_us_and_keeps_resuming() {
    let session = Session::with(&[NAME]);
    let mut server = session.serve(NAME, &["--exec", "echo", "hello stranger"]);
    settle();
    let first = s_client(&session, &server.at(), &["-sess_out", "session.pem"]).success();
    assert!(first.text().contains("New, TLSv1.3"), "{}", first.text());
    let line = server.logged("accepted ");
    assert!(!line.contains("resumed"), "{line}");
    for _ in 0..2 {
        let again = ["-sess_in", "session.pem", "-sess_out", "session.pem"];
        let next = s_client(&session, &server.at(), &again).success();
        let said = next.text();
        assert!(said.contains("Reused, TLSv1.3") && said.contains("hello stranger"), "{said}");
        let line = server.logged("accepted ");
        assert!(line.contains(", resumed: proved at 2"), "{line}");
    }
    // A session is of no use to another server, though its certificate be the same.
    let other = session.serve(NAME, &["--exec", "echo", "hello stranger"]);
    let said = s_client(&session, &other.at(), &["-sess_in", "session.pem"]).success();
    assert!(said.text().contains("New, TLSv1.3"), "{}", said.text());
}

#[test]
fn openssl_with_a_certificate_is_the_same_user_when_it_comes_back() {
    let session = Session::with(&[NAME, "alice@EXAMPLE.COM"]);
    let (chain, key) = session.export("alice@EXAMPLE.COM");
    let serve = ["--allow", "*@EXAMPLE.COM", "--exec", "sh", "-c", "echo peer=$COUNTERSIGN_PEER"];
    let server = session.serve(NAME, &serve);
    settle();
    let own = ["-cert", &chain, "-key", &key, "-sess_out", "session.pem"];
    s_client(&session, &server.at(), &own).success();
    // The ticket alone says who it is; its secret proves it.
    let said = s_client(&session, &server.at(), &["-sess_in", "session.pem"]).success();
    let said = said.text();
    assert!(said.contains("Reused, TLSv1.3"), "{said}");
    assert!(said.contains("peer=alice@EXAMPLE.COM"), "{said}");
}

#[test]
fn early_data_is_not_taken() {
    let session = Session::with(&[NAME]);
    // It says what it hears.
    let heard = ["--exec", "sh", "-c", "echo hello; timeout 1 cat; true"];
    let server = session.serve(NAME, &heard);
    settle();
    s_client(&session, &server.at(), &["-sess_out", "session.pem"]).success();
    session.write("early.txt", b"early words that anybody could say again\n");
    let early = ["-sess_in", "session.pem", "-early_data", "early.txt"];
    let said = s_client(&session, &server.at(), &early);
    let said = said.text();
    assert!(!said.contains("Early data was accepted"), "{said}");
    assert!(said.contains("Reused, TLSv1.3") && said.contains("hello"), "{said}");
    assert!(!said.contains("early words"), "{said}");
}

#[test]
fn policy_turns_it_off_and_explain_says_so() {
    let session = Session::with(&[NAME]);
    session.write("policy.toml", b"tls.resumption = false\n");
    let server = session.serve(NAME, &["--policy", "policy.toml", "--exec", "echo", "hello"]);
    let said = s_client(&session, &server.at(), &["-sess_out", "session.pem"]).success();
    assert!(said.text().contains("New, TLSv1.3"), "{}", said.text());
    assert!(!session.path("session.pem").exists(), "it was given a session");
    let explain = ["explain", "10.0.0.5:1", "--name", NAME];
    let text = session.run(&explain).success().text();
    assert!(text.contains("sessions    resumed within an hour"), "{text}");
    let off = [&explain[..], &["--policy", "policy.toml"]].concat();
    let text = session.run(&off).success().text();
    assert!(text.contains("sessions    not resumed"), "{text}");
}

/// Asks `openssl s_server -www`, through a tunnel of ours, how it was reached.
fn how(forward: &Running) -> String {
    let answer = ask(forward.address(), b"GET / HTTP/1.0\r\n\r\n").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn forward_resumes_with_openssl() {
    let session = Session::with(&[NAME]);
    let (chain, key) = session.export(NAME);
    // With tickets, and with sessions that the server keeps itself.
    for more in [&[][..], &["-no_ticket"]] {
        let mut command = session.stranger("openssl");
        command.args(["s_server", "-www", "-accept", "127.0.0.1:0", "-cert", &chain, "-key", &key]);
        let mut server = Running::spawn(command.args(more).stdin(Stdio::null()));
        let line = server.logged("ACCEPT ");
        let forward = start_forward(&session, line.split(' ').nth(1).unwrap(), NAME);
        settle();
        let said = how(&forward);
        assert!(said.contains("New, TLSv1.3"), "{said}");
        for _ in 0..3 {
            let said = how(&forward);
            assert!(said.contains("Reused, TLSv1.3"), "{more:?}: {said}");
        }
    }
}
