//! `explain` and `doctor`.

use crate::session::{Session, finish};

#[test]
fn a_plan_names_the_source_of_its_name() {
    let session = Session::with(&["alice@EXAMPLE.COM"]);
    session.write(
        "policy.toml",
        b"target = [{ address = '10.0.0.5:5432', name = 'postgres/db1.example.com' }]\n\
          identity = { name = 'alice@EXAMPLE.COM' }\n\
          require = { security = true }\n",
    );
    let explain = ["explain", "10.0.0.5:5432", "--policy", "policy.toml"];
    let text = session.run(&explain).success().text();
    for line in [
        "connect to  10.0.0.5:5432\n",
        "plan        TLS 1.3\n",
        "peer        must prove postgres/db1.example.com (from policy [[target]], for 10.0.0.5:5432)\n",
        "cleartext   never\n",
        "we show     alice@EXAMPLE.COM (until 2",
        "we believe  2 anchors (the identity store, this host)\n",
        "required    security\n",
        "policy      /etc/countersign/policy.toml (",
        "policy      policy.toml (read)\n",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    let named = [&explain[..], &["--name", "db2.example.com"]].concat();
    let text = session.run(&named).success().text();
    assert!(text.contains("host/db2.example.com (from the program, for 10.0.0.5:5432)"), "{text}");
    let json = session.run(&[&explain[..], &["--json"]].concat()).success().json();
    assert_eq!(json["asked"], "postgres/db1.example.com");
    assert_eq!(json["plan"], "TLS 1.3");
    assert_eq!(json["own"]["names"][0], "alice@EXAMPLE.COM");
    assert_eq!(json["policy_files"].as_array().unwrap().last().unwrap()["exists"], true);
}

#[test]
fn the_variable_names_a_policy_too() {
    let session = Session::with(&[]);
    session.write("policy.toml", b"target = [{ address = '*', name = 'anyone.example.com' }]\n");
    let mut explain = session.command(&["explain", "10.0.0.5:1"]);
    let text = finish(explain.env("COUNTERSIGN_POLICY", "policy.toml"), b"").success().text();
    assert!(text.contains("(from policy [[target]], for any address)"), "{text}");
}

#[test]
fn no_name_is_no_plan() {
    let session = Session::with(&[]);
    let explain = session.run(&["explain", "10.0.0.5:5432"]).ended(2);
    assert!(explain.text().contains("plan        none\n"), "{}", explain.text());
    explain.said(&["no name is known for the peer at 10.0.0.5:5432", "hint: "]);
}

#[test]
fn a_listener_shows_who_may_connect() {
    let session = Session::with(&["db.example.com"]);
    session.write(
        "policy.toml",
        b"[[allow]]\nlisten = '*:5433'\npeers = ['*@EXAMPLE.COM', 'spiffe://prod/*']\n\
          [[allow]]\nlisten = '*:80'\npeers = ['*']\n",
    );
    let explain = |address| {
        let own = ["--as", "db.example.com", "--policy", "policy.toml"];
        session.run(&[&["explain", address, "--listen"], &own[..]].concat()).success().text()
    };
    let text = explain("0.0.0.0:5433");
    for line in [
        "listen on   0.0.0.0:5433\n",
        "clients     refused without a certificate\n",
        "allowed     *@EXAMPLE.COM, spiffe://prod/*\n",
        "we show     host/db.example.com (until 2",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    let text = explain("0.0.0.0:5434");
    assert!(text.contains("clients     asked for a certificate, and served without one"), "{text}");
    assert!(!text.contains("allowed     "), "{text}");
    let none = session.run(&["explain", "0.0.0.0:1", "--listen"]).ended(4);
    none.said(&["cannot listen: there is no certificate", "hint: make one"]);
}

#[test]
fn danger_is_shown_as_such() {
    let session = Session::with(&[]);
    let explain = ["explain", "10.0.0.5:1", "--name", "x", "--danger-allow-insecure"];
    let text = session.run(&explain).success().text();
    assert!(text.contains("cleartext   DANGER: if the peer cannot do security"), "{text}");
    session.write("policy.toml", b"require = { security = true }\n");
    let text = session.run(&[&explain[..], &["--policy", "policy.toml"]].concat()).success().text();
    assert!(text.contains("cleartext   never"), "{text}");
}

#[test]
fn a_healthy_host_passes() {
    let session = Session::with(&["db.example.com"]);
    let doctor = session.run(&["doctor"]).success().text();
    for line in [
        "ok   policy      /etc/countersign/policy.toml is ",
        "holds 1 certificate and 1 authority",
        "ok   certificate host/db.example.com: expires in 39",
        "ok   clock       it is 2",
        "ok   trust       we believe 2 authorities",
        "ok   handshake   with ourselves: TLS 1.3, X25519MLKEM768",
        " checks: 0 failed, 0 with a warning",
    ] {
        assert!(doctor.contains(line), "no {line:?} in\n{doctor}");
    }
    let json = session.run(&["doctor", "--json"]).success().json();
    assert_eq!(json["failed"], 0);
    assert!(json["checks"].as_array().unwrap().iter().all(|check| check["outcome"] == "ok"));
}

#[test]
fn what_is_wrong_is_named_with_a_remedy() {
    let session = Session::with(&["db.example.com", "other.example.com"]);
    let (chain, _) = session.export("db.example.com");
    let (_, key) = {
        session.export("other.example.com");
        (chain.clone(), session.file("key.pem"))
    };
    let db = session.run(&["identity", "export", "db.example.com"]).success().stdout;
    session.write("chain.pem", &db);
    let policy = format!("identity = {{ certificate = '{chain}', key = '{key}' }}\n");
    session.write("policy.toml", policy.as_bytes());
    let doctor = session.run(&["doctor", "--policy", "policy.toml"]).ended(1).text();
    assert!(doctor.contains("FAIL identity    the private key in "), "{doctor}");
    assert!(doctor.contains("hint: give the key with which"), "{doctor}");

    session.write("policy.toml", b"[limits]\nhandshakes = 0\n");
    let doctor = session.run(&["doctor", "--policy", "policy.toml"]).ended(1).text();
    assert!(
        doctor.contains("FAIL policy      policy.toml, line 2, column 14: it must be"),
        "{doctor}"
    );
    let json = session.run(&["doctor", "--policy", "policy.toml", "--json"]).ended(1).json();
    assert!(json["failed"].as_u64().unwrap() >= 1);
}
