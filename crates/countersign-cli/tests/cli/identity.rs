//! `identity`: the life of a store.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use crate::session::Session;

#[test]
fn an_authority_is_made_once() {
    let session = Session::empty();
    let init = session.run(&["identity", "init"]).success();
    assert!(init.text().contains("countersign identity issue NAME"), "{}", init.text());
    let again = session.run(&["identity", "init"]).ended(2);
    again.said(&["countersign: there is an authority already", "  hint: keep it"]);
    let mode = |name| fs::metadata(session.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("home"), 0o700);
    assert_eq!(mode("home/authority.key"), 0o600);
}

#[test]
fn nothing_can_be_issued_without_an_authority() {
    let session = Session::empty();
    let issue = session.run(&["identity", "issue", "db1.example.com"]).ended(4);
    issue.said(&["there is no authority in", "hint: run `countersign identity init`"]);
}

#[test]
fn what_was_issued_is_shown_with_its_end() {
    let session = Session::with(&["postgres/db1.example.com"]);
    let issued = session.run(&["identity", "issue", "alice@EXAMPLE.COM", "--days", "7"]).success();
    assert!(issued.text().contains("expires in 7 days ("), "{}", issued.text());
    let shown = session.run(&["identity", "show"]).success().text();
    for words in ["our authority", "in 10 years", "postgres/db1.example.com", "alice@EXAMPLE.COM"] {
        assert!(shown.contains(words), "no {words:?} in\n{shown}");
    }
    let shown = session.run(&["identity", "show", "--json"]).success().json();
    let issued = shown["issued"].as_array().unwrap();
    assert_eq!(issued.len(), 2);
    assert!(issued.iter().all(|one| one["validity"] == "current"), "{shown}");
    assert_eq!(shown["authority"]["fingerprint"].as_str().unwrap().len(), 64);
    assert_eq!(shown["problems"].as_array().unwrap().len(), 0);
}

#[test]
fn what_has_expired_or_soon_will_is_flagged() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let session = Session::with(&[]);
    let now = SystemTime::now();
    let issue = |name: &str, days, ago| {
        // Some hours more, so that it does not matter in which second this runs.
        let validity = days * DAY + DAY / 4 * 3;
        session.store().issue(&[name.parse().unwrap()], validity, now - ago * DAY).unwrap();
    };
    issue("old.example.com", 10, 21);
    issue("ageing.example.com", 100, 91);
    let shown = session.run(&["identity", "show"]).success().text();
    assert!(shown.contains("FAIL host/old.example.com"), "{shown}");
    assert!(shown.contains("EXPIRED 10 days ago ("), "{shown}");
    assert!(shown.contains("warn host/ageing.example.com"), "{shown}");
    assert!(shown.contains("expires SOON, in 10 days ("), "{shown}");
    let doctor = session.run(&["doctor"]).ended(1).text();
    assert!(
        doctor.contains("FAIL certificate host/old.example.com: expired 10 days ago"),
        "{doctor}"
    );
    assert!(doctor.contains("warn certificate host/ageing.example.com: expires in 10 days"));
    assert!(doctor.contains("hint: run `countersign identity issue host/old.example.com`"));
    let refused = session.run(&["serve", "old.example.com", "--listen", "0", "--echo"]).ended(4);
    refused.said(&["the certificate for host/old.example.com is valid from", "hint: run"]);
}

#[test]
fn authorities_of_others_are_trusted_once() {
    let (here, there) = (Session::with(&[]), Session::with(&[]));
    let file = there.file("authority.pem");
    let trusted = here.run(&["identity", "trust", &file]).success().text();
    let shown = there.run(&["identity", "show", "--json"]).success().json();
    let fingerprint = shown["authority"]["fingerprint"].as_str().unwrap();
    assert!(trusted.contains(fingerprint), "{trusted}");
    let again = here.run(&["identity", "trust", &file]).success().text();
    assert!(again.contains("nothing new"), "{again}");
    assert!(here.run(&["identity", "show"]).text().contains("trusted besides"));
}

#[test]
fn only_authorities_are_trusted() {
    let session = Session::with(&["db1.example.com"]);
    let (chain, key) = session.export("db1.example.com");
    session
        .run(&["identity", "trust", &chain])
        .ended(4)
        .said(&["which is not an authority", "hint: trust the certificate of its issuer"]);
    session
        .run(&["identity", "trust", &key])
        .ended(4)
        .said(&["holds no certificate, but a PRIVATE KEY"]);
    session
        .run(&["identity", "trust", "nowhere.pem"])
        .ended(4)
        .said(&["cannot open nowhere.pem: No such file", "hint: check the path"]);
}

#[test]
fn exports_are_pem_and_the_authority_keeps_its_key() {
    let session = Session::with(&["db1.example.com"]);
    let authority = session.run(&["identity", "export"]).success().text();
    assert!(authority.starts_with("-----BEGIN CERTIFICATE-----\n"), "{authority}");
    let chain = session.run(&["identity", "export", "db1.example.com"]).success().text();
    assert!(!chain.contains("PRIVATE"), "{chain}");
    let both = session.run(&["identity", "export", "db1.example.com", "--include-key"]).success();
    assert!(both.text().starts_with(&chain) && both.text().contains("PRIVATE KEY"));
    let refused = session.run(&["identity", "export", "--include-key"]).ended(2);
    refused.said(&["the key of the authority is never exported", "hint: "]).wrote("");
    let json = session.run(&["identity", "export", "--json"]).success().json();
    assert_eq!(json["pem"], authority);
}

#[test]
fn the_option_says_where_the_store_is() {
    let session = Session::empty();
    session.run(&["--home", "elsewhere", "identity", "init"]).success();
    assert!(session.path("elsewhere/authority.pem").exists());
    assert!(!session.path("home").exists());
    let shown = session.run(&["identity", "show", "--json", "--home", "elsewhere"]).success();
    assert_eq!(shown.json()["directory"], "elsewhere");
}

#[test]
fn names_that_no_certificate_can_prove_are_the_callers_fault() {
    let session = Session::with(&[]);
    for (names, words) in [
        (&["a b"][..], "name \"a b\": the name holds ' '"),
        (&["postgres/db1:5432"], "has a port but no realm"),
        (&["alice@A", "db1"], "cannot share a certificate"),
        (&[""], "name \"\": the name is empty"),
    ] {
        let issue = session.run(&[&["identity", "issue"], names].concat()).ended(2);
        issue.said(&[words, "  hint: "]);
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let session = Session::with(&["echo/localhost"]);
    let key = session.path("home/issued/echo%2Flocalhost/key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let serve = session.run(&["serve", "echo/localhost", "--listen", "0", "--echo"]).ended(4);
    serve.said(&["others can use the private key", "hint: run: chmod 600 "]);
    let doctor = session.run(&["doctor"]).ended(1).text();
    assert!(doctor.contains("FAIL store       others can use the private key"), "{doctor}");
    let shown = session.run(&["identity", "show"]).success().text();
    assert!(shown.contains("FAIL others can use the private key"), "{shown}");
}
