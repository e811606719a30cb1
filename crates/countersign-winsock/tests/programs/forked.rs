//! fork(2) without exec(3), in a Kerberos realm.

use std::net::{TcpListener, UdpSocket};

use countersign_lab::{Kdc, free_port};

use super::build::{Way, compile, said, test_program};
use super::world::World;

const SERVICES: [&str; 3] =
    ["postgres/db1.example.test", "http/db1.example.test", "ldap/db1.example.test"];
const SILENT: &str = "postgres/db1.example.test@SILENT.TEST";

#[test]
fn a_child_of_a_process_whose_threads_wait_for_a_kdc_has_threads_of_its_own() {
    let kdc = Kdc::start();
    // There somebody listens and never answers.
    let port = free_port();
    let silent = (TcpListener::bind(("127.0.0.1", port)), UdpSocket::bind(("127.0.0.1", port)));
    silent.0.as_ref().expect("the port is free");
    let settings = kdc.path("krb5.conf");
    let text = std::fs::read_to_string(&settings).expect("the realm has settings");
    let realm = format!("[realms]\n  SILENT.TEST = {{\n    kdc = 127.0.0.1:{port}\n  }}\n");
    std::fs::write(&settings, text.replacen("[realms]\n", &realm, 1)).expect("written");
    kdc.add(&SERVICES);
    kdc.add(&["alice", "krbtgt/SILENT.TEST"]);
    let keytab = kdc.keytab("keys", &SERVICES);
    let cache = kdc.ticket("alice", "alice", &[]);
    let world = World::new();
    let policy = world.policy(
        "forked",
        &format!(
            "[kerberos]\nserver = 'require'\nservices = {SERVICES:?}\nkeytab = '{keytab}'\n\
             client = 'require'\ncache = '{cache}'\nrealms = ['EXAMPLE.TEST', 'SILENT.TEST']\n"
        ),
    );
    let program = compile(&test_program("fork.c"), Way::Plain, world.path());
    let mut command = world.command(&program, Way::Plain, &policy);
    let output = command.args(SERVICES).arg(SILENT).envs(kdc.environment()).output();
    let output = output.expect("it runs");
    let text = said(&output);
    assert!(output.status.success() && text.contains("3 checks, 0 failures"), "{text}");
}
