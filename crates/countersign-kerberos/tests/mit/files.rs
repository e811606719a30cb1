//! What a server looks at while it judges clients: watched by strace(1).

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use countersign_kerberos::{Exchange, Terms};
use countersign_lab::Kdc;

use crate::world::{SERVER, channel, client, in_own_realm, keys, outcome, work};

/// Tells the process that is watched.
const WATCHED: &str = "COUNTERSIGN_TEST_WATCHED";
/// Files that are asked for where what matters begins and ends; there are none.
const MARKS: [&str; 2] = ["/nonexistent/begin", "/nonexistent/end"];
const PROOFS: usize = 20;

/// No lock and no file is in the way of an acceptor. What is left are looks of the Kerberos library
/// at the state of its settings and for plugins, of which it opens none.
#[test]
fn a_server_opens_no_file_and_takes_no_lock_while_it_judges_clients() {
    let fill = |kdc: &Kdc| {
        kdc.add(&["alice", SERVER]);
        kdc.keytab("server", &[SERVER]);
        kdc.ticket("alice", "alice", &[]);
    };
    in_own_realm(fill, |realm| {
        if env::var_os(WATCHED).is_some() {
            let keys = keys(realm, "server");
            let mut sides: Vec<_> = (0..=PROOFS)
                .map(|_| {
                    let mut client = client(realm, SERVER);
                    let mut request = Vec::new();
                    work(&mut client);
                    client.transmit(&mut request);
                    let server = Exchange::accept(keys.clone(), channel(1), Terms::default());
                    (client, server, request)
                })
                .collect();
            fs::remove_file(realm.path("server")).unwrap();
            // With the first one the library is loaded wholly.
            let (_, mut first, request) = sides.pop().unwrap();
            first.handle_input(&request);
            work(&mut first);
            let judge = |(_, server, request): &mut (Exchange, Exchange, Vec<u8>)| {
                server.handle_input(request);
                let judge = server.take_work().unwrap();
                assert!(judge.is_local());
                server.finish(judge.run());
            };
            let _ = fs::metadata(MARKS[0]);
            sides.iter_mut().for_each(judge);
            let _ = fs::metadata(MARKS[1]);
            for (mut client, mut server, _) in sides {
                let mut wire = Vec::new();
                server.transmit(&mut wire);
                client.handle_input(&wire);
                work(&mut client);
                wire.clear();
                client.transmit(&mut wire);
                server.handle_input(&wire);
                outcome(&mut server).unwrap();
            }
            return;
        }
        let trace = realm.path("trace");
        let thread = std::thread::current();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", "trace=%file,%desc,%network,futex", "-o"]).arg(&trace);
        strace.arg(env::current_exe().unwrap()).args(["--exact", thread.name().unwrap()]);
        let output = strace.arg("--nocapture").env(WATCHED, "1").output();
        let output = output.expect("strace is installed, as `cargo xtask setup --tests` does");
        assert!(output.status.success(), "{output:?}");
        let trace = fs::read_to_string(trace).unwrap();
        let (_, after) = trace.split_once(MARKS[0]).expect("it began");
        let (within, _) = after.split_once(MARKS[1]).expect("it ended");
        // The rest of the line of the first mark, and the begin of that of the last.
        let lines: Vec<&str> = within.lines().skip(1).collect();
        let calls = &lines[..lines.len() - 1];
        let settings = env::var("KRB5_CONFIG").unwrap();
        let is_a_look = |call: &str| {
            (call.contains("access(") || call.contains("stat")) && call.contains(&settings)
                || call.contains("/plugins/authdata") && call.contains("ENOENT")
        };
        let others: Vec<_> = calls.iter().filter(|call| !is_a_look(call)).collect();
        assert!(others.is_empty(), "{others:#?}");
        // It sees what there is.
        assert!(calls.len() >= PROOFS, "{calls:#?}");
        assert!(Path::new(&settings).exists());
    });
}
