//! What waits for the kernel, and what the network says of what went.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;

use countersign_sys::{MAX_SEGMENTED, MAX_SEGMENTS, Route};

use super::state::{BATCH, Failure, Open, State};
use crate::core::fold;

/// A datagram that waits for the kernel.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) to: SocketAddr,
    pub(super) from: Option<IpAddr>,
    pub(super) datagram: Vec<u8>,
}

impl State {
    /// Sends what waits, as much as the kernel takes; tells of errors with one peer only.
    pub(super) fn flush(&mut self, socket: &OwnedFd, about: Option<SocketAddr>) -> io::Result<()> {
        let (is_v6, connected) = (self.local.is_ipv6(), self.connected);
        let Some(open) = &mut self.open else { return Ok(()) };
        open.absorb();
        let mut is_repeated = false;
        while let Some(Outgoing { to, from, datagram }) = open.outbox.front() {
            let (to, from) = (*to, *from);
            let address = (connected != Some(to)).then(|| unfold(to, is_v6));
            let route = Route { to: address, from, is_v6 };
            let run = if open.can_segment { run(&open.outbox) } else { 1 };
            let sent = if run > 1 {
                let segment = u16::try_from(datagram.len()).ok();
                let all: Vec<u8> =
                    open.outbox.iter().take(run).flat_map(|it| &it.datagram).copied().collect();
                countersign_sys::send_along(socket, route, &all, segment)
            } else {
                countersign_sys::send_along(socket, route, datagram, None)
            };
            match sent {
                Ok(()) => {
                    open.outbox.drain(..run);
                    is_repeated = false;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Not on this path, or not with this device.
                Err(_) if run > 1 => open.can_segment = false,
                Err(error) => {
                    // What the kernel heard of an earlier datagram, perhaps to another peer, is
                    // said in place of this one: which was whose is in the queue of errors.
                    open.hear_complaints(socket);
                    if !std::mem::replace(&mut is_repeated, true) {
                        continue;
                    }
                    is_repeated = false;
                    open.outbox.pop_front();
                    open.unreachable(to, error.kind());
                    if about == Some(to) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Open {
    /// Takes what the network says of datagrams that did not arrive.
    pub(super) fn hear_complaints(&mut self, socket: &OwnedFd) {
        let mut complaints = Vec::new();
        // A socket that is dropped with its thread finds no room any more, and needs none.
        let _ = BATCH.try_with(|batch| {
            let mut batch = batch.borrow_mut();
            batch.complaints(socket, |complaint| complaints.push(complaint));
        });
        for complaint in complaints {
            self.unreachable(fold(complaint.peer), complaint.kind);
        }
    }

    /// Nobody is there, says the network, or the kernel itself.
    fn unreachable(&mut self, peer: SocketAddr, kind: io::ErrorKind) {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
        // That a datagram is too large for some path says nothing of the peer.
        if !matches!(kind, ConnectionRefused | HostUnreachable | NetworkUnreachable) {
            return;
        }
        let now = self.now();
        if self.endpoint.unreachable(peer, now) {
            self.remember(peer, Failure::Network(kind));
        }
        self.absorb();
    }
}

/// How many datagrams at the front of the queue can go in one call: of one size, the last perhaps
/// shorter, to one peer.
fn run(outbox: &VecDeque<Outgoing>) -> usize {
    let Some(first) = outbox.front() else { return 0 };
    let size = first.datagram.len();
    let (mut count, mut bytes, mut last) = (0, 0, size);
    for next in outbox.iter().take(MAX_SEGMENTS) {
        bytes += next.datagram.len();
        let same = (next.to, next.from) == (first.to, first.from);
        if !same || last != size || next.datagram.len() > size || bytes > MAX_SEGMENTED {
            break;
        }
        last = next.datagram.len();
        count += 1;
    }
    count
}

/// Returns an address in the form that a socket of this family takes.
fn unfold(address: SocketAddr, is_v6: bool) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if is_v6 => {
            SocketAddrV6::new(ip.to_ipv6_mapped(), address.port(), 0, 0).into()
        }
        _ => address,
    }
}
