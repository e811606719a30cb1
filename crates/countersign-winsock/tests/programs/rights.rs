//! SPEC 8, with real accounts of this host: needs root, as such a server does anywhere.

use super::build::{Way, compile, said, test_program};
use super::world::World;

const IDENTITY: &str = "[identity]\nname = \"postgres/localhost\"\n";
const ACCOUNT: &str = "[[account]]\npeer = \"postgres/localhost\"\naccount = \"nobody\"\n";

#[track_caller]
fn impersonates(way: Way, rules: &str, arguments: &[&str]) {
    let world = World::new();
    let program = compile(&test_program("impersonate.c"), way, world.path());
    let policy = world.policy("rights", &format!("{IDENTITY}{rules}"));
    let output = world.command(&program, way, &policy).args(arguments).output().expect("it runs");
    if output.status.code() == Some(77) {
        println!("{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    assert!(output.status.success(), "{way:?}: {}", said(&output));
}

#[test]
fn spec_8_plain() {
    impersonates(Way::Plain, ACCOUNT, &[]);
}

/// LeakSanitizer stops the threads by ptrace(2), which needs the rights that the process began with: they are
/// back by then.
#[test]
fn spec_8_sanitized() {
    impersonates(Way::Sanitized, ACCOUNT, &[]);
}

#[test]
fn spec_8_3_without_an_account() {
    impersonates(Way::Plain, "", &["no account"]);
    // Never root by mapping, unless policy names root explicitly.
    let unknown = "[[account]]\npeer = \"postgres/localhost\"\naccount = \"no-such-account\"\n";
    impersonates(Way::Plain, unknown, &["no account"]);
}
