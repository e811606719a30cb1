//! The instruments are tested too: each finds a fault that was planted.

use super::build::{Way, command, compile, test_program};

#[test]
fn sanitizer_and_valgrind_find_what_is_planted() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (way, code) in [(Way::Plain, 0), (Way::Sanitized, 98), (Way::Valgrind, 99)] {
        let program = compile(&test_program("planted.c"), way, directory.path());
        let status = command(&program, way).arg("read").status().expect("it runs");
        assert_eq!(status.code(), Some(code), "{way:?}: a read of freed memory");
        let status = command(&program, way).arg("leak").status().expect("it runs");
        assert_eq!(status.code(), Some(code), "{way:?}: a leak");
    }
}
