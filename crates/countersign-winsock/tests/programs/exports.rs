//! What the headers declare is in the library, and the library exports nothing else.

use std::collections::BTreeSet;
use std::process::Command;

use super::build::{include, library};

/// The functions that the library exports.
pub(crate) fn exported() -> BTreeSet<String> {
    let output = Command::new("nm")
        .args(["--dynamic", "--defined-only", "--format=posix"])
        .arg(library().join("libcountersign_winsock.so"))
        .output()
        .expect("nm runs");
    let text = String::from_utf8(output.stdout).expect("ASCII");
    let lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines.filter(|words| words.get(1) == Some(&"T")).map(|words| words[0].to_owned()).collect()
}

/// The functions that the headers declare: lines that begin a declaration, up to a semicolon.
fn declared() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in [
        "winsock2.h",
        "ws2tcpip.h",
        "ntdsapi.h",
        "windows.h",
        "countersign/text.h",
        "countersign/threads.h",
        "countersign/waiting.h",
    ] {
        let text = std::fs::read_to_string(include().join(file)).expect("readable");
        // A declaration begins at the margin and is no typedef, no inline function, no macro.
        let mut declaration = String::new();
        for line in text.lines() {
            let begins = line.starts_with(|c: char| c.is_ascii_alphabetic())
                && line.contains('(')
                && !line.starts_with("typedef")
                && !line.starts_with("COUNTERSIGN_")
                && !line.starts_with("INET_IS_ADDR")
                && !line.starts_with("DEFINE_GUID")
                && !line.starts_with("static")
                && !line.starts_with("__attribute__");
            if begins {
                declaration.clear();
                declaration.push_str(line);
            }
            if begins && let Some((before, _)) = declaration.split_once('(') {
                let name = before.rsplit([' ', '*']).next().unwrap_or_default();
                names.insert(name.to_owned());
            }
        }
    }
    names
}

#[test]
fn every_function_of_the_headers_is_exported_and_nothing_else() {
    let (declared, exported) = (declared(), exported());
    assert!(declared.len() > 80, "{declared:?}");
    let missing: Vec<_> = declared.difference(&exported).collect();
    assert!(missing.is_empty(), "declared and not exported: {missing:?}");
    let hidden: Vec<_> = exported.difference(&declared).collect();
    assert!(hidden.is_empty(), "exported and not declared: {hidden:?}");
}
