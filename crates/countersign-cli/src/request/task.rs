//! What each command is to do.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use countersign::PeerName;
use countersign::core::{SecurityFlags, SecurityProtocol, SecuritySettings};
use countersign::identity::DEFAULT_VALIDITY;

use super::{Address, HostRequest, Own, peer_name};
use crate::args::{
    Arguments, ClientOptions, Command, ConnectArguments, DatagramOptions, ExplainArguments,
    ForwardArguments, GenerateKind, IdentityCommand, ServeArguments,
};
use crate::failure::Failure;

/// What the command is to do.
#[derive(Debug)]
pub(crate) enum Task {
    Connect(Connect),
    Demo(Demo),
    Doctor(Doctor),
    Explain(Explain),
    ExplainPeer(ExplainPeer),
    Forward(Forward),
    Generate(Generate),
    Identity { home: Option<PathBuf>, identity: Identity },
    Serve(Serve),
}

/// What to show.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Demo {
    Certificates,
    Kerberos,
}

/// Join stdin and stdout to a peer.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) host: HostRequest,
    pub(crate) dial: Dial,
    pub(crate) carried: Carried<Linger>,
}

/// What is carried, and what must be known besides if it is datagrams.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Carried<T> {
    Datagrams(T),
    Streams,
}

/// How long to wait for more datagrams once there are none to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linger(pub(crate) Duration);

/// How long somebody may be silent before he is forgotten.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle(pub(crate) Duration);

/// How long connections of a tunnel may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long both sides may be silent; `None` is for ever.
    pub(crate) idle: Option<Duration>,
    /// How long those may go on that are there when the command is to stop.
    pub(crate) drain: Duration,
}

/// Where to connect to, and who must be there.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) name: PeerName,
    pub(crate) address: Address,
    pub(crate) settings: SecuritySettings,
    pub(crate) timeout: Option<Duration>,
    /// TLS 1.2 was asked for, which policy may forbid.
    pub(crate) wants_tls12: bool,
}

/// Hand authenticated clients to something.
#[derive(Debug)]
pub(crate) struct Serve {
    pub(crate) host: HostRequest,
    pub(crate) name: PeerName,
    pub(crate) listen: Address,
    pub(crate) service: Service,
    pub(crate) carried: Carried<Idle>,
    pub(crate) is_once: bool,
    pub(crate) max_connections: u32,
    pub(crate) patience: Patience,
}

/// What clients reach.
#[derive(Clone, Debug)]
pub(crate) enum Service {
    Echo,
    Program { program: OsString, arguments: Vec<OsString>, rights: Rights },
    Relay(Address),
}

/// As whom a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// As the client's local account.
    OfTheClient,
    /// As we do.
    Ours,
}

/// Let plain programs reach a secured peer.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) host: HostRequest,
    pub(crate) listen: Address,
    pub(crate) dial: Dial,
    pub(crate) carried: Carried<Idle>,
    pub(crate) max_connections: u32,
    pub(crate) patience: Patience,
}

/// Change or show the store.
#[derive(Debug)]
pub(crate) enum Identity {
    Export { name: Option<PeerName>, include_key: bool },
    Init,
    Issue { names: Vec<PeerName>, validity: Duration },
    Show,
    Trust { file: PathBuf },
}

/// Show what would be done for an address.
#[derive(Debug)]
pub(crate) struct Explain {
    pub(crate) host: HostRequest,
    pub(crate) address: SocketAddr,
    pub(crate) is_listening: bool,
    pub(crate) is_datagrams: bool,
    pub(crate) name: Option<PeerName>,
    pub(crate) settings: SecuritySettings,
}

/// Show who acts for a peer.
#[derive(Debug)]
pub(crate) struct ExplainPeer {
    pub(crate) host: HostRequest,
    pub(crate) peer: PeerName,
}

/// Check this host.
#[derive(Debug)]
pub(crate) struct Doctor {
    pub(crate) host: HostRequest,
}

/// Write pages about the command itself.
#[derive(Debug)]
pub(crate) enum Generate {
    Completions(PathBuf),
    Manual(PathBuf),
}

impl Task {
    /// Says what the command line means.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] for what is no name, address or pattern.
    pub(crate) fn new(typed: Arguments) -> Result<Self, Failure> {
        let home = typed.shared.home;
        Ok(match typed.command {
            Command::Connect(typed) => Self::Connect(Connect::new(home, typed)?),
            Command::Demo(typed) => {
                Self::Demo(if typed.kerberos { Demo::Kerberos } else { Demo::Certificates })
            }
            Command::Doctor(typed) => {
                let host = HostRequest::new(home, typed.policy).with_tickets(typed.tickets);
                Self::Doctor(Doctor { host: host.with_keys(typed.keytab) })
            }
            Command::Explain(typed) => Self::explain(home, typed)?,
            Command::Forward(typed) => Self::Forward(Forward::new(home, typed)?),
            Command::Generate(typed) => Self::Generate(match typed.kind {
                GenerateKind::Completions { directory } => Generate::Completions(directory),
                GenerateKind::Man { directory } => Generate::Manual(directory),
            }),
            Command::Identity(typed) => {
                Self::Identity { home, identity: Identity::new(typed.command)? }
            }
            Command::Serve(typed) => Self::Serve(Serve::new(home, typed)?),
        })
    }
}

impl Connect {
    fn new(home: Option<PathBuf>, typed: ConnectArguments) -> Result<Self, Failure> {
        let carried = if typed.udp {
            check_datagrams(&typed.options)?;
            Carried::Datagrams(Linger(Duration::from_millis(u64::from(typed.linger_ms))))
        } else {
            Carried::Streams
        };
        Ok(Self {
            carried,
            dial: Dial::new(&typed.name, &typed.address, &typed.options)?,
            host: HostRequest::of_client(home, typed.options)?,
        })
    }
}

impl Carried<Idle> {
    fn new(typed: &DatagramOptions) -> Self {
        if !typed.udp {
            return Self::Streams;
        }
        Self::Datagrams(Idle(typed.idle_ms.map_or(FORGOTTEN, milliseconds)))
    }
}

impl Patience {
    fn new(typed: &DatagramOptions, drain_ms: Option<u32>) -> Self {
        let drain = drain_ms.map_or(DRAIN, |ms| Duration::from_millis(u64::from(ms)));
        Self { idle: typed.idle_ms.map(milliseconds), drain }
    }
}

/// How long who sends datagrams may be silent, unless something else is asked for.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// How long connections may take to end, unless something else is asked for.
const DRAIN: Duration = Duration::from_secs(10);

fn milliseconds(number: NonZeroU32) -> Duration {
    Duration::from_millis(u64::from(number.get()))
}

impl Dial {
    fn new(name: &str, address: &str, options: &ClientOptions) -> Result<Self, Failure> {
        Ok(Self {
            name: peer_name("name", name)?,
            address: Address::to_connect(address)?,
            settings: settings(options.danger_allow_insecure)?,
            timeout: options.timeout_ms.map(|ms| Duration::from_millis(u64::from(ms.get()))),
            wants_tls12: options.danger_allow_tls12,
        })
    }
}

impl Serve {
    fn new(home: Option<PathBuf>, typed: ServeArguments) -> Result<Self, Failure> {
        let name = peer_name("name", &typed.name)?;
        if let PeerName::User(_) = name {
            let what = format!("{name} is a user, and users do not listen");
            return Err(Failure::usage(what, "name a host, class/host or spiffe://domain/path"));
        }
        let host = HostRequest::of_server(home, &name, &typed)?;
        let carried = Carried::new(&typed.datagrams);
        if typed.datagrams.udp && !typed.exec.is_empty() {
            let what = "--exec cannot be used with --udp: a program reads a stream, not datagrams";
            return Err(Failure::usage(what, "name a plain UDP service with --to, or use --echo"));
        }
        if typed.datagrams.udp && typed.once {
            let what = "--once cannot be used with --udp: datagrams have no end to wait for";
            return Err(Failure::usage(what, "leave one of them out"));
        }
        if typed.impersonate && typed.exec.is_empty() {
            let what = "--impersonate needs --exec: only a program can run as the client";
            return Err(Failure::usage(what, "name a program with --exec, or leave it out"));
        }
        if !typed.exec.is_empty() && (typed.datagrams.idle_ms.is_some() || typed.drain_ms.is_some())
        {
            let what =
                "--idle-ms and --drain-ms cannot be used with --exec: a program ends by itself";
            return Err(Failure::usage(what, "leave them out"));
        }
        let patience = Patience::new(&typed.datagrams, typed.drain_ms);
        let rights = if typed.impersonate { Rights::OfTheClient } else { Rights::Ours };
        let mut words = typed.exec.into_iter();
        let service = match (words.next(), typed.to) {
            (Some(program), _) => Service::Program { program, arguments: words.collect(), rights },
            (None, Some(to)) => Service::Relay(Address::to_connect(&to)?),
            (None, None) => Service::Echo,
        };
        Ok(Self {
            host,
            name,
            listen: Address::to_listen(&typed.listen)?,
            service,
            carried,
            is_once: typed.once,
            max_connections: typed.max_connections.get(),
            patience,
        })
    }
}

impl Forward {
    fn new(home: Option<PathBuf>, typed: ForwardArguments) -> Result<Self, Failure> {
        if typed.datagrams.udp {
            check_datagrams(&typed.options)?;
        }
        Ok(Self {
            carried: Carried::new(&typed.datagrams),
            patience: Patience::new(&typed.datagrams, typed.drain_ms),
            listen: Address::to_listen(&typed.listen)?,
            dial: Dial::new(&typed.name, &typed.to, &typed.options)?,
            host: HostRequest::of_client(home, typed.options)?,
            max_connections: typed.max_connections.get(),
        })
    }
}

impl Identity {
    fn new(typed: IdentityCommand) -> Result<Self, Failure> {
        Ok(match typed {
            IdentityCommand::Export(typed) => {
                let name = typed.name.map(|name| peer_name("name", &name)).transpose()?;
                Self::Export { name, include_key: typed.include_key }
            }
            IdentityCommand::Init => Self::Init,
            IdentityCommand::Issue(typed) => {
                let names = typed.names.iter().map(|name| peer_name("name", name));
                const DAY: u64 = 24 * 60 * 60;
                let days = typed.days.map(|days| Duration::from_secs(u64::from(days.get()) * DAY));
                let validity = days.unwrap_or(DEFAULT_VALIDITY);
                Self::Issue { names: names.collect::<Result<_, _>>()?, validity }
            }
            IdentityCommand::Show => Self::Show,
            IdentityCommand::Trust(typed) => Self::Trust { file: typed.file },
        })
    }
}

impl Task {
    fn explain(home: Option<PathBuf>, mut typed: ExplainArguments) -> Result<Self, Failure> {
        match (typed.peer.take(), typed.address.take()) {
            (None, Some(address)) => Ok(Self::Explain(Explain::new(home, &address, typed)?)),
            (Some(peer), _) => Ok(Self::ExplainPeer(ExplainPeer {
                peer: peer_name("--peer", &peer)?,
                host: HostRequest::new(home, typed.policy).trusting(typed.trust),
            })),
            (None, None) => {
                let what = "there is neither an address nor --peer";
                Err(Failure::usage(what, "say what to explain"))
            }
        }
    }
}

impl Explain {
    fn new(home: Option<PathBuf>, address: &str, typed: ExplainArguments) -> Result<Self, Failure> {
        if typed.udp {
            check_dangers(typed.danger_allow_insecure, false)?;
        }
        let host = HostRequest::new(home, typed.policy).trusting(typed.trust);
        let mut host = host.with_tickets(typed.tickets);
        if let Some(name) = typed.own_name {
            host.own = Own::Proving(peer_name("--as", &name)?);
        }
        Ok(Self {
            host,
            address: Address::numeric(address)?,
            is_listening: typed.listen,
            is_datagrams: typed.udp,
            name: typed.name.map(|name| peer_name("name", &name)).transpose()?,
            settings: settings(typed.danger_allow_insecure)?,
        })
    }
}

/// Datagrams are DTLS 1.2 or nothing, so there is no danger to ask for.
fn check_datagrams(options: &ClientOptions) -> Result<(), Failure> {
    check_dangers(options.danger_allow_insecure, options.danger_allow_tls12)
}

fn check_dangers(insecure: bool, tls12: bool) -> Result<(), Failure> {
    let danger = match (insecure, tls12) {
        (true, _) => "--danger-allow-insecure cannot be used with --udp: no datagram goes in clear",
        (_, true) => "--danger-allow-tls12 cannot be used with --udp, which is always DTLS 1.2",
        _ => return Ok(()),
    };
    Err(Failure::usage(danger, "leave one of them out"))
}

fn settings(danger_allow_insecure: bool) -> Result<SecuritySettings, Failure> {
    let flags =
        if danger_allow_insecure { SecurityFlags::ALLOW_INSECURE } else { SecurityFlags::NONE };
    SecuritySettings::new(SecurityProtocol::Default, flags).map_err(|_| {
        Failure::usage("the security settings contradict each other", "leave one of them out")
    })
}
