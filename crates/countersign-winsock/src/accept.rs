//! Accepting connections.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use countersign::Incoming;

use crate::address::Address;
use crate::entry::{Accepted, Direction, Entry, Phase, Secured};
use crate::failure::Failure;
use crate::{abi, kernel, network_events, table};

/// Accepts a connection, and waits for one if the socket blocks.
pub(crate) fn accept(entry: &Arc<Entry>) -> Result<(Arc<Entry>, Address), Failure> {
    check(entry)?;
    let may_wait = !entry.is_nonblocking();
    let accepted = {
        let _waiting = may_wait.then(|| entry.waiting(Direction::Receive));
        next(entry, may_wait)
    };
    if entry.is_closed() {
        let text = "another thread closed the socket during the call";
        return Err(Failure::fixed(abi::WSAEINTR, text));
    }
    network_events::reenable(entry, abi::FD_ACCEPT);
    enter(entry, accepted?)
}

/// Puts a connection back that the program does not want to decide about yet.
pub(crate) fn defer(entry: &Entry, accepted: Accepted) {
    entry.accepted.lock().unwrap_or_else(PoisonError::into_inner).push_front(accepted);
}

/// Takes the next connection, before it has a number that the program knows.
pub(crate) fn take(entry: &Arc<Entry>) -> Result<Accepted, Failure> {
    check(entry)?;
    let may_wait = !entry.is_nonblocking();
    let _waiting = may_wait.then(|| entry.waiting(Direction::Receive));
    let taken = next(entry, may_wait);
    if entry.is_closed() {
        let text = "another thread closed the socket during the call";
        return Err(Failure::fixed(abi::WSAEINTR, text));
    }
    network_events::reenable(entry, abi::FD_ACCEPT);
    taken
}

/// Returns where an accepted connection comes from.
pub(crate) fn peer(accepted: &Accepted) -> Option<Address> {
    match accepted {
        Accepted::Plain(_, address) => Some(address.clone()),
        Accepted::Secured(Incoming::Accepted(_, address)) => Some(Address::Ip(*address)),
        Accepted::Secured(_) => None,
    }
}

fn check(entry: &Entry) -> Result<(), Failure> {
    if !entry.is_stream() {
        let text = "a datagram socket accepts no connections";
        return Err(Failure::fixed(abi::WSAEOPNOTSUPP, text));
    }
    if !is_listening(entry) {
        return Err(Failure::fixed(abi::WSAEINVAL, "the socket does not listen"));
    }
    Ok(())
}

pub(crate) fn is_listening(entry: &Entry) -> bool {
    match entry.secured() {
        Some(Secured::Listener(_)) => true,
        Some(_) => false,
        None if entry.is_staged() || !entry.is_stream() => false,
        None => kernel::option(entry.kernel(), libc::SOL_SOCKET, libc::SO_ACCEPTCONN)
            .is_ok_and(|it| it != 0),
    }
}

/// Returns whether a connection can be accepted without waiting, and keeps it ready if so.
pub(crate) fn look_ahead(entry: &Arc<Entry>) -> bool {
    let mut accepted = entry.accepted.lock().unwrap_or_else(PoisonError::into_inner);
    if !accepted.is_empty() {
        return true;
    }
    match entry.secured() {
        Some(Secured::Listener(listener)) => match listener.try_next_event() {
            Ok(incoming) => {
                accepted.push_back(Accepted::Secured(incoming));
                true
            }
            // What failed is said by accept.
            Err(error) => !error.is_would_block(),
        },
        _ => kernel::poll_now(entry.kernel(), libc::POLLIN) & libc::POLLIN != 0,
    }
}

fn next(entry: &Arc<Entry>, may_wait: bool) -> Result<Accepted, Failure> {
    let ahead = entry.accepted.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    if let Some(accepted) = ahead {
        return Ok(accepted);
    }
    match entry.secured() {
        Some(Secured::Listener(listener)) => {
            let incoming = if may_wait { listener.next_event() } else { listener.try_next_event() };
            Ok(Accepted::Secured(incoming?))
        }
        _ => loop {
            match kernel::accept(entry.kernel()) {
                Ok((descriptor, address)) => return Ok(Accepted::Plain(descriptor, address)),
                Err(error) => {
                    // SO_RCVTIMEO bounds receiving only, for Winsock.
                    let again = error.kind() == std::io::ErrorKind::WouldBlock && may_wait
                        || error.raw_os_error() == Some(libc::ECONNABORTED);
                    if !again || entry.is_closed() {
                        return Err(Failure::from_io("accept", &error));
                    }
                }
            }
        },
    }
}

/// Makes a socket of a connection, with the properties of its listener.
pub(crate) fn enter(
    listener: &Arc<Entry>,
    accepted: Accepted,
) -> Result<(Arc<Entry>, Address), Failure> {
    let (entry, address) = match accepted {
        Accepted::Plain(descriptor, address) => {
            let entry = Entry::new(descriptor, listener.as_type())?;
            entry.set_phase(Phase::Connected);
            if listener.is_nonblocking() {
                kernel::set_nonblocking(entry.number(), true)
                    .map_err(|error| Failure::from_io("accept", &error))?;
            }
            (entry, address)
        }
        Accepted::Secured(Incoming::Accepted(stream, address)) => {
            (Entry::of_stream(stream, listener)?, Address::Ip(address))
        }
        Accepted::Secured(Incoming::Refused(refusal)) => {
            let error = countersign::Error::Handshake { peer: refusal.peer, source: refusal.error };
            return Err(error.into());
        }
        Accepted::Secured(_) => {
            return Err(Failure::fixed(abi::WSAECONNABORTED, "the connection is gone"));
        }
    };
    entry.state.nonblocking.store(listener.is_nonblocking(), Ordering::Relaxed);
    let entry = Arc::new(entry);
    table::enter(entry.clone())?;
    network_events::inherit(&entry, listener);
    Ok((entry, address))
}
