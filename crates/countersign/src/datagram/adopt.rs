//! What a datagram socket needs whose descriptor and waiting are someone else's.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use countersign_dtls::{SendError, Standing};
use countersign_sys::{Progress, ReadySet};

use super::UdpSocket;
use super::state::{Open, State};
use super::udp::{SOCKET, order, size, would_block};
use crate::core::{WsaError, fold};
use crate::{Context, Error};

/// How often the kernel is asked for more before the caller has its thread back.
const STEPS: usize = 16;

impl UdpSocket {
    /// Takes over a UDP socket that was made elsewhere: fresh, or bound.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAEISCONN` if it has a peer; [`Error::Io`] if it is no UDP socket.
    pub fn adopt(context: &Context, descriptor: OwnedFd) -> Result<Self, Error> {
        let failed = || Error::io("take over a socket");
        let adopted = countersign_sys::adopt(descriptor).map_err(failed())?;
        if adopted.progress == Progress::Connected {
            let why = "the socket is connected";
            return Err(Error::Order { doing: "take over a socket", why, wsa: WsaError::IsConn });
        }
        let this = Self::from_socket(context, adopted.socket, adopted.local)?;
        if adopted.progress == Progress::Bound {
            this.lock().life.completed_bind();
        }
        Ok(this)
    }

    /// Goes on with [`Self::connect`] on a non-blocking socket.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`]; `WouldBlock` if it is still under way.
    pub fn finish_connect(&self) -> Result<(), Error> {
        let state = &mut *self.lock();
        let peer = state.connected.ok_or_else(|| order(state, "connect", WsaError::NotConn))?;
        let secured = self.secure_now(state, peer);
        let is_lost = secured.as_ref().is_err_and(|error| !error.is_would_block());
        state.life.completed_connect(!is_lost);
        secured
    }

    /// Returns how large the datagram is that the next receive gets, and who sent it; `None` if
    /// there is none yet. It goes on with what is under way, and never waits.
    ///
    /// # Errors
    ///
    /// As [`Self::recv_from`].
    pub fn look_ahead(&self) -> Result<Option<(usize, SocketAddr)>, Error> {
        self.peek_with(|from, datagram| (datagram.len(), from))
    }

    /// Copies the datagram that the next receive gets, and leaves it for that; `None` if there is
    /// none yet. The size returned is the datagram's, of which `into` may hold the beginning only.
    /// It never waits.
    ///
    /// # Errors
    ///
    /// As [`Self::recv_from`].
    pub fn try_peek_from(&self, into: &mut [u8]) -> Result<Option<(usize, SocketAddr)>, Error> {
        self.peek_with(|from, datagram| {
            let count = datagram.len().min(into.len());
            if let (Some(to), Some(from)) = (into.get_mut(..count), datagram.get(..count)) {
                to.copy_from_slice(from);
            }
            (datagram.len(), from)
        })
    }

    /// Waits until there is a datagram to receive.
    ///
    /// # Errors
    ///
    /// As [`Self::recv_from`].
    pub fn wait_for_datagram(&self) -> Result<(), Error> {
        let mut state = self.lock();
        self.open(&mut state)?;
        if state.open.as_ref().is_some_and(Open::has_mail) {
            return Ok(());
        }
        let deadline = state.read_timeout.map(|time| Instant::now() + time);
        let waited = self.progress(state, deadline, Open::has_mail);
        waited.map(drop).map_err(would_block)
    }

    /// Takes the next datagram without waiting, whatever the mode of the socket is; `None` if there
    /// is none yet. The size returned is the datagram's; what `into` has no room for is lost.
    ///
    /// # Errors
    ///
    /// As [`Self::recv_from`].
    pub fn try_recv_from(&self, into: &mut [u8]) -> Result<Option<(usize, SocketAddr)>, Error> {
        let mut state = self.lock();
        self.gather(&mut state)?;
        match self.take(state, into) {
            Ok(received) => received.map(Some),
            Err(_state) => Ok(None),
        }
    }

    /// Sends one datagram without waiting, whatever the mode of the socket is. The first one to a
    /// peer starts the handshake: send it again when [`Self::as_fd`](std::os::fd::AsFd) is ready.
    ///
    /// # Errors
    ///
    /// As [`Self::send_to`]; `WouldBlock` while the peer has not proved who it is.
    pub fn try_send_to(&self, datagram: &[u8], peer: SocketAddr) -> Result<usize, Error> {
        let peer = fold(peer);
        if datagram.is_empty() {
            return Err(size(datagram));
        }
        let mut state = self.ready_to_send(peer)?;
        self.secure_now(&mut state, peer)?;
        let sent = state.open.as_mut().map(|open| {
            let now = open.now();
            open.endpoint.send(peer, datagram, now)
        });
        match sent {
            Some(Ok(())) => {
                state.flush(&self.socket, Some(peer)).map_err(Error::io("send"))?;
                self.set_alarm(&mut state);
                Ok(datagram.len())
            }
            Some(Err(SendError::Size { .. })) => Err(size(datagram)),
            _ => Err(under_way()),
        }
    }

    /// Goes on finding out who `peer` is, without waiting.
    fn secure_now(&self, state: &mut State, peer: SocketAddr) -> Result<(), Error> {
        for is_first in [true, false] {
            let Some(open) = &mut state.open else { return Err(under_way()) };
            match open.standing(peer) {
                Standing::Secured => return Ok(()),
                Standing::Stranger => {
                    if let Some(error) = open.failure(peer, Instant::now(), true) {
                        return Err(error);
                    }
                    if is_first {
                        let Some(open) = &state.open else { return Err(under_way()) };
                        let (asked, kerberos) = state.plan(open, peer)?;
                        if let Some(open) = &mut state.open {
                            open.begin(peer, asked, kerberos)?;
                        }
                        state.flush(&self.socket, Some(peer)).map_err(Error::io("send"))?;
                    }
                }
                _ => {}
            }
            if is_first {
                self.go_on(state, |_| false)?;
            }
        }
        Err(under_way())
    }

    /// Goes on with everything that is under way, unless a datagram waits already.
    fn gather(&self, state: &mut State) -> Result<(), Error> {
        self.go_on(state, Open::has_mail)
    }

    /// Goes on with everything that is under way, until `done`.
    fn go_on(&self, state: &mut State, done: impl Fn(&Open) -> bool) -> Result<(), Error> {
        self.open(state)?;
        if state.open.as_ref().is_some_and(&done) {
            return Ok(());
        }
        // What is ready is taken out of the set, so that waiting on it is of use; it is looked at
        // afterwards, so nothing that arrives meanwhile is missed.
        for _ in 0..STEPS {
            let ready = self.ready.next(false).map_err(Error::io("wait"))?;
            match ready {
                None => break,
                Some(ReadySet::ALARM) => state.alarm = None,
                Some(SOCKET) => state.was_called = true,
                Some(_) => {}
            }
            state.advance(&self.socket, self.context.current())?;
            self.signal(state);
            self.progress.notify_all();
            if state.is_interrupted || state.open.as_ref().is_some_and(&done) {
                break;
            }
        }
        self.set_alarm(state);
        Ok(())
    }

    /// Ends the calls that wait, and all that would wait from now on, with `ConnectionAborted`: for
    /// a program that closes the socket while another thread uses it.
    pub fn interrupt(&self) {
        self.lock().is_interrupted = true;
        self.mail.raise();
        self.progress.notify_all();
    }

    fn peek_with<T>(
        &self,
        mut look: impl FnMut(SocketAddr, &[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        let state = &mut *self.lock();
        self.gather(state)?;
        let Some(open) = &state.open else { return Ok(None) };
        if let Some(ended) = open.first_ended() {
            return Err(ended);
        }
        let first = open.first_mail();
        Ok(first.map(|(from, datagram)| look(from, datagram)))
    }
}

fn under_way() -> Error {
    Error::Io { doing: "go on".to_owned(), source: io::ErrorKind::WouldBlock.into() }
}
