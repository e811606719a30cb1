//! Connecting, at once or bit by bit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use countersign::{Error, Interest};

use crate::address::{Address, KernelAddress};
use crate::entry::{Direction, Entry, Phase, Secured, Stage};
use crate::failure::Failure;
use crate::reactor::{self, Want};
use crate::{abi, kernel, network_events, security};

/// Connects, and waits for it if the socket blocks.
pub(crate) fn connect(entry: &Arc<Entry>, to: &Address) -> Result<(), Failure> {
    let connected = || Err(Failure::fixed(abi::WSAEISCONN, "the socket is connected"));
    match (entry.phase(), entry.secured()) {
        (_, Some(Secured::Listener(_))) => {
            return Err(Failure::fixed(abi::WSAEINVAL, "the socket listens"));
        }
        (_, Some(Secured::Stream(_))) => return connected(),
        (Phase::UnderWay, _) => return again(entry),
        (Phase::Connected, _) if entry.is_stream() => return connected(),
        _ => {}
    }
    if let Address::Ip(address) = to
        && (address.is_ipv4() != (entry.family() == abi::AF_INET))
    {
        let text = "the address is of another family than the socket";
        return Err(Failure::fixed(abi::WSAEAFNOSUPPORT, text));
    }
    if let Some(ip) = to.ip()
        && (ip.ip().is_unspecified() || ip.port() == 0)
    {
        if !entry.is_stream() && entry.is_plain() && ip.ip().is_unspecified() && ip.port() == 0 {
            // As documented: from now on it has no peer.
            let dissolved = kernel::reset(entry.kernel());
            dissolved.map_err(|error| Failure::from_io("disconnect", &error))?;
            entry.set_phase(Phase::None);
            return Ok(());
        }
        let text = "nobody can be at an address, or a port, of zero";
        return Err(Failure::fixed(abi::WSAEADDRNOTAVAIL, text));
    }
    security::follow_policy(entry)?;
    match (entry.secured(), to.ip()) {
        (Some(Secured::Datagram(socket)), Some(to)) => {
            socket.set_nonblocking(entry.is_nonblocking());
            let _waiting = entry.waiting(Direction::Send);
            let result = socket.connect(to);
            socket.set_nonblocking(false);
            match result {
                Ok(()) => {
                    entry.set_phase(Phase::Connected);
                    Ok(())
                }
                Err(error) if error.is_would_block() => {
                    entry.set_phase(Phase::UnderWay);
                    reactor::attend(entry);
                    Err(Failure::WOULD_BLOCK)
                }
                Err(error) => Err(error.into()),
            }
        }
        (None, Some(to)) if entry.is_staged() => staged(entry, to),
        (None, _) => plain(entry, to),
        _ => Err(Failure::fixed(abi::WSAEAFNOSUPPORT, "the address is not of IP")),
    }
}

/// What a second connect is told while the first is under way.
fn again(entry: &Arc<Entry>) -> Result<(), Failure> {
    if entry.is_plain() {
        look_after_plain(entry);
    }
    match entry.phase() {
        Phase::UnderWay => {
            Err(Failure::fixed(abi::WSAEALREADY, "a connection is being made already"))
        }
        Phase::Connected => Err(Failure::fixed(abi::WSAEISCONN, "the socket is connected")),
        _ => {
            let code = entry.state.error.swap(0, Ordering::Relaxed);
            let code = if code == 0 { abi::WSAEINVAL } else { code };
            Err(Failure::new(code, crate::failure::text_of(code)))
        }
    }
}

fn staged(entry: &Arc<Entry>, to: SocketAddr) -> Result<(), Failure> {
    let _waiting = entry.waiting(Direction::Send);
    let mut stage = entry.stage();
    let Some(socket) = &mut stage.socket else {
        return Err(Failure::fixed(abi::WSAEISCONN, "the socket is connected"));
    };
    let before = entry.phase();
    entry.set_phase(Phase::UnderWay);
    socket.set_nonblocking(entry.is_nonblocking())?;
    let result = socket.connect(to);
    if socket.descriptor().is_some() && result.as_ref().is_err_and(|error| !error.is_would_block())
    {
        // It was not legal, or there was no plan: nothing has begun.
        entry.set_phase(before);
        return Err(Failure::from(result.err().unwrap_or(Error::NoCertificate)));
    }
    settle(entry, &mut stage, result)
}

/// Notes how a connect of a staged socket has come out, or that it goes on.
fn settle(entry: &Arc<Entry>, stage: &mut Stage, result: Result<(), Error>) -> Result<(), Failure> {
    let result = match result {
        Ok(()) => entry.leave_stage(stage),
        Err(error) if error.is_would_block() => {
            reactor::attend(entry);
            return Err(Failure::WOULD_BLOCK);
        }
        Err(error) => Err(Failure::from(error)),
    };
    finish(entry, result)
}

fn finish(entry: &Arc<Entry>, result: Result<(), Failure>) -> Result<(), Failure> {
    match &result {
        Ok(()) => entry.set_phase(Phase::Connected),
        Err(failure) => {
            entry.state.error.store(failure.code, Ordering::Relaxed);
            entry.set_phase(Phase::Failed);
        }
    }
    network_events::connected(entry, result.as_ref().err().map_or(0, |failure| failure.code));
    entry.wake_watchers();
    if entry.state.has_events.load(Ordering::Acquire) {
        reactor::attend(entry);
    }
    if entry.is_closed() {
        let text = "another thread closed the socket during the call";
        return Err(Failure::fixed(abi::WSAEINTR, text));
    }
    result
}

fn plain(entry: &Arc<Entry>, to: &Address) -> Result<(), Failure> {
    let number = entry.kernel();
    let _waiting = (!entry.is_nonblocking()).then(|| entry.waiting(Direction::Send));
    let address = KernelAddress::from(to);
    let before = entry.phase();
    if entry.is_stream() {
        // Nobody else sets anything on it meanwhile.
        entry.set_phase(Phase::UnderWay);
    }
    let result = match kernel::connect(number, &address) {
        Ok(()) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
            entry.set_phase(Phase::UnderWay);
            if entry.state.has_events.load(Ordering::Acquire) {
                reactor::attend(entry);
            }
            return Err(Failure::WOULD_BLOCK);
        }
        // The connection goes on after a signal (connect(2)).
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
            while kernel::poll_now(number, libc::POLLOUT) == 0 {
                let mut asked = [libc::pollfd { fd: number, events: libc::POLLOUT, revents: 0 }];
                let _interrupted_again = kernel::poll(&mut asked, None);
            }
            pending_error(entry)
        }
        Err(error) => Err(Failure::from_io(&format!("connect to {to:?}"), &error)),
    };
    if !entry.is_stream() {
        if result.is_ok() {
            entry.set_phase(Phase::Connected);
        }
        return result;
    }
    if result.as_ref().is_err_and(|it| it.code == abi::WSAEINVAL || it.code == abi::WSAEISCONN) {
        entry.set_phase(before);
        return result;
    }
    let finished = finish(entry, result);
    if finished.is_err() {
        // A plain socket may try again, as on Windows.
        entry.set_phase(Phase::None);
        entry.state.error.store(0, Ordering::Relaxed);
    }
    finished
}

fn pending_error(entry: &Entry) -> Result<(), Failure> {
    match kernel::option(entry.kernel(), libc::SOL_SOCKET, libc::SO_ERROR) {
        Ok(0) => Ok(()),
        Ok(errno) => {
            let error = std::io::Error::from_raw_os_error(errno);
            Err(Failure::from_io("connect", &error))
        }
        Err(error) => Err(Failure::from_io("connect", &error)),
    }
}

/// Finds out how the connect of a plain socket has come out, if it has.
pub(crate) fn look_after_plain(entry: &Arc<Entry>) {
    let done = libc::POLLOUT | libc::POLLERR | libc::POLLHUP;
    if entry.phase() == Phase::UnderWay
        && kernel::poll_now(entry.kernel(), libc::POLLOUT) & done != 0
    {
        // What it says is said again by SO_ERROR, the events and the next connect.
        let _noted = finish(entry, pending_error(entry));
    }
}

/// Goes on with a connect that is under way; returns what it waits for, if it still is.
pub(crate) fn advance(entry: &Arc<Entry>) -> Option<Want> {
    if entry.phase() != Phase::UnderWay {
        return None;
    }
    if entry.is_plain() {
        look_after_plain(entry);
        let want = Want { number: entry.number(), write: true, ..Want::default() };
        return (entry.phase() == Phase::UnderWay).then_some(want);
    }
    if let Some(Secured::Datagram(socket)) = entry.secured() {
        match socket.finish_connect() {
            Err(error) if error.is_would_block() => {
                return Some(Want { number: entry.number(), read: true, ..Want::default() });
            }
            result => {
                let _noted = finish(entry, result.map_err(Failure::from));
                return None;
            }
        }
    }
    let Some(mut stage) = entry.try_stage() else {
        // A connect that waits needs nobody to go on with it; one that does not is just leaving.
        let soon = Instant::now() + Duration::from_millis(1);
        let want = Want { number: entry.number(), deadline: Some(soon), ..Want::default() };
        return entry.is_nonblocking().then_some(want);
    };
    let socket = stage.socket.as_mut()?;
    let mut result = socket.finish_connect();
    if result.as_ref().is_err_and(Error::is_would_block)
        && socket.deadline().is_some_and(|deadline| deadline <= Instant::now())
    {
        result = socket.expire().and_then(|()| socket.finish_connect());
    }
    if result.as_ref().is_err_and(Error::is_would_block) {
        use std::os::fd::AsRawFd as _;
        let number = socket.descriptor()?.as_raw_fd();
        let read = socket.interest().contains(&Interest::Read);
        let write = socket.interest().contains(&Interest::Write);
        return Some(Want { number, read, write, hang_up: false, deadline: socket.deadline() });
    }
    let _noted = settle(entry, &mut stage, result);
    None
}
