//! `forward --udp`: datagrams of plain programs, each program with a secured socket of its own.

use std::net::{SocketAddr, UdpSocket as PlainSocket};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use countersign::{Context, UdpSocket};

use super::lane::{Far, Lanes, Passed, TICK};
use super::serve::is_passing;
use super::{LARGEST, dial};
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::{Forward, Idle};
use crate::run::forward::warn_of_strangers;
use crate::run::host;

/// Receives and forwards, for ever.
///
/// # Errors
///
/// If it cannot receive (any more).
pub(in crate::run) fn forward(
    request: &Forward,
    Idle(idle): Idle,
    output: &Output,
) -> Result<Verdict, Failure> {
    let context = host::context(&request.host)?;
    let doing = || format!("listen on {}", request.listen);
    let plain = PlainSocket::bind(request.listen.resolve()?.as_slice());
    let plain = plain.map_err(Failure::io(doing()))?;
    let local = plain.local_addr().map_err(Failure::io(doing()))?;
    warn_of_strangers(local, output);
    output.forwarding(local, &request.dial.address.to_string(), &request.dial.name);
    let lanes = Lanes::new(request.max_connections);
    let mut buffer = vec![0; LARGEST];
    let mut is_full = false;
    thread::scope(|scope| {
        loop {
            let (count, from) = match plain.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if is_passing(&error) => continue,
                Err(error) => {
                    // The lanes would go on until they are idle.
                    lanes.close_all();
                    return Err(Failure::io(format!("receive on {local}"))(error));
                }
            };
            let queue = match lanes.pass(&from, buffer.get(..count).unwrap_or_default()) {
                Passed::Queued => continue,
                Passed::Full => {
                    if !is_full {
                        is_full = true;
                        let most = request.max_connections;
                        output.warning(&format!("{most} programs are served: others are lost"));
                    }
                    continue;
                }
                Passed::Opened(queue) => queue,
            };
            is_full = false;
            let lane = Lane { context: &context, request, plain: &plain, lanes: &lanes, idle };
            let spawned =
                thread::Builder::new().spawn_scoped(scope, move || lane.run(from, &queue, output));
            if let Err(error) = spawned {
                lanes.close(&from);
                output.broken(from, &Failure::io("start a thread")(error));
            }
        }
    })
}

/// How long a program whose peer was refused waits for the next attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// What the lane of a program needs.
struct Lane<'a> {
    context: &'a Context,
    request: &'a Forward,
    plain: &'a PlainSocket,
    lanes: &'a Lanes<SocketAddr>,
    idle: Duration,
}

impl Lane<'_> {
    fn run(&self, from: SocketAddr, queue: &Receiver<Vec<u8>>, output: &Output) {
        let (far, peer) = match dial(self.context, &self.request.dial) {
            Ok(dialled) => dialled,
            Err(why) => {
                output.refused(from, &why);
                // What it sends meanwhile is lost, and asks for no handshake.
                thread::sleep(PAUSE);
                return self.lanes.close(&from);
            }
        };
        if let Ok(info) = far.query(peer) {
            output.accepted(from, info.evidence());
        }
        far.set_read_timeout(Some(TICK));
        let back = |datagram: &[u8]| {
            // A program that is gone misses it.
            let _ = self.plain.send_to(datagram, from);
        };
        if let Err(why) = self.lanes.run(&from, queue, &far, back, self.idle) {
            output.broken(from, &why);
        }
    }
}

impl Far for UdpSocket {
    fn send(&self, datagram: &[u8]) -> Result<(), Failure> {
        match Self::send(self, datagram) {
            Ok(_) => Ok(()),
            // One that cannot be carried is lost; those after it need not be.
            Err(countersign::Error::Order { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn receive(&self, into: &mut [u8]) -> Result<Option<usize>, Failure> {
        match self.recv(into) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.is_would_block() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
