//! The hidden `generate`: manual and completions.

use std::fs;

use crate::session::{Session, finish, list};

#[test]
fn each_command_has_a_page() {
    let session = Session::empty();
    session.run(&["generate", "man", "man1"]).success();
    let mut pages = list(&session.path("man1"));
    pages.sort();
    let commands = ["connect", "demo", "doctor", "explain", "forward", "identity"]
        .map(|command| format!("countersign-{command}.1"));
    let of_store = ["export", "init", "issue", "show", "trust"]
        .map(|command| format!("countersign-identity-{command}.1"));
    let rest = ["countersign-serve.1", "countersign.1"].map(str::to_owned);
    let mut expected = [&commands[..], &of_store, &rest].concat();
    expected.sort();
    assert_eq!(pages, expected);
    for page in pages {
        let text = fs::read_to_string(session.path("man1").join(&page)).unwrap();
        assert!(text.contains(".SH EXAMPLES"), "{page} has no example");
        assert!(text.contains(".SH OPTIONS"), "{page} has no options");
    }
    let text = fs::read_to_string(session.path("man1/countersign.1")).unwrap();
    assert!(text.contains(".SH \"EXIT STATUS\""), "{text}");
}

#[test]
fn each_shell_has_completions() {
    let session = Session::empty();
    session.run(&["generate", "completions", "shells"]).success();
    let mut files = list(&session.path("shells"));
    files.sort();
    assert_eq!(files, ["_countersign", "countersign.bash", "countersign.fish"]);
    for file in files {
        let text = fs::read_to_string(session.path("shells").join(&file)).unwrap();
        assert!(text.contains("max-connections"), "{file}");
    }
    // That bash can read it is more than that it is there.
    let mut bash = session.stranger("bash");
    let script = "source shells/countersign.bash && complete -p countersign";
    let complete = finish(bash.args(["-euc", script]), b"").success();
    assert!(complete.text().contains("countersign"), "{}", complete.text());
}
