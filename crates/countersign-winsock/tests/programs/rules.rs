//! The programs of rules, each in four ways.

use super::build::{Way, test_program};
use super::world::World;

/// Who the process is in most programs: one service, as server and as client.
const SERVICE: &str =
    "[identity]\nname = \"postgres/localhost\"\n[limits]\nhandshake-timeout-ms = 20000\n";

#[track_caller]
fn rules(name: &str, way: Way) {
    let world = World::new();
    let output = world.check(&test_program(name), way, SERVICE);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(" checks, 0 failures"), "{said}");
}

macro_rules! programs {
    ($($module:ident: $file:literal, $($way:ident)+;)+) => {
        $(mod $module {
            use super::{Way, rules};
            $(programs!(@ $way $file);)+
        })+
    };
    (@ plain $file:literal) => {
        #[test]
        fn plain() { rules($file, Way::Plain); }
    };
    (@ short_wchar $file:literal) => {
        #[test]
        fn short_wchar() { rules($file, Way::ShortWchar); }
    };
    (@ sanitized $file:literal) => {
        #[test]
        fn sanitized() { rules($file, Way::Sanitized); }
    };
    (@ valgrind $file:literal) => {
        #[test]
        fn valgrind() { rules($file, Way::Valgrind); }
    };
}

programs! {
    spec_3_errors: "errors.c", plain short_wchar sanitized valgrind;
    spec_4_settings: "settings.c", plain sanitized valgrind;
    spec_5_and_6_names: "names.c", plain sanitized valgrind;
    spec_7_query: "query.c", plain sanitized valgrind;
    spec_9_overlapped: "overlapped.c", plain sanitized valgrind;
    sockets: "sockets.c", plain sanitized valgrind;
    resolve: "resolve.c", plain short_wchar sanitized valgrind;
    hostile: "hostile.c", plain sanitized valgrind;
    // Not under ThreadSanitizer: it must have compiled every access that it judges, and the library with its standard
    // library and its C dependencies is not; and valgrind runs one thread at a time, which is no race.
    race: "race.c", plain sanitized;
    threads: "threads.c", plain sanitized valgrind;
    cxx: "plus.cpp", plain short_wchar sanitized valgrind;
}
