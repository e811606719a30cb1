//! `setup`: installs what a fresh Debian lacks, and only that.
//!
//! A machine that has everything is asked one question (`dpkg-query`) and not changed; the package
//! lists are fetched only when something is missing.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::place;
use crate::step::{self, Failure};

/// Debian packages that the build needs: AWS-LC, the cryptography below TLS, is C, and DTLS is
/// the host's libssl.
pub(crate) const BUILD: &[&str] = &["gcc", "libc6-dev", "libssl-dev", "pkg-config"];

/// Debian packages that tests and benchmarks need: the build's, strangers to talk to, what the C
/// interface is compiled, compared and watched with, files with access control lists, user
/// namespaces for those who are not root, and what the laboratory's Kerberos realms are made of. The
/// tests start their own KDCs, so services that a package starts may be stopped.
pub(crate) const TESTS: &[&str] = &[
    "gcc",
    "libc6-dev",
    "pkg-config",
    "acl",
    "curl",
    "faketime",
    "gnutls-bin",
    "gssproxy",
    "krb5-admin-server",
    "krb5-kdc",
    "krb5-user",
    "libnss-wrapper",
    "libssl-dev",
    "openssl",
    "python3-markdown",
    "python3-samba",
    "samba",
    "samba-ad-dc",
    "samba-ad-provision",
    "samba-dsdb-modules",
    "samba-vfs-modules",
    "strace",
    "binutils",
    "g++",
    "mingw-w64-common",
    "valgrind",
    "uidmap",
    "valgrind",
    "winbind",
];

/// Debian packages of those beside whom `bench` measures us; nothing else needs them.
pub(crate) const PEERS: &[&str] = &["haproxy", "stunnel4"];

/// Judges licences, bans and sources; another version may read `deny.toml` differently.
const CARGO_DENY: &str = "0.20.2";

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, Failure> {
    match arguments {
        [] => packages(BUILD)?,
        [word] if word == "--tests" => tests()?,
        _ => return Err(Failure::new("arguments", "only --tests is understood")),
    }
    eprintln!("setup: nothing is missing any more");
    Ok(ExitCode::SUCCESS)
}

/// Installs what `cargo xtask test` needs.
pub(crate) fn tests() -> Result<(), Failure> {
    packages(TESTS)?;
    component("rustfmt", "fmt")?;
    component("clippy", "clippy")?;
    cargo_deny().map(drop)
}

/// Installs those of the Debian packages that are missing.
pub(crate) fn packages(wanted: &[&str]) -> Result<(), Failure> {
    let Some(installed) = installed(wanted)? else {
        // Not a failure: the compiler names what it misses, under the name its own host uses.
        eprintln!("setup: no dpkg-query, so not Debian: needed here are {}", wanted.join(" "));
        return Ok(());
    };
    let missing = missing(wanted, &installed);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    eprintln!("setup: missing Debian packages: {list}");
    let install = ["install", "--yes", "--no-install-recommends"];
    step::run("package lists", &mut apt_get(&["update"], &list)?)?;
    step::run("packages", apt_get(&install, &list)?.args(&missing))
}

/// Those of `wanted` that dpkg has, or `None` where there is no dpkg.
fn installed(wanted: &[&str]) -> Result<Option<String>, Failure> {
    let format = "--showformat=${Package} ${db:Status-Status}\n";
    let mut query = Command::new("dpkg-query");
    // Its exit code is 1 when it does not know one of them, which is an answer, so only the
    // lines it prints count.
    match query.arg("--show").arg(format).args(wanted).output() {
        Ok(output) => Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::io("packages", "dpkg-query", &error)),
    }
}

/// Those of `wanted` without a line "name installed" in the answer of dpkg-query.
fn missing<'a>(wanted: &[&'a str], answer: &str) -> Vec<&'a str> {
    let installed: BTreeSet<_> =
        answer.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    wanted.iter().copied().filter(|name| !installed.contains(name)).collect()
}

/// `apt-get` as root and without questions; `list` is what a person must install without us.
fn apt_get(words: &[&str], list: &str) -> Result<Command, Failure> {
    let own = std::fs::metadata("/proc/self");
    let own = own.map_err(|error| Failure::io("packages", "/proc/self", &error))?;
    let mut command = Command::new("env");
    if own.uid() != 0 {
        if !on_path("sudo") {
            let reason = format!("neither root nor sudo; as root: apt-get install {list}");
            return Err(Failure::new("packages", reason));
        }
        command = Command::new("sudo");
        command.arg("env");
    }
    // Given by env, because sudo does not pass our own variables on.
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(words);
    Ok(command)
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Checks that a part of the Rust toolchain is there: that is the person's to change, not ours.
fn component(name: &str, subcommand: &str) -> Result<(), Failure> {
    step::ask(name, &mut step::cargo(&[subcommand, "--version"]))
        .map_err(|failure| failure.with_remedy(&format!("rustup component add {name}")))?;
    Ok(())
}

/// Returns a cargo-deny of the version we know, built below `target/` if the machine has none.
pub(crate) fn cargo_deny() -> Result<PathBuf, Failure> {
    let is_ours = |program: &PathBuf| {
        let version = step::ask("cargo-deny", Command::new(program).arg("--version"));
        version.is_ok_and(|version| version.trim() == format!("cargo-deny {CARGO_DENY}"))
    };
    let tools = place::target()?.join("tools");
    let candidates = [PathBuf::from("cargo-deny"), tools.join("bin").join("cargo-deny")];
    if let Some(found) = candidates.iter().find(|program| is_ours(program)) {
        return Ok(found.clone());
    }
    eprintln!("setup: cargo-deny {CARGO_DENY} is built once, about three minutes on two cores");
    let words = ["install", "cargo-deny", "--locked", "--version", CARGO_DENY, "--root"];
    step::run("cargo-deny", step::cargo(&words).arg(&tools))?;
    let [_, built] = candidates;
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, expected: &[&str]) {
        assert_eq!(missing(&["curl", "gcc"], answer), expected);
    }

    #[test]
    fn only_installed_packages_are_not_missing() {
        check("", &["curl", "gcc"]);
        check("curl installed\ngcc installed\n", &[]);
        check("curl not-installed\ngcc installed\n", &["curl"]);
        check("curl installed\ngcc config-files\n", &["gcc"]);
        check("gcc installed\ngcc-12 installed\n", &["curl"]);
    }

    #[test]
    fn tests_need_what_the_build_needs() {
        assert!(BUILD.iter().all(|name| TESTS.contains(name)));
    }

    #[test]
    fn strange_arguments_are_refused() {
        assert!(run(&["--everything".to_owned()]).is_err());
    }
}
