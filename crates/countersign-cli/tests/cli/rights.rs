//! `serve --exec --impersonate` and `explain --peer`, with real accounts.

use countersign_lab::{Seen, on_stage};

use crate::session::{Running, Session, finish};

const POLICY: &[u8] = b"\
[[account]]
peer = \"{user}@EXAMPLE.COM\"
account = \"{user}\"

[[allow]]
listen = \"*:7001\"
peers = [\"*@EXAMPLE.COM\"]
[[allow]]
listen = \"10.0.0.5:7002\"
peers = [\"mallory@EXAMPLE.COM\"]
";

fn session() -> Session {
    let names = ["files/localhost", "alice@EXAMPLE.COM", "root@EXAMPLE.COM", "alice@EXAMPLE.ORG"];
    let session = Session::with(&names);
    session.write("policy.toml", POLICY);
    session
}

fn serve(session: &Session, command: &[&str]) -> Running {
    let more = ["--policy", "policy.toml", "--impersonate", "--exec"];
    let mut serve = session.command(&["serve", "files/localhost", "--listen", "127.0.0.1:0"]);
    // What the server knows is not the client's.
    serve.env("SECRET_OF_THE_SERVER", "x").args(more).args(command);
    Running::start(&mut serve)
}

#[test]
fn a_program_runs_as_its_client() {
    on_stage("rights::a_program_runs_as_its_client", |_| {
        let session = session();
        let mut server = serve(&session, &["cat", "/proc/self/status"]);
        let connect = ["connect", "files/localhost", &server.at(), "--as", "alice@EXAMPLE.COM"];
        let status = session.run(&connect).success().text();
        let seen = Seen::parse(&status);
        assert!(seen.is_only(2001, 2001, &[2001, 3001, 3002]), "{seen:?}");
        assert_eq!(seen.capabilities, [0; 4]);
        let line = server.logged("acting 127.0.0.1:");
        let expected = ": as alice (uid 2001, groups 2001, 3001, 3002) for alice@EXAMPLE.COM";
        assert!(line.ends_with(expected), "{line}");

        let server = serve(&session, &["env"]);
        let connect = ["connect", "files/localhost", &server.at(), "--as", "alice@EXAMPLE.COM"];
        let environment = session.run(&connect).success().text();
        for line in ["USER=alice", "HOME=/home/alice", "COUNTERSIGN_PEER=alice@EXAMPLE.COM"] {
            assert!(environment.lines().any(|it| it == line), "no {line} in\n{environment}");
        }
        for name in ["SECRET_OF_THE_SERVER=", "COUNTERSIGN_HOME="] {
            assert!(!environment.contains(name), "{environment}");
        }
    });
}

#[test]
fn a_program_shares_neither_open_files_nor_a_session() {
    on_stage("rights::a_program_shares_neither_open_files_nor_a_session", |_| {
        let session = session();
        session.write("of-the-server", b"what only the server may read");
        let kept = std::fs::File::open(session.path("of-the-server")).unwrap();
        rustix::io::fcntl_setfd(&kept, rustix::io::FdFlags::empty()).unwrap();
        let look = "ls -l /proc/$$/fd; cut -d ' ' -f 1,6 /proc/$$/stat";
        let server = serve(&session, &["sh", "-c", look]);
        let connect = ["connect", "files/localhost", &server.at(), "--as", "alice@EXAMPLE.COM"];
        let seen = session.run(&connect).success().text();
        assert!(seen.contains(" 0 -> ") && !seen.contains("of-the-server"), "{seen}");
        let (process, leader) = seen.lines().last().unwrap().split_once(' ').unwrap();
        assert_eq!(process, leader, "the session is its own");
    });
}

#[test]
fn clients_for_whom_nobody_acts_get_nothing() {
    on_stage("rights::clients_for_whom_nobody_acts_get_nothing", |_| {
        let session = session();
        let mut server = serve(&session, &["id"]);
        for (client, why) in [
            ("root@EXAMPLE.COM", "must not act as the account root (uid 0)"),
            ("alice@EXAMPLE.ORG", "no [[account]] rule says"),
        ] {
            let connect = ["connect", "files/localhost", &server.at(), "--as", client];
            session.run(&connect).ended(3).wrote("");
            let line = server.logged("broken ");
            assert!(line.contains(why) && line.contains("; hint: "), "{line}");
        }
        session.run(&["connect", "files/localhost", &server.at()]).ended(3).wrote("");
        let line = server.logged("refused ");
        assert!(line.contains("sent no certificate"), "{line}");
    });
}

#[test]
fn without_the_capabilities_it_does_not_begin() {
    on_stage("rights::without_the_capabilities_it_does_not_begin", |_| {
        let session = session();
        let program = env!("CARGO_BIN_EXE_countersign");
        let mut serve = session.stranger("setpriv");
        serve.args(["--bounding-set=-setuid", "--inh-caps=-all", program]);
        serve.args(["serve", "files/localhost", "--listen", "0", "--impersonate", "--exec", "id"]);
        finish(&mut serve, b"").ended(4).said(&[
            "may not act as somebody else: it lacks CAP_SETUID",
            "AmbientCapabilities=CAP_SETUID CAP_SETGID",
            "setcap cap_setuid,cap_setgid=ep",
        ]);
    });
}

#[test]
fn who_acts_for_a_peer_is_explained() {
    on_stage("rights::who_acts_for_a_peer_is_explained", |_| {
        let session = session();
        let explain = |peer| session.run(&["explain", "--peer", peer, "--policy", "policy.toml"]);
        let text = explain("alice@EXAMPLE.COM").success().text();
        for line in [
            "peer        alice@EXAMPLE.COM\n",
            "account     alice, uid 2001, gid 2001, groups 2001, 3001, 3002 (certificate \
             KRB5PrincipalName)\n",
            "            by the rule {user}@EXAMPLE.COM -> {user} (policy.toml, line 1)\n",
            "we          may act as it\n",
            "allowed     on port 7001 of every address\n",
            "refused     on 10.0.0.5:7002\n",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
        explain("root@EXAMPLE.COM").ended(2).said(&["must not act as the account root", "hint: "]);
        explain("bob@EXAMPLE.ORG").ended(2).said(&["no [[account]] rule says", "hint: add to"]);
        let json = ["explain", "--peer", "alice@EXAMPLE.COM", "--policy", "policy.toml", "--json"];
        let json = session.run(&json).success().json();
        assert_eq!(json["acting"][0]["account"]["uid"], 2001);
        assert_eq!(json["places"][1]["allowed"], false);
    });
}

#[test]
fn something_must_be_explained() {
    let session = Session::empty();
    session.run(&["explain"]).ended(2);
    session.run(&["explain", "10.0.0.5:1", "--peer", "a@B"]).ended(2);
    let serve = ["serve", "a/localhost", "--listen", "0", "--echo", "--impersonate"];
    session.run(&serve).ended(2);
}
