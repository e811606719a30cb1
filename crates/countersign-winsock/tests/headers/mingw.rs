//! Our numbers and layouts beside those of mingw-w64, which is what programs for Windows are built
//! with elsewhere.
//!
//! Ours are printed by a program; its output becomes a list of assertions that a compiler checks
//! with the headers of mingw-w64 in place of the system's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::compile::{Source, include};

const MINGW: &str = "/usr/share/mingw-w64/include";

/// Where we differ on purpose, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("FD_SETSIZE", "not a number of the preprocessor here: libc has redefined it by then"),
    ("WSAPROTOCOL_INFO", "the name of a type"),
    ("TIMEVAL", "libc's struct timeval, which other calls of the program fill in"),
    ("MAXULONG", "MAXDWORD there, the same number with another type"),
    ("INVALID_SOCKET", "(SOCKET)(~0): the same value, and a cast that no assertion takes"),
];

/// The types whose layouts are compared, as `countersign/checks.h` lists them.
fn layouts() -> Vec<(String, Vec<String>)> {
    let checks = std::fs::read_to_string(include().join("countersign/checks.h")).expect("readable");
    let mut types: Vec<(String, Vec<String>)> = Vec::new();
    for line in checks.lines() {
        let inside = |start: &str| {
            let rest = line.strip_prefix(start)?.strip_suffix(");")?;
            Some(rest.split(", ").map(str::to_owned).collect::<Vec<_>>())
        };
        if let Some(parts) = inside("COUNTERSIGN_LAYOUT(") {
            types.push((parts[0].clone(), Vec::new()));
        } else if let Some(parts) = inside("COUNTERSIGN_FIELD(") {
            let (name, fields) = types.last_mut().expect("a type comes before its fields");
            assert_eq!(*name, parts[0]);
            fields.push(parts[1].clone());
        }
    }
    types
}

/// Every number that our headers define under a name of Windows.
fn constants() -> Vec<String> {
    let files = [
        "winsock2.h",
        "ws2tcpip.h",
        "mstcpip.h",
        "mswsock.h",
        "windows.h",
        "winerror.h",
        "countersign/numbers.h",
        "countersign/types.h",
        "countersign/memory.h",
        "countersign/text.h",
        "countersign/waiting.h",
    ];
    let mut names = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(include().join(file)).expect("readable");
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("#define ") else { continue };
            let Some((name, value)) = rest.split_once(' ') else { continue };
            let is_constant = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && name.chars().any(|c| c.is_ascii_uppercase())
                && !name.starts_with("COUNTERSIGN")
                && !value.contains(['{', '"', '#'])
                && !value.starts_with("countersign")
                && !value.starts_with("COUNTERSIGN");
            if is_constant && !EXCEPTIONS.iter().any(|(exception, _)| *exception == name) {
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    // Names of functions and types, casts of pointers, and attributes are no numbers.
    names.retain(|name| {
        !matches!(
            name.as_str(),
            "WINAPI"
                | "WSAAPI"
                | "CALLBACK"
                | "APIENTRY"
                | "PASCAL"
                | "FAR"
                | "NEAR"
                | "CONST"
                | "IN"
                | "OUT"
                | "OPTIONAL"
                | "VOID"
                | "DECLSPEC_IMPORT"
                | "WINBASEAPI"
                | "WINSOCK_API_LINKAGE"
                | "REFGUID"
                | "GUID_DEFINED"
                | "INVALID_HANDLE_VALUE"
                | "WSA_INVALID_EVENT"
                | "RtlCopyMemory"
                | "RtlMoveMemory"
                | "RtlFillMemory"
                | "RtlZeroMemory"
                | "RtlSecureZeroMemory"
                | "IN6_ARE_ADDR_EQUAL"
        )
    });
    names
}

const ENUMERATORS: &[&str] = &[
    "SOCKET_SECURITY_PROTOCOL_DEFAULT",
    "SOCKET_SECURITY_PROTOCOL_INVALID",
    "SOCKET_SECURITY_PROTOCOL_IPSEC",
    "SOCKET_SECURITY_PROTOCOL_IPSEC2",
    "SYSTEM_CRITICAL_SOCKET",
];

const INCLUDES: &str = "#include <winsock2.h>\n#include <ws2tcpip.h>\n#include <mstcpip.h>\n\
                        #include <mswsock.h>\n#include <windows.h>\n#include <stddef.h>\n";

/// What ours are: an expression of C, and its value.
fn ours() -> BTreeMap<String, i64> {
    let mut program = format!("{INCLUDES}#include <stdio.h>\nint main(void) {{\n");
    let mut show = |guard: &str, expression: &str| {
        if !guard.is_empty() {
            let _ = writeln!(program, "#ifdef {guard}");
        }
        let _ = writeln!(program, "printf(\"%lld {expression}\\n\", (long long)({expression}));");
        if !guard.is_empty() {
            program.push_str("#endif\n");
        }
    };
    for name in constants() {
        show(&name, &name);
    }
    for name in ENUMERATORS {
        show("", name);
    }
    for (name, fields) in layouts() {
        show("", &format!("sizeof({name})"));
        for field in fields {
            show("", &format!("offsetof({name}, {field})"));
        }
    }
    program.push_str("return 0; }\n");
    let source = Source::new("ours.c", &program);
    let printed = source.run("gcc", &["-std=gnu11", "-w"], &[]);
    let pairs = printed.lines().map(|line| line.split_once(' ').expect("a value and a name"));
    pairs.map(|(value, name)| (name.to_owned(), value.parse().expect("a number"))).collect()
}

/// The system's compiler, made to read the headers of mingw-w64.
fn mingw(source: &Source) -> std::process::Output {
    let own = Command::new("gcc").arg("-print-file-name=include").output().expect("gcc runs");
    let own = String::from_utf8(own.stdout).expect("ASCII");
    let defines = [
        "-D_WIN32",
        "-D_WIN64",
        "-DWIN32",
        "-D__MINGW32__",
        "-D__MINGW64__",
        "-D_WIN32_WINNT=0x0A00",
        "-D__int64=long long",
        "-D__int32=int",
        "-D__int16=short",
        "-D__int8=char",
        "-D__declspec(x)=",
        "-D__stdcall=",
        "-D__cdecl=",
        "-D__fastcall=",
        "-U__linux__",
        "-U__unix__",
        "-Ulinux",
        "-Uunix",
    ];
    Command::new("gcc")
        .args(["-std=gnu11", "-w", "-fsyntax-only", "-fmax-errors=0", "-nostdinc", "-fshort-wchar"])
        .args(["-isystem", MINGW, "-isystem", own.trim()])
        .args(defines)
        .arg(source.path("theirs.c"))
        .output()
        .expect("gcc runs")
}

#[test]
fn numbers_and_layouts_are_those_of_mingw() {
    assert!(
        Path::new(MINGW).join("winsock2.h").exists(),
        "the headers of mingw-w64 are not here: apt-get install mingw-w64-common"
    );
    let ours = ours();
    // Theirs say u_long, which has 32 bits on Windows and 64 in the compiler at hand.
    let mut text = format!("{INCLUDES}#define u_long unsigned int\n");
    for (name, value) in &ours {
        let (is_macro, type_of) =
            match name.strip_prefix("sizeof(").or_else(|| name.strip_prefix("offsetof(")) {
                None => (!ENUMERATORS.contains(&name.as_str()), None),
                Some(rest) => (false, rest.split([',', ')']).next()),
            };
        // Structures that mingw-w64 lacks: the second forms.
        if type_of.is_some_and(|name| name.ends_with("_IPSEC2")) {
            continue;
        }
        if is_macro {
            let _ = writeln!(text, "#ifdef {name}");
        }
        let marker = "compared";
        let _ = writeln!(text, "_Static_assert((long long)({name}) == {value}, \"{name}\");");
        if is_macro {
            let _ = writeln!(text, "#pragma message \"{marker}\"\n#endif");
        } else {
            let _ = writeln!(text, "#pragma message \"{marker}\"");
        }
    }
    let source = Source::new("theirs.c", &text);
    let output = mingw(&source);
    let said = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = said.lines().filter(|line| line.contains("error:")).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    // A guard that hides everything would hide the test.
    let compared =
        said.lines().filter(|line| line.contains("compared") && line.contains("note:")).count();
    assert!(compared > 400, "only {compared} of {} were compared", ours.len());
}

/// The test of the test: a wrong number is found.
#[test]
fn a_wrong_number_would_be_found() {
    let text = format!("{INCLUDES}_Static_assert(AF_INET6 == 10, \"AF_INET6\");\n");
    let source = Source::new("theirs.c", &text);
    let output = mingw(&source);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("static assertion failed") && said.contains("AF_INET6"), "{said}");
}
