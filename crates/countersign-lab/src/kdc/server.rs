//! The KDC as a process.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::realm::{Realm, found};
use crate::process::{Process, free_port};

/// A KDC of its own realm in a temporary folder. It listens on loopback only, needs no rights, and
/// ends when this is dropped, or with the process that started it.
#[derive(Debug)]
pub struct Kdc {
    realm: Realm,
    process: Process,
}

/// How long a program may take that does its work in a tenth of a second.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a server until it ends or our end of the pipe does, and removes its folder, which is the
/// first argument.
const SCRIPT: &str = r#"
exec 3<&0
folder=$1; shift
"$@" 3<&- & server=$!
(cat <&3; kill $server) >/dev/null 2>&1 & watch=$!
wait $server; code=$?
kill $watch 2>/dev/null
rm -rf -- "$folder"
exit $code
"#;

/// Starts a server that ends with this process, and whose folder then goes away.
pub(super) fn serve(realm: &Realm, folder: TempDir, server: &Command) -> Process {
    let mut shell = Command::new("sh");
    shell.args(["-c", SCRIPT, "server"]).arg(folder.path());
    shell.arg(server.get_program()).args(server.get_args()).envs(realm.environment());
    let process = Process::start(&mut shell).unwrap_or_else(|error| panic!("{error}"));
    // The shell removes it.
    let _ = folder.keep();
    process
}

/// Ends a server, and waits until its folder is gone.
pub(super) fn stop(process: &mut Process) {
    drop(process.take_input());
    // If it does not end by itself, it is killed with the process.
    let _ = process.wait(PATIENCE);
}

impl Kdc {
    /// Starts one for the realm `EXAMPLE.TEST`, with nobody in it.
    ///
    /// # Panics
    ///
    /// MIT's KDC is not installed, or does not start.
    pub fn start() -> Self {
        Self::start_realm("EXAMPLE.TEST")
    }

    /// Starts one for a realm, with nobody in it.
    ///
    /// # Panics
    ///
    /// MIT's KDC is not installed, or does not start.
    pub fn start_realm(name: &str) -> Self {
        // Somebody may take the free port before the KDC does.
        let mut failures = Vec::new();
        for _ in 0..5 {
            match Self::try_start(name) {
                Ok(kdc) => return kdc,
                Err(failure) => failures.push(failure),
            }
        }
        panic!("the KDC does not start: {}", failures.join("\n"));
    }

    fn try_start(name: &str) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("countersign-kdc-").tempdir();
        let folder = folder.expect("there is room for temporary files");
        let realm = Realm::new(folder.path(), name);
        configure(&realm, folder.path(), free_port());
        let words = ["create", "-s", "-r", name, "-P", "master"].map(AsRef::as_ref);
        let output = realm.run("kdb5_util", &words, "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kdb5_util: {said}");
        let mut server = Command::new(found("krb5kdc"));
        server.args(["-n", "-r", name]);
        let mut process = serve(&realm, folder, &server);
        match process.wait_for_line("commencing operation", PATIENCE) {
            Ok(_) => Ok(Self { realm, process }),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Deref for Kdc {
    type Target = Realm;

    fn deref(&self) -> &Realm {
        &self.realm
    }
}

impl Drop for Kdc {
    fn drop(&mut self) {
        stop(&mut self.process);
    }
}

fn configure(realm: &Realm, folder: &Path, port: u16) {
    // RC4 is let in, by a KDC that would not do so by itself, for services that have been given
    // nothing else: it is we who must refuse it.
    let (name, folder) = (realm.name(), folder.display());
    let client = format!(
        "[libdefaults]
  default_realm = {name}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
  forwardable = true
  allow_rc4 = true
  default_ccache_name = FILE:{folder}/cache
[realms]
  {name} = {{
    kdc = 127.0.0.1:{port}
  }}
[domain_realm]
  .example.test = {name}
  example.test = {name}
"
    );
    let server = format!(
        "[kdcdefaults]
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
[realms]
  {name} = {{
    database_name = {folder}/principal
    key_stash_file = {folder}/stash
    acl_file = {folder}/kadm5.acl
    max_life = 10h
    max_renewable_life = 1d
    supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal
  }}
[logging]
  kdc = STDERR
  default = STDERR
"
    );
    for (file, text) in [("krb5.conf", client.as_str()), ("kdc.conf", &server), ("kadm5.acl", "")] {
        fs::write(realm.path(file), text).expect("the folder is ours");
    }
}

#[cfg(test)]
mod tests {
    use super::Kdc;
    use std::thread;

    #[test]
    fn a_realm_gives_tickets_and_leaves_nothing_behind() {
        let kdc = Kdc::start();
        kdc.add(&["alice"]);
        kdc.ticket("alice", "cache", &[]);
        assert!(kdc.path("cache").exists());
        let folder = kdc.path("");
        drop(kdc);
        assert!(!folder.exists());
    }

    #[test]
    fn several_live_at_once() {
        let start = || {
            let kdc = Kdc::start_realm("OTHER.TEST");
            kdc.add(&["alice"]);
            kdc.ticket("alice", "cache", &[]);
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(start);
            }
        });
    }

    #[test]
    #[should_panic(expected = "kadmin.local")]
    fn a_command_that_fails_is_seen() {
        Kdc::start().administer("ktadd -norandkey -k /nonexistent/keytab nobody\n");
    }
}
