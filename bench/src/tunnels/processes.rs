//! The programs themselves: their settings, start and end.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use countersign_lab::free_port;
use rustix::process::{Pid, Signal, kill_process};

use crate::material::{HOST, Material};
use crate::peers::Peer;

/// Where Debian puts nginx, and what lets it carry streams (package libnginx-mod-stream).
const NGINX: &str = "usr/sbin/nginx";
const NGINX_STREAM: &str = "usr/lib/nginx/modules/ngx_stream_module.so";

/// How long a program may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// Two processes in a row, or nothing where the peer is the direct way.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// Where plain clients connect to.
    pub(crate) entry: SocketAddr,
    ends: Vec<End>,
}

/// One process, which is ended when this is dropped.
#[derive(Debug)]
struct End {
    child: Child,
    log: PathBuf,
}

/// Where the parts of a tunnel are.
struct Places<'a> {
    material: &'a Material,
    entry: SocketAddr,
    middle: SocketAddr,
    sink: SocketAddr,
}

impl Tunnel {
    /// Starts a tunnel to `sink`, and waits until it is open.
    ///
    /// # Errors
    ///
    /// That the program is not there, or what it said when it did not listen.
    pub(crate) fn start(material: &Material, peer: Peer, sink: SocketAddr) -> io::Result<Self> {
        let port = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let places = Places { material, entry: port(), middle: port(), sink };
        let (server, client) = match peer {
            Peer::Tcp => return Ok(Self { entry: sink, ends: Vec::new() }),
            Peer::Countersign => places.countersign()?,
            Peer::Haproxy => places.haproxy()?,
            Peer::Nginx => places.nginx()?,
            Peer::Stunnel => places.stunnel()?,
            Peer::TokioRelay => places.relay()?,
            other => return Err(io::Error::other(format!("{other} is no tunnel"))),
        };
        let at = &material.at;
        let server = End::start(server, at.join("server.log"), places.middle)?;
        let client = End::start(client, at.join("client.log"), places.entry)?;
        Ok(Self { entry: places.entry, ends: vec![server, client] })
    }

    /// Returns the process ids of both ends.
    ///
    /// # Errors
    ///
    /// That an end is no longer there.
    pub(crate) fn ends(&self) -> io::Result<Vec<u32>> {
        let mut ids = Vec::new();
        for end in &self.ends {
            ids.push(end.child.id());
            ids.extend(children(end.child.id())?);
        }
        Ok(ids)
    }
}

impl Places<'_> {
    fn countersign(&self) -> io::Result<(Command, Command)> {
        // Built beside us by `cargo xtask bench`.
        let program = std::env::current_exe()?.with_file_name("countersign");
        if !program.is_file() {
            return Err(io::Error::other(format!(
                "{} is not there; `cargo xtask bench` builds it",
                program.display()
            )));
        }
        let command = || {
            let mut command = Command::new(&program);
            // Nothing of this host's configuration.
            let home = &self.material.at;
            command.env_clear().env("HOME", home).env("COUNTERSIGN_HOME", home.join("store"));
            command
        };
        let (mut server, mut client) = (command(), command());
        server.args(["serve", HOST, "--listen", &self.middle.to_string()]);
        server.args(["--to", &self.sink.to_string()]).arg("--certificate");
        server.arg(&self.material.chain).arg("--key").arg(&self.material.key);
        client.args(["forward", "--listen", &self.entry.to_string()]);
        client.args(["--to", &self.middle.to_string(), "--name", HOST]);
        client.arg("--trust").arg(&self.material.root);
        Ok((server, client))
    }

    fn haproxy(&self) -> io::Result<(Command, Command)> {
        let program = installed("haproxy", "haproxy")?;
        let Self { material, entry, middle, sink } = self;
        let common = "global\n  maxconn 8000\ndefaults\n  mode tcp\n  timeout connect 5s\n  \
            timeout client 1h\n  timeout server 1h\nlisten tunnel\n";
        let (both, root) = (material.both.display(), material.root.display());
        let server = format!(
            "{common}  bind {middle} ssl crt {both} ssl-min-ver TLSv1.3\n  server sink {sink}\n"
        );
        let client = format!(
            "{common}  bind {entry}\n  server end {middle} ssl verify required ca-file {root} \
             sni str({HOST}) verifyhost {HOST} ssl-min-ver TLSv1.3\n"
        );
        let command = |name: &str, text: String| {
            let mut command = Command::new(&program);
            command.args(["-db", "-f"]).arg(written(material, name, text)?);
            Ok::<_, io::Error>(command)
        };
        Ok((command("haproxy-server.cfg", server)?, command("haproxy-client.cfg", client)?))
    }

    fn nginx(&self) -> io::Result<(Command, Command)> {
        let root = nginx()?;
        let (program, stream) = (root.join(NGINX), root.join(NGINX_STREAM));
        let Self { material, entry, middle, sink } = self;
        let (chain, key, root) =
            (material.chain.display(), material.key.display(), material.root.display());
        let server = format!(
            "listen {middle} ssl; ssl_certificate {chain}; ssl_certificate_key {key};\n  \
             ssl_protocols TLSv1.3; proxy_pass {sink};"
        );
        let client = format!(
            "listen {entry}; proxy_pass {middle}; proxy_ssl on; proxy_ssl_protocols TLSv1.3;\n  \
             proxy_ssl_verify on; proxy_ssl_trusted_certificate {root};\n  \
             proxy_ssl_name {HOST}; proxy_ssl_server_name on;"
        );
        let command = |side: &str, what: String| {
            let pid = material.at.join(format!("nginx-{side}.pid"));
            let text = format!(
                "load_module {};\ndaemon off;\nworker_processes auto;\npid {};\n\
                 error_log stderr error;\nevents {{ worker_connections 8000; }}\n\
                 stream {{ server {{\n  {what}\n}} }}\n",
                stream.display(),
                pid.display()
            );
            let mut command = Command::new(&program);
            command.arg("-p").arg(&material.at).args(["-e", "stderr", "-c"]);
            command.arg(written(material, &format!("nginx-{side}.conf"), text)?);
            Ok::<_, io::Error>(command)
        };
        Ok((command("server", server)?, command("client", client)?))
    }

    /// This program, as one end or the other.
    fn relay(&self) -> io::Result<(Command, Command)> {
        let program = std::env::current_exe()?;
        let command = |side: &str, listen: SocketAddr, to: SocketAddr| {
            let mut command = Command::new(&program);
            command.args(["--child", "relay", side]).arg(&self.material.at);
            command.args([listen.to_string(), to.to_string()]);
            command
        };
        Ok((command("server", self.middle, self.sink), command("client", self.entry, self.middle)))
    }

    fn stunnel(&self) -> io::Result<(Command, Command)> {
        let program = installed("stunnel4", "stunnel4")?;
        let Self { material, entry, middle, sink } = self;
        // In the foreground; and it would wait for the peer's end after ours.
        let common = "foreground = yes\npid =\ndebug = err\n[tunnel]\nsslVersionMin = TLSv1.3\n\
            TIMEOUTclose = 0\n";
        let (chain, key, root) =
            (material.chain.display(), material.key.display(), material.root.display());
        let server =
            format!("{common}accept = {middle}\nconnect = {sink}\ncert = {chain}\nkey = {key}\n");
        let client = format!(
            "{common}client = yes\naccept = {entry}\nconnect = {middle}\nCAfile = {root}\n\
             verifyChain = yes\ncheckHost = {HOST}\n"
        );
        let command = |name: &str, text: String| {
            let mut command = Command::new(&program);
            command.arg(written(material, name, text)?);
            Ok::<_, io::Error>(command)
        };
        Ok((command("stunnel-server.conf", server)?, command("stunnel-client.conf", client)?))
    }
}

impl End {
    /// Starts one, and waits until it listens.
    fn start(mut command: Command, log: PathBuf, listens: SocketAddr) -> io::Result<Self> {
        // To a file, so that nobody has to read along while time is taken.
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn()?;
        let mut end = Self { child, log };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(listens).is_err() {
            let has_ended = end.child.try_wait()?;
            if has_ended.is_some() || Instant::now() >= deadline {
                let said = fs::read_to_string(&end.log)?;
                let program = command.get_program().to_string_lossy();
                let what = format!("{program} does not listen at {listens}; {}", said.trim());
                return Err(io::Error::other(what));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(end)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // Some have others do the work, who would go on without them.
        let workers = children(self.child.id()).unwrap_or_default();
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for worker in workers.into_iter().filter_map(|id| Pid::from_raw(id.try_into().ok()?)) {
            let _ = kill_process(worker, Signal::KILL);
        }
    }
}

/// Returns the processes that a process has started and that are still there (proc(5),
/// `/proc/pid/task/tid/children`).
fn children(id: u32) -> io::Result<Vec<u32>> {
    let mut ids = Vec::new();
    for task in fs::read_dir(format!("/proc/{id}/task"))? {
        let text = fs::read_to_string(task?.path().join("children"))?;
        ids.extend(text.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    Ok(ids)
}

/// Finds a program, also where a user's path does not lead.
fn installed(program: &str, package: &str) -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    let mut candidates = folders.map(|folder| folder.join(program));
    candidates.find(|path: &PathBuf| path.is_file()).ok_or_else(|| {
        io::Error::other(format!("{program} is not installed (Debian package {package})"))
    })
}

/// Finds the folder below which nginx is: where `cargo xtask bench` has unpacked it beside us, or
/// where it is installed.
fn nginx() -> io::Result<PathBuf> {
    let ours = std::env::current_exe()?;
    let unpacked = ours.ancestors().nth(2).map(|target| target.join("tools/nginx"));
    let mut places = unpacked.into_iter().chain([PathBuf::from("/")]);
    let has_both = |root: &PathBuf| [NGINX, NGINX_STREAM].iter().all(|it| root.join(it).is_file());
    places.find(has_both).ok_or_else(|| {
        io::Error::other(
            "nginx is not there (Debian packages nginx and libnginx-mod-stream, which \
             `cargo xtask bench` unpacks)",
        )
    })
}

/// Returns which versions of others there are, or why there is none.
pub(crate) fn versions() -> [(&'static str, io::Result<String>); 3] {
    let of = |program: io::Result<PathBuf>, flag| version(&program?, flag);
    [
        ("haproxy", of(installed("haproxy", "haproxy"), "-v")),
        ("nginx", of(nginx().map(|root| root.join(NGINX)), "-v")),
        ("stunnel4", of(installed("stunnel4", "stunnel4"), "-version")),
    ]
}

/// Returns what a program says of its version in its first line.
fn version(program: &Path, flag: &str) -> io::Result<String> {
    let output = Command::new(program).arg(flag).output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let mut words = said.split(|it: char| it.is_whitespace() || it == '/');
    let version = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    version.map(str::to_owned).ok_or_else(|| io::Error::other("it does not say its version"))
}

fn written(material: &Material, name: &str, text: String) -> io::Result<PathBuf> {
    let path = Path::new(&material.at).join(name);
    fs::write(&path, text)?;
    Ok(path)
}
