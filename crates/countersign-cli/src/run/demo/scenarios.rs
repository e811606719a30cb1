//! What the demo tries. In each the client asks for the same name (but for datagrams, which have a
//! name for each peer), and a recorder keeps what passes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener as PlainListener, TcpStream as Plain};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use countersign::core::HandshakeError;
use countersign::{Context, Incoming, TcpStream};

use super::attempt::{Attempt, SECRET, attempt, text};
use super::datagrams::names_on_one_socket;
use super::recorder::{Recorder, Recording};
use super::rights::rights_of_the_client;
use super::scenario::{Outcome, Scenario};
use super::stage::{Issuer, PATIENCE, Seen, Server, Stage, listen, name};
use crate::failure::Failure;
use crate::run::join::{Side, join};

/// Tries one thing.
type Try = fn(&Stage) -> Result<Scenario, Failure>;

/// In the order in which they are shown.
pub(super) const ALL: [Try; 10] = [
    right_name,
    another_host,
    another_service,
    unknown_authority,
    expired,
    plain_client,
    machine_in_the_middle,
    plain_server,
    names_on_one_socket,
    rights_of_the_client,
];

fn right_name(stage: &Stage) -> Result<Scenario, Failure> {
    let started = Instant::now();
    let server = stage.server(&stage.asked())?;
    let tried = try_server(stage, server)?;
    let was_echoed = matches!(tried.attempt, Attempt::Echoed(Some(_)));
    let arrived = matches!(&tried.server, Seen::Served(received, _) if *received == text());
    Ok(Scenario {
        name: "right-name",
        tried: "the one who was asked for answers".to_owned(),
        is_as_expected: was_echoed && arrived && tried.wire.count(SECRET) == 0,
        seen: vec![format!(
            "{} bytes of text there and back; {} bytes on the wire, and {}",
            text().len(),
            tried.wire.len(),
            in_clear(&tried.wire)
        )],
        outcome: tried.attempt.into(),
        took: started.elapsed(),
    })
}

fn another_host(stage: &Stage) -> Result<Scenario, Failure> {
    let other = name("postgres/db2.example.com");
    let tried = format!("another host answers, {other}");
    refused(
        "another-host",
        tried,
        stage,
        || stage.server(&other),
        |error| matches!(error, HandshakeError::WrongPeer { .. }),
    )
}

fn another_service(stage: &Stage) -> Result<Scenario, Failure> {
    let other = name("http/db1.example.com");
    let tried = format!("another service of the same host answers, {other}");
    refused(
        "another-service",
        tried,
        stage,
        || stage.server(&other),
        |error| matches!(error, HandshakeError::WrongPeer { .. }),
    )
}

fn unknown_authority(stage: &Stage) -> Result<Scenario, Failure> {
    let tried = "the right name answers, vouched for by an unknown authority".to_owned();
    let server = || stage.server_of(&stage.asked(), Issuer::Theirs);
    refused("unknown-authority", tried, stage, server, |error| {
        matches!(error, HandshakeError::UntrustedIssuer { .. })
    })
}

fn expired(stage: &Stage) -> Result<Scenario, Failure> {
    let tried = "the right name answers, with a certificate that has expired".to_owned();
    let server = || stage.server_expired(&stage.asked());
    refused("expired", tried, stage, server, |error| {
        matches!(error, HandshakeError::Expired { .. })
    })
}

/// Besides, it shows that the recorder would have seen the text.
fn plain_client(stage: &Stage) -> Result<Scenario, Failure> {
    let started = Instant::now();
    let server = stage.server(&stage.asked())?;
    let recorder = Recorder::before(server.address())?;
    let received = talk_plain(recorder.address()).map_err(Failure::io("talk to the server"))?;
    let wire = recorder.finish()?;
    let (outcome, is_refused) = match server.finish()? {
        Seen::Refused(error @ HandshakeError::NotTls { .. }) => (error.to_string(), true),
        Seen::Refused(error) => (error.to_string(), false),
        Seen::Served(..) => ("not at all: the server served it".to_owned(), false),
    };
    // An alert says why, and is seven bytes (RFC 8446 section 6): that is no data of the server's.
    let is_alert = received.is_empty() || received.first() == Some(&ALERT) && received.len() == 7;
    let times = wire.count(SECRET);
    let got = if received.is_empty() { "nothing" } else { "an alert, and no data" };
    Ok(Scenario {
        name: "plain-client",
        tried: "a client without TLS connects".to_owned(),
        outcome: Outcome::Refused(outcome),
        seen: vec![format!("the client got {got}; {}, since it sent it so", in_clear(&wire))],
        is_as_expected: is_refused && is_alert && times > 0,
        took: started.elapsed(),
    })
}

/// The content type of an alert.
const ALERT: u8 = 21;

fn machine_in_the_middle(stage: &Stage) -> Result<Scenario, Failure> {
    let started = Instant::now();
    let own = name("http/proxy.example.com");
    let server = stage.server(&stage.asked())?;
    let relay = stage.context(&own, Issuer::Ours)?;
    let listener = listen(&relay)?;
    let recorder = Recorder::before(listener.local_addr())?;
    let (onward, asked) = (server.address(), stage.asked());
    let (reached, has_reached) = mpsc::channel();
    let attempt = thread::scope(|scope| {
        let relayed = thread::Builder::new().spawn_scoped(scope, || {
            // First the real server, as its good client; then the victim, with our own certificate.
            let server = TcpStream::connect_with(&relay, onward, &asked)?;
            let _ = reached.send(());
            if let Incoming::Accepted(victim, _) = listener.next_event()? {
                let victim = Side { end: &victim, called: "the victim" };
                join(victim, Side { end: &server, called: "the server" })?;
            } else {
                let _ = server.shutdown(Shutdown::Write);
            }
            Ok::<(), Failure>(())
        });
        let relayed = relayed.map_err(Failure::io("start a thread"))?;
        has_reached.recv_timeout(PATIENCE).map_err(|_| timed_out("wait for the relay"))?;
        let attempt = attempt(&stage.client()?, recorder.address(), &stage.asked());
        let _ = relayed.join();
        attempt
    })?;
    let wire = recorder.finish()?;
    let stolen = match server.finish()? {
        Seen::Served(received, _) => Some(received.len()),
        Seen::Refused(_) => None,
    };
    let is_refused = matches!(attempt, Attempt::Refused(HandshakeError::WrongPeer { .. }));
    Ok(Scenario {
        name: "machine-in-the-middle",
        tried: format!("a machine in the middle answers and relays, with a valid {own}"),
        is_as_expected: is_refused && stolen == Some(0) && wire.count(SECRET) == 0,
        outcome: attempt.into(),
        seen: vec![match stolen {
            Some(bytes) => {
                format!("it had reached the real server, and got {bytes} bytes to pass on")
            }
            None => "it did not reach the real server".to_owned(),
        }],
        took: started.elapsed(),
    })
}

fn plain_server(stage: &Stage) -> Result<Scenario, Failure> {
    let started = Instant::now();
    let listener = PlainListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = listener.map_err(Failure::io("listen on the loopback interface"))?;
    let address = listener.local_addr().map_err(Failure::io("find the address"))?;
    let recorder = Recorder::before(address)?;
    let attempt = thread::scope(|scope| {
        let server = thread::Builder::new().spawn_scoped(scope, || {
            let (mut client, _) = listener.accept()?;
            client.set_read_timeout(Some(PATIENCE))?;
            let _ = client.read(&mut [0; 4096])?;
            client.write_all(b"220 mail.example.com ready\r\n")?;
            client.shutdown(Shutdown::Write)?;
            std::io::copy(&mut client, &mut std::io::sink())
        });
        let server = server.map_err(Failure::io("start a thread"))?;
        let attempt = attempt(&stage.client()?, recorder.address(), &stage.asked());
        let _ = server.join();
        attempt
    })?;
    let wire = recorder.finish()?;
    let is_refused = matches!(attempt, Attempt::Refused(HandshakeError::NotTls { .. }));
    Ok(Scenario {
        name: "plain-server",
        tried: "a server without TLS answers".to_owned(),
        is_as_expected: is_refused && wire.count(SECRET) == 0,
        outcome: attempt.into(),
        seen: vec![in_clear(&wire)],
        took: started.elapsed(),
    })
}

/// What a client finds at a server that must not do.
fn refused(
    name: &'static str,
    tried: String,
    stage: &Stage,
    server: impl FnOnce() -> Result<Server, Failure>,
    is_expected: fn(&HandshakeError) -> bool,
) -> Result<Scenario, Failure> {
    let started = Instant::now();
    let found = try_server(stage, server()?)?;
    let is_refused = matches!(&found.attempt, Attempt::Refused(error) if is_expected(error));
    let is_told = matches!(found.server, Seen::Refused(_));
    Ok(Scenario {
        name,
        tried,
        is_as_expected: is_refused && is_told && found.wire.count(SECRET) == 0,
        outcome: found.attempt.into(),
        seen: vec![in_clear(&found.wire)],
        took: started.elapsed(),
    })
}

struct Found {
    attempt: Attempt,
    server: Seen,
    wire: Recording,
}

fn try_server(stage: &Stage, server: Server) -> Result<Found, Failure> {
    let recorder = Recorder::before(server.address())?;
    let context: Context = stage.client()?;
    let attempt = attempt(&context, recorder.address(), &stage.asked())?;
    Ok(Found { attempt, server: server.finish()?, wire: recorder.finish()? })
}

/// Sends the text in clear, and returns what comes back.
fn talk_plain(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut server = Plain::connect(address)?;
    server.set_read_timeout(Some(PATIENCE))?;
    server.write_all(SECRET)?;
    let mut received = Vec::new();
    match server.read_to_end(&mut received) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => Err(error),
        _ => Ok(received),
    }
}

/// Says whether whoever listens on the wire could read the text.
fn in_clear(wire: &Recording) -> String {
    match wire.count(SECRET) {
        0 => "none of the text was on the wire".to_owned(),
        _ => "the text was on the wire in clear".to_owned(),
    }
}

fn timed_out(doing: &str) -> Failure {
    Failure::io(doing)(std::io::ErrorKind::TimedOut.into())
}

impl From<Attempt> for Outcome {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Attempt::Echoed(evidence) => Self::Connected(evidence),
            Attempt::Refused(error) => Self::Refused(error.to_string()),
            Attempt::Wrong => Self::Refused("something else than the text came back".to_owned()),
        }
    }
}
