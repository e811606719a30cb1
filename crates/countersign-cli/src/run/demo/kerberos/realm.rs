//! A KDC of MIT Kerberos with a database of its own, in a temporary directory.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use countersign::Error;
use tempfile::TempDir;

use crate::failure::Failure;

pub(super) const SERVICE: &str = "postgres/db1.example.com";
pub(super) const OTHER: &str = "http/www.example.com";
const REALM: &str = "DEMO.EXAMPLE";

/// How long the KDC may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// The realm; its KDC ends with it.
#[derive(Debug)]
pub(super) struct Realm {
    kdc: Child,
    directory: TempDir,
}

impl Realm {
    /// Makes the database and starts the KDC, on the loopback interface only.
    ///
    /// # Errors
    ///
    /// If MIT's KDC is not installed: the message names the packages.
    pub(super) fn start() -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("countersign-kdc-").tempdir();
        let directory = directory.map_err(Failure::io("make a temporary directory"))?;
        let address = free_address().map_err(Failure::io("find a free port"))?;
        configure(directory.path(), address).map_err(Failure::io("configure the KDC"))?;
        let path = directory.path();
        run(path, "kdb5_util", &["create", "-s", "-r", REALM, "-P", "demo"], "")?;
        let mut command = tool(path, "krb5kdc");
        command.args(["-n", "-r", REALM]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let kdc = command.spawn().map_err(|error| missing("krb5kdc", error))?;
        let realm = Self { kdc, directory };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                return Err(Failure::io("start the KDC")(io::ErrorKind::TimedOut.into()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(realm)
    }

    /// Adds two services with a keytab each, and two users with tickets.
    pub(super) fn populate(&self) -> Result<(), Failure> {
        let at = |file: &str| self.directory().join(file).display().to_string();
        let mut commands = String::new();
        for principal in [SERVICE, OTHER, "alice", "bob"] {
            commands.push_str(&format!("addprinc -randkey {principal}\n"));
        }
        for (file, principal) in
            [("db1.keytab", SERVICE), ("www.keytab", OTHER), ("alice", "alice"), ("bob", "bob")]
        {
            commands.push_str(&format!("ktadd -norandkey -k {} {principal}\n", at(file)));
        }
        run(self.directory(), "kadmin.local", &["-r", REALM], &commands)?;
        for user in ["alice", "bob"] {
            let cache = format!("FILE:{}", at(&format!("{user}.tickets")));
            run(self.directory(), "kinit", &["-k", "-t", &at(user), "-c", &cache, user], "")?;
        }
        Ok(())
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns what a process in the realm has in its environment.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        environment(self.directory())
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kdc.kill();
        let _ = self.kdc.wait();
    }
}

fn environment(directory: &Path) -> Vec<(&'static str, OsString)> {
    let none = format!("FILE:{}", directory.join("no-tickets").display());
    vec![
        ("KRB5_CONFIG", directory.join("krb5.conf").into()),
        ("KRB5_KDC_PROFILE", directory.join("kdc.conf").into()),
        ("KRB5CCNAME", none.into()),
        ("LC_ALL", "C".into()),
    ]
}

/// A program of MIT Kerberos, also where only root looks.
fn tool(directory: &Path, program: &str) -> Command {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(Path::new);
    let found = folders.iter().map(|folder| folder.join(program)).find(|file| file.is_file());
    let mut command = Command::new(found.unwrap_or_else(|| PathBuf::from(program)));
    command.envs(environment(directory));
    command
}

fn run(directory: &Path, program: &str, words: &[&str], input: &str) -> Result<(), Failure> {
    let mut command = tool(directory, program);
    command.args(words.iter().map(OsStr::new));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| missing(program, error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever does not read has ended, and says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(Failure::io(format!("run {program}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).replace('\n', "; ");
    Err(Failure::io(format!("run {program}"))(io::Error::other(said)))
}

fn missing(program: &str, source: io::Error) -> Failure {
    let doing =
        format!("start {program} (Debian packages krb5-kdc, krb5-admin-server and krb5-user)");
    Failure::Library(Error::Io { doing, source })
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn configure(directory: &Path, address: SocketAddr) -> io::Result<()> {
    let shown = directory.display();
    let client = format!(
        "[libdefaults]\n  default_realm = {REALM}\n  dns_lookup_kdc = false\n  \
         dns_lookup_realm = false\n  dns_canonicalize_hostname = false\n  rdns = false\n  \
         udp_preference_limit = 1\n\
         [realms]\n  {REALM} = {{\n    kdc = {address}\n  }}\n"
    );
    let server = format!(
        "[kdcdefaults]\n  kdc_listen = {address}\n  kdc_tcp_listen = {address}\n\
         [realms]\n  {REALM} = {{\n    database_name = {shown}/principal\n    \
         key_stash_file = {shown}/stash\n    acl_file = {shown}/acl\n    \
         supported_enctypes = aes256-cts-hmac-sha1-96:normal\n  }}\n\
         [logging]\n  kdc = FILE:{shown}/kdc.log\n  default = FILE:{shown}/kdc.log\n"
    );
    fs::write(directory.join("krb5.conf"), client)?;
    fs::write(directory.join("kdc.conf"), server)?;
    fs::write(directory.join("acl"), "")
}
