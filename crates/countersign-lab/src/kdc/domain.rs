//! An Active Directory domain: Samba as its controller, of which only the KDC runs.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::realm::{Realm, found};
use super::server::{serve, stop};
use crate::process::{Process, free_port};

/// A domain controller in a temporary folder. It listens on loopback only, needs no rights, and
/// ends when this is dropped, or with the process that started it. Making one takes some seconds.
#[derive(Debug)]
pub struct Domain {
    realm: Realm,
    process: Process,
}

const REALM: &str = "AD.EXAMPLE.TEST";
const PATIENCE: Duration = Duration::from_secs(120);

/// samba-tool(8) for many commands, one a line, in one process, since each start of it takes half
/// a second; without the one step of a provision that needs root, on a share that nobody serves.
/// One command is ours: `aes ACCOUNT` makes the KDC use AES with an account, which it does not by
/// itself when the account is new.
const TOOL: &str = "
import shlex, sys, warnings
warnings.simplefilter('ignore')
import ldb, samba.provision
from samba.auth import system_session
from samba.netcmd.main import cmd_sambatool
from samba.param import LoadParm
from samba.samdb import SamDB
samba.provision.setsysvolacl = lambda *a, **k: None

def aes(account, folder):
    lp = LoadParm()
    lp.load(folder + '/etc/smb.conf')
    db = SamDB(folder + '/private/sam.ldb', session_info=system_session(lp), lp=lp)
    found = db.search(expression='(sAMAccountName=%s)' % account)[0]
    change = ldb.Message(found.dn)
    kind = 'msDS-SupportedEncryptionTypes'
    change[kind] = ldb.MessageElement('24', ldb.FLAG_MOD_REPLACE, kind)
    db.modify(change)
    return 0

for line in sys.stdin:
    words = shlex.split(line)
    if words[:1] == ['aes']:
        code = aes(words[1], sys.argv[1])
    else:
        code = cmd_sambatool()._run('samba-tool', *words) if words else 0
    if code:
        sys.exit(f'{line.strip()}: {code}')
";

impl Domain {
    /// Makes a domain of the realm `AD.EXAMPLE.TEST`, runs commands of samba-tool(8) in it, one a
    /// line, and starts its KDC. `{db}` in a command is how it finds the database, `{conf}` the
    /// settings alone, `{dir}` the folder; `aes ACCOUNT` lets an account have AES keys. What they say is in the file `said`.
    ///
    /// # Panics
    ///
    /// Samba is not installed, or a command fails.
    pub fn start(commands: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("countersign-domain-").tempdir();
        let folder = folder.expect("there is room for temporary files");
        let (path, port) = (folder.path().to_owned(), free_port());
        let realm = Realm::new(&path, REALM);
        configure(&realm, port);
        let output = realm.run(
            // Debian's: another one on the path would not have Samba's modules.
            "/usr/bin/python3",
            &["-c".as_ref(), TOOL.as_ref(), path.as_os_str()],
            &format!("{}\n{}", provision(&path, port), commands_in(&path, commands)),
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "samba-tool: {said}");
        fs::write(realm.path("said"), output.stdout).expect("the folder is ours");
        let mut server = Command::new(found("samba"));
        server.args(["-F", "--no-process-group", "-M", "single"]);
        server.arg("-s").arg(path.join("etc/smb.conf"));
        server.arg(format!("--log-basename={}/logs", path.display()));
        let mut process = serve(&realm, folder, &server);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        process.wait_for_port(address, PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        Self { realm, process }
    }
}

impl Deref for Domain {
    type Target = Realm;

    fn deref(&self) -> &Realm {
        &self.realm
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        stop(&mut self.process);
    }
}

fn provision(path: &Path, port: u16) -> String {
    let folder = path.display();
    for part in ["run", "logs"] {
        fs::create_dir(path.join(part)).expect("the folder is ours");
    }
    // What the host's own Samba is configured to be is none of our business.
    fs::write(path.join("empty.conf"), "").expect("the folder is ours");
    let options = [
        format!("krb5 port={port}"),
        // Zero would be the number of the true service.
        format!("kpasswd port={}", free_port()),
        "server services=kdc".to_owned(),
        "interfaces=127.0.0.1/8".to_owned(),
        "bind interfaces only=yes".to_owned(),
        format!("pid directory={folder}/run"),
        format!("ncalrpc dir={folder}/run/ncalrpc"),
        format!("winbindd socket directory={folder}/run/winbindd"),
        format!("ntp signd socket directory={folder}/run/ntp"),
        format!("log file={folder}/log"),
        "usershare path=".to_owned(),
        "disable netbios=yes".to_owned(),
        "logging=file".to_owned(),
    ];
    let mut line = format!(
        "domain provision --configfile={folder}/empty.conf --targetdir={folder} --realm={REALM} \
         --domain=ADX --server-role=dc --dns-backend=NONE --host-name=dc1 --host-ip=127.0.0.1 \
         --adminpass=Adm1n.Passw0rd --krbtgtpass=Kt9.Passw0rd.of.Nobody --use-rfc2307"
    );
    for option in options {
        let _ = write!(line, " --option='{option}'");
    }
    line
}

fn commands_in(path: &Path, commands: &str) -> String {
    let folder = path.display().to_string();
    let settings = format!("-s {folder}/etc/smb.conf");
    let database = format!("-H {folder}/private/sam.ldb {settings}");
    commands.replace("{db}", &database).replace("{conf}", &settings).replace("{dir}", &folder)
}

fn configure(realm: &Realm, port: u16) {
    let name = realm.name();
    let text = format!(
        "[libdefaults]
  default_realm = {name}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
  forwardable = true
[realms]
  {name} = {{
    kdc = 127.0.0.1:{port}
  }}
[domain_realm]
  .example.test = {name}
"
    );
    fs::write(realm.path("krb5.conf"), text).expect("the folder is ours");
}
