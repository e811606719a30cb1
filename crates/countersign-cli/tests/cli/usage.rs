//! What was typed wrongly, and what `--help` teaches.

use crate::session::Session;

#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    Session::empty().run(arguments).ended(2).said(words).wrote("");
}

#[test]
fn names_and_addresses_that_are_none_come_with_a_hint() {
    refused(
        &["connect", "a b", "h:1"],
        &["name \"a b\": the name holds ' ' at byte 1", "  hint: "],
    );
    refused(&["connect", "http://x", "h:1"], &["names of scheme \"http\"", "  hint: write class"]);
    refused(&["connect", "x", "h"], &["\"h\" is not an address", "  hint: write HOST:PORT"]);
    refused(&["connect", "x", "h:0"], &["\"h:0\" is not an address", "  hint: "]);
    refused(&["connect", "x", "h:1", "--as", ""], &["--as \"\": the name is empty", "  hint: "]);
    refused(&["serve", "x", "--listen", "h", "--echo"], &["not an address", "  hint: write PORT"]);
    refused(&["serve", "a@B", "--listen", "0", "--echo"], &["a@B is a user", "  hint: "]);
    refused(
        &["serve", "x", "--listen", "0", "--echo", "--allow", "a*/b"],
        &["pattern \"a*/b\": ", "  hint: understood are *"],
    );
    refused(&["serve", "x", "--listen", "0", "--to", "h"], &["\"h\" is not an address"]);
    refused(&["explain", "localhost:1"], &["a look-up would use the network"]);
    refused(
        &["forward", "--listen", "1", "--to", "h:1", "--name", "/"],
        &["name \"/\": the class of the name is empty", "  hint: "],
    );
}

#[test]
fn contradictions_are_refused_before_anything_happens() {
    refused(&["serve", "x", "--listen", "0"], &["--echo|--to <ADDR>|--exec"]);
    refused(&["serve", "x", "--listen", "0", "--echo", "--to", "h:1"], &["cannot be used with"]);
    refused(&["connect", "x", "h:1", "--certificate", "c"], &["--key <FILE>"]);
    refused(
        &["connect", "x", "h:1", "--certificate", "c", "--key", "k", "--as", "y"],
        &["cannot be used with"],
    );
    refused(&["connect", "x", "h:1", "--timeout-ms", "0"], &["invalid value '0'"]);
    refused(&["nonsense"], &["unrecognized subcommand"]);
    refused(&[], &["Usage: countersign"]);
}

#[test]
fn errors_for_programs_are_objects() {
    let session = Session::empty();
    for arguments in [&["connect", "a b", "h:1", "--json"][..], &["connect", "--json"]] {
        let events = session.run(arguments).ended(2).events();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["fault"], "caller");
        assert_eq!(events[0]["wsa"], 10022);
        assert!(events[0]["error"].as_str().is_some_and(|it| !it.is_empty()));
        assert!(events[0]["hint"].as_str().is_some_and(|it| !it.is_empty()));
    }
}

#[test]
fn every_command_teaches_by_example() {
    let session = Session::empty();
    for command in [
        &[][..],
        &["demo"],
        &["connect"],
        &["serve"],
        &["forward"],
        &["identity"],
        &["identity", "init"],
        &["identity", "issue"],
        &["identity", "show"],
        &["identity", "trust"],
        &["identity", "export"],
        &["explain"],
        &["doctor"],
        &["generate"],
    ] {
        let help = session.run(&[command, &["--help"]].concat()).success().text();
        let (before, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| {
            panic!("{command:?} has no example:\n{help}");
        });
        assert!(examples.contains("countersign "), "{command:?}:\n{help}");
        assert!(before.contains("Usage: countersign"), "{command:?}:\n{help}");
    }
    let help = session.run(&["--help"]).success().text();
    assert!(help.contains("Exit status:"), "{help}");
    assert!(!help.contains("generate"), "{help}");
}
