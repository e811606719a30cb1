//! What a person at a terminal sees. `script` (bsdutils, which Debian always has) is the terminal.

use crate::session::{Finished, Session, finish};

/// Runs a line of shell on a terminal.
fn on_terminal(session: &Session, line: &str, variables: &[(&str, &str)]) -> Finished {
    let mut script = session.stranger("script");
    script.args(["--quiet", "--return", "--command", line, "/dev/null"]);
    script.env("COMMAND", env!("CARGO_BIN_EXE_countersign")).env("TERM", "xterm");
    finish(script.envs(variables.iter().copied()), b"")
}

#[test]
fn colours_are_for_those_who_want_them() {
    let session = Session::empty();
    let demo = on_terminal(&session, "$COMMAND demo", &[]).success().text();
    assert!(demo.contains("\u{1b}[32m✓\u{1b}[0m 10 of 10 as expected"), "{demo}");
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let demo = on_terminal(&session, "$COMMAND demo", &[variable]).success().text();
        assert!(demo.contains("✓ 10 of 10 as expected") && !demo.contains('\u{1b}'), "{demo}");
    }
}

#[test]
fn a_long_transfer_shows_its_rate_and_a_short_one_does_not() {
    let session = Session::with(&["echo/localhost"]);
    let server = session.serve("echo/localhost", &["--echo"]);
    let connect = format!("$COMMAND connect echo/localhost {} > /dev/null", server.at());
    let long = format!("(echo one; sleep 1.7; echo two) | {connect}");
    let shown = on_terminal(&session, &long, &[]).success().text();
    assert!(shown.contains("\r\u{1b}[Ksent 4 bytes, received 4 bytes in 1."), "{shown:?}");
    assert!(shown.contains("\r\u{1b}[Ksent 8 bytes, received 8 bytes in 1."), "{shown:?}");
    let shown = on_terminal(&session, &format!("echo one | {connect}"), &[]).success().text();
    assert!(!shown.contains("sent "), "{shown:?}");
}
