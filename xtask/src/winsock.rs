//! The C interface as it is installed: library with versioned symbols, headers, pkg-config file.
//!
//! ```text
//! include/countersign-winsock/  the headers     lib/libcountersign_winsock.so → .so.0 → .so.VERSION
//! lib/libcountersign_winsock.a                  lib/pkgconfig/countersign-winsock.pc
//! ```
//!
//! The shared library is linked from the static one: rustc gives the linker a list of symbols without
//! versions of its own, and GNU ld takes no second one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::generated;
use crate::place;
use crate::step::{self, Failure};

/// Builds the static library as a release does, and installs everything below `prefix`.
pub(crate) fn install(prefix: &Path) -> Result<(), Failure> {
    let package = ["build", "--release", "--package=countersign-winsock"];
    step::run("C interface", &mut step::cargo(&package))?;
    let release = place::target()?.join("release");
    install_from(&release.join("libcountersign_winsock.a"), prefix)
}

/// Installs a static library that is there already.
fn install_from(archive: &Path, prefix: &Path) -> Result<(), Failure> {
    let crate_folder = place::root().join("crates/countersign-winsock");
    let packaging = crate_folder.join("packaging");
    let library = prefix.join("lib");
    generated::copy(archive, &library.join("libcountersign_winsock.a"))?;
    let versioned = format!("libcountersign_winsock.so.{}", env!("CARGO_PKG_VERSION"));
    link(archive, &packaging, &library.join(&versioned))?;
    for name in ["libcountersign_winsock.so.0", "libcountersign_winsock.so"] {
        let link = library.join(name);
        let _ = fs::remove_file(&link);
        symlink(&versioned, &link).map_err(|error| at(&link, &error))?;
    }

    let template = packaging.join("countersign-winsock.pc.in");
    let text = fs::read_to_string(&template).map_err(|error| at(&template, &error))?;
    let text = text.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    let pc = library.join("pkgconfig/countersign-winsock.pc");
    fs::create_dir_all(library.join("pkgconfig")).map_err(|error| at(&pc, &error))?;
    fs::write(&pc, text).map_err(|error| at(&pc, &error))?;

    let include = prefix.join("include/countersign-winsock");
    copy_tree(&place::root().join("include/winsock"), &include)?;
    let documents = prefix.join("share/doc/countersign");
    copy_tree(&place::root().join("examples/winsock"), &documents.join("examples/winsock"))?;
    let guide = place::root().join("docs/winsock.md");
    generated::copy(&guide, &documents.join("winsock.md"))
}

/// Links the shared library: every object of the archive, and only the symbols of the map go out.
fn link(archive: &Path, packaging: &Path, to: &Path) -> Result<(), Failure> {
    let file = |name: &str| format!("@{}", packaging.join(name).display());
    let mut cc = Command::new("cc");
    cc.arg(file("link.args"))
        .arg(format!("-Wl,--version-script={}", packaging.join("winsock.map").display()))
        .args(["-Wl,--whole-archive".as_ref(), archive.as_os_str()])
        .args(["-Wl,--no-whole-archive", "-Wl,--strip-debug", &file("libraries.args")])
        .arg("-o")
        .arg(to);
    step::run("shared library", &mut cc)
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(from).map_err(|error| at(from, &error))? {
        let entry = entry.map_err(|error| at(from, &error))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_tree(&from, &to)?;
        } else {
            generated::copy(&from, &to)?;
        }
    }
    Ok(())
}

fn at(path: &Path, error: &std::io::Error) -> Failure {
    Failure::io("C interface", path.display(), error)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// An archive with every symbol of the map stands for the real one, which takes minutes to build.
    fn archive(folder: &Path) -> std::path::PathBuf {
        let map = place::root().join("crates/countersign-winsock/packaging/winsock.map");
        let map = fs::read_to_string(map).unwrap();
        let names = map.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(';'));
        let mut text = String::new();
        for name in names.filter(|name| *name != "*") {
            writeln!(text, "void {name}(void) {{}}").unwrap();
        }
        text.push_str("void not_for_programs(void) {}\n");
        fs::write(folder.join("all.c"), text).unwrap();
        let run = |program: &str, words: &[&str]| {
            let mut command = Command::new(program);
            step::run(program, command.args(words).current_dir(folder)).unwrap();
        };
        run("cc", &["-c", "-fPIC", "-w", "all.c", "-o", "all.o"]);
        run("ar", &["rcs", "all.a", "all.o"]);
        folder.join("all.a")
    }

    #[test]
    fn everything_is_where_a_compiler_looks() {
        let folder = place::target().unwrap().join("winsock-test");
        generated::fresh(&folder).unwrap();
        let prefix = folder.join("prefix");
        install_from(&archive(&folder), &prefix).unwrap();
        for file in [
            "include/countersign-winsock/winsock2.h",
            "include/countersign-winsock/countersign/numbers.h",
            "lib/libcountersign_winsock.a",
            "lib/libcountersign_winsock.so",
            "lib/libcountersign_winsock.so.0",
            "share/doc/countersign/examples/winsock/tcp_client.c",
            "share/doc/countersign/winsock.md",
        ] {
            assert!(prefix.join(file).exists(), "{file}");
        }
        let pc = fs::read_to_string(prefix.join("lib/pkgconfig/countersign-winsock.pc")).unwrap();
        assert!(pc.contains(&format!("Version: {}", env!("CARGO_PKG_VERSION"))), "{pc}");
        let so = prefix.join("lib/libcountersign_winsock.so.0");
        let mut nm = Command::new("nm");
        nm.args(["-D", "--defined-only", "--with-symbol-versions"]).arg(so);
        let symbols = step::ask("symbols", &mut nm).unwrap();
        assert!(symbols.contains("WSASetSocketSecurity@@COUNTERSIGN_WINSOCK_0.1"), "{symbols}");
        assert!(!symbols.contains("not_for_programs"), "{symbols}");
    }
}
