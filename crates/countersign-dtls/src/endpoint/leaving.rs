//! Peers that are refused, while they are told.

use std::net::SocketAddr;
use std::time::Duration;

use countersign_core::{HandshakeError, KerberosFailure, KerberosUse};

use super::peer::{Leaving, Role};
use super::{Endpoint, Event, Moment, Output};

/// How long a peer that is refused is told why: two or three times, if the path loses datagrams.
const PATIENCE: Duration = Duration::from_secs(4);

impl Endpoint {
    /// Turns a peer away whose proof was refused. Among the half-open it has its place until it has
    /// been told.
    pub(super) fn part_with(&mut self, address: SocketAddr, error: HandshakeError, now: Moment) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let Some(pending) = peer.pending.take() else { return };
        let ticket = match pending.role {
            Role::Server { ticket } => Some(ticket),
            Role::Client { .. } => None,
        };
        self.drop_leaving(address);
        if let Role::Client { offer: KerberosUse::Prefer, .. } = pending.role
            && lacks_ticket(&error)
        {
            self.look_without_ticket(address);
        }
        self.report(address, &pending.role, error);
        let leaving = Leaving {
            engine: pending.engine,
            local: pending.local,
            until: now.instant + PATIENCE,
            wakes: None,
            ticket,
        };
        self.peers.entry(address).or_default().leaving = Some(leaving);
        self.settle_leaving(address, now);
    }

    pub(super) fn feed_leaving(&mut self, address: SocketAddr, datagram: &[u8], now: Moment) {
        let leaving = self.peers.get_mut(&address).and_then(|peer| peer.leaving.as_mut());
        if let Some(leaving) = leaving {
            leaving.engine.handle_datagram(datagram, now);
            self.settle_leaving(address, now);
        }
    }

    /// Tells a peer once more, or for the last time.
    pub(super) fn expire_leaving(&mut self, address: SocketAddr, now: Moment) {
        let leaving = self.peers.get_mut(&address).and_then(|peer| peer.leaving.as_mut());
        let Some(leaving) = leaving else { return };
        if leaving.until <= now.instant {
            leaving.engine.close();
        } else if leaving.wakes.is_some_and(|at| at <= now.instant) {
            leaving.engine.handle_timeout(now);
        }
        self.settle_leaving(address, now);
    }

    /// Does what the telling asks for.
    fn settle_leaving(&mut self, address: SocketAddr, now: Moment) {
        let leaving = self.peers.get_mut(&address).and_then(|peer| peer.leaving.as_mut());
        let Some(leaving) = leaving else { return };
        let from = leaving.local;
        loop {
            match leaving.engine.poll(now) {
                Output::Transmit(datagram) => {
                    self.events.push_back(Event::Transmit { to: address, from, datagram });
                }
                Output::Closed(_) => {
                    self.drop_leaving(address);
                    break;
                }
                Output::Wait(wakes) => {
                    leaving.wakes = wakes;
                    break;
                }
                // It has proved nothing.
                _ => {}
            }
        }
        self.schedule(address, now);
    }

    /// Forgets a peer that was being told.
    pub(super) fn drop_leaving(&mut self, address: SocketAddr) {
        let leaving = self.peers.get_mut(&address).and_then(|peer| peer.leaving.take());
        if let Some(ticket) = leaving.and_then(|leaving| leaving.ticket) {
            self.half_open.remove(ticket);
        }
    }
}

/// Returns whether a proof failed because we have no ticket any more: who need not show one greets
/// without.
fn lacks_ticket(error: &HandshakeError) -> bool {
    use KerberosFailure::{NoCredentials, TicketExpired};
    matches!(error, HandshakeError::Kerberos(NoCredentials { .. } | TicketExpired { .. }))
}
