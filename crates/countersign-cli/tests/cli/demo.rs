//! `demo`: the main job and its refusals, from nothing and to nothing.

use std::fs;

use crate::session::{Session, finish, list};

#[test]
fn everything_is_as_expected_and_nothing_stays_behind() {
    let session = Session::empty();
    fs::create_dir(session.path("tmp")).unwrap();
    // No home, no configuration, no PATH.
    let mut demo = session.command(&["demo"]);
    demo.env_clear().env("TMPDIR", session.path("tmp"));
    let demo = finish(&mut demo, b"").success();
    let text = demo.text();
    assert!(text.contains("\nok   10 of 10 as expected, in "), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("ok   ")).count(), 11, "{text}");
    for words in [
        "connected to postgres/db1.example.com (certificate SRVName)",
        "protected by TLS 1.3, TLS_AES_256_GCM_SHA384, X25519MLKEM768",
        "asked for postgres/db1.example.com, the peer proved postgres/db2.example.com",
        "asked for postgres/db1.example.com, the peer proved http/db1.example.com",
        "which is not trusted here",
        "the peer's certificate expired at ",
        "the peer does not speak TLS",
        "asked for postgres/db1.example.com, the peer proved http/proxy.example.com",
        "protected by DTLS 1.2, ",
        "and to syslog/db2.example.com (certificate SRVName)",
        "the third was refused: asked for statsd/db3.example.com, the peer proved http/db3",
        "bytes on the wire, and none of the text among them\n",
        "countersign identity init",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "colour is for terminals");
    assert_eq!(demo.stderr, "");
    assert_eq!(list(&session.path("tmp")), [""; 0]);
}

#[test]
fn programs_read_the_same() {
    let demo = Session::empty().run(&["demo", "--json"]).success().json();
    assert_eq!(demo["as_expected"], 10);
    assert_eq!(demo["total"], 10);
    let scenarios = demo["scenarios"].as_array().unwrap();
    let names: Vec<&str> = scenarios.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "right-name",
            "another-host",
            "another-service",
            "unknown-authority",
            "expired",
            "plain-client",
            "machine-in-the-middle",
            "plain-server",
            "datagrams",
            "rights"
        ]
    );
    for scenario in scenarios {
        // As root, and where there is a `nobody`, as on every Debian.
        let is_root = rustix::process::geteuid().is_root();
        let outcome = match scenario["name"].as_str() {
            Some("right-name" | "datagrams") => "connected",
            Some("rights") if is_root => "connected",
            Some("rights") => "not-shown",
            _ => "refused",
        };
        assert_eq!(scenario["outcome"], outcome, "{scenario}");
        assert_eq!(scenario["as_expected"], true, "{scenario}");
        assert!(scenario["milliseconds"].as_f64().unwrap() > 0.0, "{scenario}");
    }
    assert_eq!(scenarios[0]["evidence"]["peer"]["name"], "postgres/db1.example.com");
    assert_eq!(scenarios[0]["evidence"]["protocol"], "TLS 1.3");
}

#[test]
fn without_a_place_for_its_files_it_says_so() {
    let session = Session::empty();
    let mut demo = session.command(&["demo"]);
    demo.env("TMPDIR", session.path("nowhere"));
    finish(&mut demo, b"").ended(4).said(&["cannot make a temporary directory", "hint: "]);
}
