//! How threads share the work on one socket.
//!
//! All state is under one lock, which is never held across a wait. Of the threads that wait, one
//! waits for the kernel and the others for it: whoever wakes first takes what has arrived, for all
//! of them, and says so.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use countersign_dtls::Standing;
use countersign_sys::{Interest, ReadySet, wait};

use super::UdpSocket;
use super::state::{Open, State};
use super::udp::{MAIL, SOCKET};
use crate::Error;
use crate::core::Stage;

impl UdpSocket {
    /// Makes the endpoint, at the first use of the network.
    pub(super) fn open(&self, state: &mut State) -> Result<(), Error> {
        if state.open.is_none() {
            if state.life.stage() == Stage::Fresh {
                countersign_sys::bind_datagrams(&self.socket, state.local)
                    .map_err(Error::io("bind"))?;
                state.local = countersign_sys::local_address(&self.socket)
                    .map_err(Error::io("find the address"))?;
                state.life.completed_bind();
            }
            if state.local.ip().is_unspecified() {
                countersign_sys::tell_destination(&self.socket, state.local)
                    .map_err(Error::io("learn where peers arrive"))?;
            }
            // Older kernels hand over one by one.
            let _ = countersign_sys::join_arrivals(&self.socket);
            let (ready, given) = (self.ready.clone(), state.given.clone());
            state.open = Some(Open::new(self.context.current(), state.mtu, ready, given)?);
        }
        Ok(())
    }

    /// Waits until `peer` has proved who it is; starts to find out, if nobody did.
    pub(super) fn secure<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        peer: SocketAddr,
    ) -> Result<MutexGuard<'a, State>, Error> {
        let entered = Instant::now();
        let deadline = state.write_timeout.map(|time| entered + time);
        loop {
            let nonblocking = self.is_nonblocking();
            let Some(open) = &mut state.open else { return Ok(state) };
            match open.standing(peer) {
                Standing::Secured => return Ok(state),
                Standing::Stranger => {
                    if let Some(error) = open.failure(peer, entered, nonblocking) {
                        return Err(error);
                    }
                    let Some(open) = &state.open else { return Ok(state) };
                    let (asked, kerberos) = state.plan(open, peer)?;
                    if let Some(open) = &mut state.open {
                        open.begin(peer, asked, kerberos)?;
                    }
                    state.flush(&self.socket, Some(peer)).map_err(Error::io("send"))?;
                }
                _ => {}
            }
            let done = |open: &Open| open.standing(peer) != Standing::Pending;
            state = self.progress(state, deadline, done)?;
            self.signal(&mut state);
        }
    }

    /// Sends what waits for `peer`, and waits for room in the kernel if it may.
    pub(super) fn push_out<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        peer: SocketAddr,
    ) -> Result<(), Error> {
        let mut deadline = None;
        loop {
            state
                .flush(&self.socket, Some(peer))
                .map_err(|error| Error::io(format!("send to {peer}"))(error))?;
            let is_full = state.open.as_ref().is_some_and(Open::is_full);
            // Non-blocking, it is accepted, and goes out with the next call.
            if !is_full || self.is_nonblocking() {
                self.set_alarm(&mut state);
                return Ok(());
            }
            let timeout = state.write_timeout;
            drop(state);
            if deadline.is_none() {
                deadline = timeout.map(|time| Instant::now() + time);
            }
            wait(self.socket.as_fd(), Interest::Write, deadline).map_err(Error::io("send"))?;
            state = self.lock();
        }
    }

    /// Goes on with everything that is under way; if that does not bring what `done` looks for,
    /// waits for the kernel, or for another thread that does so.
    pub(super) fn progress<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
        done: impl Fn(&Open) -> bool,
    ) -> Result<MutexGuard<'a, State>, Error> {
        loop {
            state.advance(&self.socket, self.context.current())?;
            self.set_alarm(&mut state);
            // It may have brought what another thread waits for.
            if state.waiting > 0 {
                self.progress.notify_all();
            }
            if state.open.as_ref().is_none_or(&done) {
                return Ok(state);
            }
            if state.is_interrupted {
                let source = io::ErrorKind::ConnectionAborted.into();
                return Err(Error::Io { doing: "go on".to_owned(), source });
            }
            self.signal(&mut state);
            if self.is_nonblocking() {
                // What is ready is taken out of the set, so that waiting on it is of use.
                let ready = self.ready.next(false).map_err(Error::io("wait"))?;
                state.was_called = ready == Some(SOCKET);
                // Datagrams that nobody fetches are ready for ever, and not waited for here.
                if matches!(ready, None | Some(MAIL)) {
                    return Err(Error::Io {
                        doing: "go on".to_owned(),
                        source: io::ErrorKind::WouldBlock.into(),
                    });
                }
                state.alarm = None;
                continue;
            }
            state = self.wait(state, deadline)?;
            if state.open.as_ref().is_none_or(&done) {
                return Ok(state);
            }
        }
    }

    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> Result<MutexGuard<'a, State>, Error> {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            let source = io::ErrorKind::TimedOut.into();
            return Err(Error::Io { doing: "go on".to_owned(), source });
        }
        if state.is_awaited {
            let left = left.unwrap_or(Duration::from_secs(3600));
            state.waiting += 1;
            let waited = self.progress.wait_timeout(state, left);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
            return Ok(state);
        }
        // The alarm costs a system call, and a wait that ends in time none.
        let due = state.open.as_ref().and_then(Open::next_deadline);
        let until = deadline.into_iter().chain(due).min();
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        state.is_awaited = true;
        state.awaited_until = until;
        drop(state);
        let woken = self.ready.next_within(left);
        let mut state = self.lock();
        state.is_awaited = false;
        if state.waiting > 0 {
            self.progress.notify_all();
        }
        match woken.map_err(Error::io("wait"))? {
            Some(ReadySet::ALARM) => state.alarm = None,
            Some(SOCKET) => state.was_called = true,
            _ => {}
        }
        Ok(state)
    }

    /// Has the descriptor be readable while decrypted datagrams wait, if somebody waits on it.
    pub(super) fn signal(&self, state: &mut State) {
        let is_watched = state.is_awaited || self.is_watched.load(Ordering::Relaxed);
        let has_mail = is_watched && state.open.as_ref().is_some_and(Open::has_mail);
        if has_mail != state.is_signalled {
            if has_mail {
                self.mail.raise()
            } else {
                self.mail.clear()
            }
            state.is_signalled = has_mail;
        }
    }

    /// Sets the alarm, if something is due before it rings, and before anybody who waits wakes by
    /// himself.
    pub(super) fn set_alarm(&self, state: &mut State) {
        let next = state.open.as_ref().and_then(Open::next_deadline);
        let Some(at) = next else { return };
        let is_needed = self.is_watched.load(Ordering::Relaxed)
            || (state.is_awaited && state.awaited_until.is_none_or(|until| at < until));
        if is_needed && state.alarm.is_none_or(|set| at < set) {
            // Without it, what is due waits for the next call.
            let _ = self.ready.set_alarm(at.saturating_duration_since(Instant::now()));
            state.alarm = Some(at);
        }
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        self.nonblocking.load(Ordering::Relaxed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside would be in our own code; the state it leaves is whole between calls of
        // the endpoint, which decides for itself what it still believes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
