//! The library as it is installed: versioned symbols, and a pkg-config file that says all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::build::{example, include, library, said};

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

/// Runs a command, which must succeed, and returns what it prints.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().expect("it can be run");
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// Lays out a prefix as `cargo xtask dist` does.
fn install(prefix: &Path) {
    let lib = prefix.join("lib");
    std::fs::create_dir_all(lib.join("pkgconfig")).expect("made");
    run(Command::new("cc")
        .arg(format!("@{}", packaging("link.args").display()))
        .arg(format!("-Wl,--version-script={}", packaging("winsock.map").display()))
        .arg("-Wl,--whole-archive")
        .arg(library().join("libcountersign_winsock.a"))
        .args(["-Wl,--no-whole-archive", "-Wl,--strip-debug"])
        .arg(format!("@{}", packaging("libraries.args").display()))
        .arg("-o")
        .arg(lib.join("libcountersign_winsock.so.0")));
    let link = lib.join("libcountersign_winsock.so");
    std::os::unix::fs::symlink("libcountersign_winsock.so.0", link).expect("linked");
    let pc = std::fs::read_to_string(packaging("countersign-winsock.pc.in")).expect("readable");
    let pc = pc.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    std::fs::write(lib.join("pkgconfig/countersign-winsock.pc"), pc).expect("written");
    std::fs::create_dir_all(prefix.join("include")).expect("made");
    let headers = prefix.join("include/countersign-winsock");
    std::os::unix::fs::symlink(include().canonicalize().expect("there"), headers).expect("linked");
}

#[test]
fn symbols_have_versions_and_pkg_config_says_how_to_use_them() {
    let prefix = tempfile::tempdir().expect("a directory");
    install(prefix.path());
    let so = prefix.path().join("lib/libcountersign_winsock.so.0");
    let text =
        run(Command::new("nm").args(["-D", "--defined-only", "--with-symbol-versions"]).arg(&so));
    let versioned: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| {
            line.split_whitespace().nth(2)?.strip_suffix("@@COUNTERSIGN_WINSOCK_0.1")
        })
        .collect();
    let map = std::fs::read_to_string(packaging("winsock.map")).expect("readable");
    let mapped: BTreeSet<&str> = map
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.strip_suffix(';'))
        .filter(|name| *name != "*")
        .collect();
    assert_eq!(versioned, mapped);
    assert_eq!(super::exports::exported(), mapped.iter().map(|name| (*name).to_owned()).collect());

    let pkg_config = |words: &[&str]| {
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_PATH", prefix.path().join("lib/pkgconfig"));
        run(command.args(words).arg("countersign-winsock"))
    };
    assert_eq!(pkg_config(&["--modversion"]).trim(), env!("CARGO_PKG_VERSION"));
    let flags = pkg_config(&["--cflags", "--libs"]);
    let program = prefix.path().join("tcp_client");
    run(Command::new("cc")
        .arg("-fshort-wchar")
        .arg(example("tcp_client.c"))
        .args(flags.split_whitespace())
        .arg("-o")
        .arg(&program));
    let output = Command::new(&program)
        .env("LD_LIBRARY_PATH", prefix.path().join("lib"))
        .output()
        .expect("it runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("usage:"), "{}", said(&output));
}
