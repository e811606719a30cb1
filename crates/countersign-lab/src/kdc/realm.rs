//! A realm whose database is in a folder: principals, keytabs, tickets.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A realm of the laboratory, as whoever administers it sees it. Its KDC belongs to a
/// [`Kdc`](super::Kdc), perhaps of another process.
#[derive(Clone, Debug)]
pub struct Realm {
    directory: PathBuf,
    name: String,
}

/// Tells a process which realm it lives in.
pub(super) const DIRECTORY: &str = "COUNTERSIGN_LAB_REALM_DIRECTORY";
pub(super) const NAME: &str = "COUNTERSIGN_LAB_REALM_NAME";

impl Realm {
    pub(super) fn new(directory: &Path, name: &str) -> Self {
        Self { directory: directory.to_owned(), name: name.to_owned() }
    }

    /// Returns the realm of this process, if it was started in one.
    pub fn of_environment() -> Option<Self> {
        let (directory, name) = (env::var_os(DIRECTORY)?, env::var(NAME).ok()?);
        Some(Self { directory: directory.into(), name })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a path in its folder, which goes away with the KDC.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// Returns a path in its folder as text.
    pub fn file(&self, file: &str) -> String {
        self.path(file).to_string_lossy().into_owned()
    }

    /// Returns what a process needs in its environment to live in the realm. It has no ticket and
    /// no keytab until a test gives it some.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            (DIRECTORY, self.directory.clone().into()),
            (NAME, self.name.clone().into()),
            ("KRB5_CONFIG", self.path("krb5.conf").into()),
            ("KRB5_KDC_PROFILE", self.path("kdc.conf").into()),
            ("KRB5CCNAME", format!("FILE:{}", self.file("cache")).into()),
            ("KRB5_KTNAME", format!("FILE:{}", self.file("default.keytab")).into()),
            ("KRB5_CLIENT_KTNAME", format!("FILE:{}", self.file("client.keytab")).into()),
        ]
    }

    /// Runs commands of kadmin.local(8), one a line.
    ///
    /// # Panics
    ///
    /// One of them fails.
    pub fn administer(&self, commands: &str) {
        let output = self.run("kadmin.local", &["-r".as_ref(), self.name.as_ref()], commands);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // It ends well even where a command does not; but it says nothing else when all is well.
        let is_idle = |line: &str| line.is_empty() || line.contains("(info):");
        let is_fine = |line: &str| is_idle(line) || line.starts_with("No policy specified for ");
        let wrong = said.lines().find(|line| !is_fine(line));
        assert!(wrong.is_none(), "kadmin.local: {wrong:?} in answer to\n{commands}\n{said}");
    }

    /// Adds principals with random keys.
    ///
    /// # Panics
    ///
    /// The database does not take one.
    pub fn add(&self, principals: &[&str]) {
        let lines = principals.iter().map(|name| format!("addprinc -randkey {name}\n"));
        self.administer(&lines.collect::<String>());
    }

    /// Writes a keytab with the keys that the principals have now, and returns its path. Keys are
    /// added to one that is there.
    ///
    /// # Panics
    ///
    /// There is no such principal.
    pub fn keytab(&self, file: &str, principals: &[&str]) -> String {
        let path = self.file(file);
        let names = principals.join(" ");
        self.administer(&format!("ktadd -norandkey -k {path} {names}\n"));
        path
    }

    /// Gives a principal a new key, with the next version.
    ///
    /// # Panics
    ///
    /// There is no such principal.
    pub fn rotate(&self, principal: &str) {
        self.administer(&format!("cpw -randkey -keepold {principal}\n"));
    }

    /// Gets a ticket with a key of the database, with options of kinit(1), and returns the name of
    /// the cache that it is in.
    ///
    /// # Panics
    ///
    /// There is no such principal, or the KDC does not answer.
    pub fn ticket(&self, principal: &str, cache: &str, options: &[&str]) -> String {
        let keytab = self.keytab(&format!("{cache}.client.keytab"), &[principal]);
        self.ticket_by_keytab(&keytab, principal, cache, options)
    }

    /// The same with a key in a keytab.
    ///
    /// # Panics
    ///
    /// The key is not the principal's, or the KDC does not answer.
    pub fn ticket_by_keytab(
        &self,
        keytab: &str,
        principal: &str,
        cache: &str,
        options: &[&str],
    ) -> String {
        let cache = format!("FILE:{}", self.file(cache));
        let mut words: Vec<&OsStr> = options.iter().map(AsRef::as_ref).collect();
        words.extend(["-k", "-t", keytab, "-c", &cache, principal].map(OsStr::new));
        let output = self.run("kinit", &words, "");
        assert!(output.status.success(), "kinit: {}", String::from_utf8_lossy(&output.stderr));
        cache
    }

    /// Gets a ticket for a service into a cache that has a principal's first ticket.
    ///
    /// # Panics
    ///
    /// The KDC does not give it.
    pub fn service_ticket(&self, cache: &str, service: &str) {
        let cache = format!("FILE:{}", self.file(cache));
        let output = self.run("kvno", &["-c", &cache, service].map(OsStr::new), "");
        assert!(output.status.success(), "kvno: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Takes the key of a version out of a keytab.
    ///
    /// # Panics
    ///
    /// It is not there.
    pub fn forget_key(&self, keytab: &str, principal: &str, version: u32) {
        let path = self.file(keytab);
        self.administer(&format!("ktremove -k {path} {principal} {version}\n"));
    }

    /// Writes another `krb5.conf`, in which a part of the realm's is something else, and returns
    /// its path.
    ///
    /// # Panics
    ///
    /// There is no such part.
    pub fn other_configuration(&self, file: &str, part: &str, instead: &str) -> String {
        let text = fs::read_to_string(self.path("krb5.conf")).expect("the realm has one");
        assert!(text.contains(part), "{part:?} is not in\n{text}");
        let path = self.file(file);
        fs::write(&path, text.replace(part, instead)).expect("the folder is ours");
        path
    }

    /// Runs a program of MIT Kerberos in the realm.
    pub(super) fn run(&self, program: &str, words: &[&OsStr], input: &str) -> Output {
        let mut command = Command::new(found(program));
        command.args(words).envs(self.environment()).env("LC_ALL", "C");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut pipe = child.stdin.take().expect("it was asked for");
        // Who does not read has ended, and says why.
        let _ = pipe.write_all(input.as_bytes());
        drop(pipe);
        child.wait_with_output().unwrap_or_else(|error| panic!("{program}: {error}"))
    }
}

/// Finds a program also where only root looks, as the KDC's are.
pub(super) fn found(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let mut files = folders.map(|folder| folder.join(program));
    files.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!(
            "{program} is not installed; `cargo xtask setup --tests` installs \
             krb5-kdc, krb5-admin-server, krb5-user and what else the tests need"
        )
    })
}
