//! Compiles C programs against the library that this test was built with.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// How a program is compiled and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As most people do.
    Plain,
    /// `wchar_t` has 16 bits, as on Windows.
    ShortWchar,
    /// With AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer.
    Sanitized,
    /// Under valgrind's memcheck.
    Valgrind,
}

impl Way {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Valgrind => &["-O1"],
            Self::ShortWchar => &["-fshort-wchar"],
            Self::Sanitized => &[
                "-fsanitize=address,undefined",
                "-fno-sanitize-recover=all",
                "-fno-omit-frame-pointer",
            ],
        }
    }
}

/// The directory of the library that Cargo built for this test.
pub(crate) fn library() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let test = std::env::current_exe().expect("the test has a path");
        let beside = test.parent().expect("and a directory").to_owned();
        assert!(
            beside.join("libcountersign_winsock.so").exists(),
            "{} has no libcountersign_winsock.so",
            beside.display()
        );
        beside
    })
}

pub(crate) fn include() -> PathBuf {
    Path::new(HERE).join("../../include/winsock")
}

/// The path of a program of ours: `tests/c/NAME`.
pub(crate) fn test_program(name: &str) -> PathBuf {
    Path::new(HERE).join("tests/c").join(name)
}

pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(HERE).join("../../examples/winsock").join(name)
}

/// Compiles `source` into `directory`; no warning is allowed.
#[track_caller]
pub(crate) fn compile(source: &Path, way: Way, directory: &Path) -> PathBuf {
    compile_with(source, way.flags(), directory)
}

#[track_caller]
pub(crate) fn compile_with(source: &Path, flags: &[&str], directory: &Path) -> PathBuf {
    let program = directory.join(source.file_stem().expect("a name"));
    let is_cxx = source.extension().is_some_and(|extension| extension == "cpp");
    let (compiler, standard) = if is_cxx { ("g++", "-std=c++17") } else { ("gcc", "-std=gnu11") };
    let library = library().display();
    let output = Command::new(compiler)
        .args([standard, "-g", "-Wall", "-Wextra", "-Werror", "-pthread"])
        .args(flags)
        .arg("-I")
        .arg(include())
        .arg("-o")
        .args([&program, source])
        .args([format!("-L{library}"), format!("-Wl,-rpath,{library}")])
        .arg("-lcountersign_winsock")
        .output()
        .unwrap_or_else(|error| panic!("{compiler} cannot be run: {error}"));
    assert!(output.status.success(), "{}:\n{}", source.display(), said(&output));
    program
}

/// The command that runs a compiled program this way.
pub(crate) fn command(program: &Path, way: Way) -> Command {
    let mut command = match way {
        Way::Valgrind => {
            let mut valgrind = Command::new("valgrind");
            valgrind
                .args(["--quiet", "--error-exitcode=99", "--leak-check=full"])
                .args(["--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"])
                .arg(format!("--suppressions={HERE}/tests/valgrind.supp"))
                .arg(program);
            valgrind
        }
        _ => Command::new(program),
    };
    command.env_clear();
    command.env("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=98");
    command.env("UBSAN_OPTIONS", "print_stacktrace=1");
    command
}

/// Everything that a program said, for a person to read.
pub(crate) fn said(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    let err: Vec<&str> = err.lines().take(80).collect();
    format!("{}\n--- stdout\n{out}\n--- stderr\n{}", output.status, err.join("\n"))
}
