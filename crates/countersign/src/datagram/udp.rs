//! The datagram socket that programs hold.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use countersign_dtls::{Config, SendError};
use countersign_sys::{MAX_SEGMENTS, ReadySet, Signal};

use super::state::State;
use crate::core::{
    Credentials, KerberosUse, Lifecycle, SecuritySettings, SessionId, SocketKind, Stage,
    TargetTable, WsaError, fold,
};
use crate::kerberos::given_by_program;
use crate::listener::Refusal;
use crate::{Context, Error, PeerName};

/// A UDP socket that talks to many peers, each of which has proved who it is.
///
/// Used like [`std::net::UdpSocket`]: one datagram sent is one datagram received, or none. Say with
/// [`Self::set_peer_target_name`] who must be at an address, then send there. The first datagram
/// to a peer waits for its proof (DTLS 1.2), and nothing is ever sent in clear. A peer that sends
/// first is asked for its proof before a byte of it is handed out: it must hold the name that is
/// set for its address or, where none is, pass the policy's `[[allow]]` rules. If a peer proves itself
/// anew at an address, perhaps as somebody else, what came from there before and was not fetched is
/// lost, so that [`Self::query`] speaks of whoever sent what was received last, if no other thread
/// uses the socket in between; [`Self::send_within`] answers nobody else.
///
/// All methods take `&self`; one thread can receive while another sends. Handshakes advance inside
/// [`Self::send_to`] and [`Self::recv_from`]; while no thread is in one of them, peers wait.
///
/// **Size.** A datagram has at most [`Self::max_datagram_size`] bytes and at least one; another
/// size is refused with `WSAEMSGSIZE` (`WSAEINVAL` if it is empty), never cut.
///
/// **Kerberos.** Where policy says so, or the program gives credentials, tickets prove names as on
/// streams, inside the association and before the first datagram. Other threads ask the KDC: a silent
/// one delays nobody but the peer whose ticket it has, and no longer than handshakes take.
///
/// **Non-blocking.** After [`Self::set_nonblocking`], wait until the descriptor of
/// [`Self::as_fd`] can be read, then receive until `WouldBlock`. That descriptor (epoll(7)) stands
/// for the socket, its timers and the datagrams that have been decrypted already. A first
/// datagram to a peer fails with `WouldBlock` and starts the handshake: send it again later.
///
/// # Examples
///
/// ```no_run
/// let socket = countersign::UdpSocket::bind("0.0.0.0:0")?;
/// let (metrics, logs) = ("10.0.0.5:8125".parse()?, "10.0.0.6:514".parse()?);
/// socket.set_peer_target_name(metrics, "statsd/metrics.example.com".parse()?)?;
/// socket.set_peer_target_name(logs, "syslog/logs.example.com".parse()?)?;
/// socket.send_to(b"requests:1|c", metrics)?;
/// socket.send_to(b"<14>hello", logs)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    pub(super) socket: OwnedFd,
    pub(super) ready: Arc<ReadySet>,
    pub(super) mail: Signal,
    pub(super) context: Context,
    pub(super) state: Mutex<State>,
    pub(super) progress: Condvar,
    pub(super) nonblocking: AtomicBool,
    /// Somebody has the descriptor, and may wait on it.
    pub(super) is_watched: AtomicBool,
}

/// What came of waiting for a datagram.
#[non_exhaustive]
#[derive(Debug)]
pub enum Received {
    /// A datagram of so many bytes, and who sent it.
    Datagram(usize, SocketAddr),
    /// A peer that began a handshake is not who it must be, and was turned away.
    Refused(Refusal),
}

pub(super) const SOCKET: u64 = 0;
pub(super) const MAIL: u64 = 1;
/// Other threads have done work for Kerberos.
pub(super) const WORK: u64 = 2;

impl UdpSocket {
    /// Takes a local address with the context of the host.
    ///
    /// # Errors
    ///
    /// [`Error`], which says who must act and what to try.
    pub fn bind(address: impl ToSocketAddrs) -> Result<Self, Error> {
        Self::bind_with(&Context::host()?, address)
    }

    /// Takes a local address with this context, for this socket alone (SPEC 4.8).
    ///
    /// # Errors
    ///
    /// As [`Self::bind`].
    pub fn bind_with(context: &Context, address: impl ToSocketAddrs) -> Result<Self, Error> {
        let mut last = None;
        for address in address.to_socket_addrs().map_err(Error::io("resolve the address"))? {
            let socket = Self::unbound(context, address)?;
            socket.set_security(None)?;
            match socket.bind_to(address) {
                Ok(()) => return Ok(socket),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::Io {
            doing: "resolve the address".to_owned(),
            source: io::ErrorKind::NotFound.into(),
        }))
    }

    /// Makes a socket of the address family of `like`, to be set up in stages.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the kernel has none left.
    pub fn unbound(context: &Context, like: SocketAddr) -> Result<Self, Error> {
        let socket = countersign_sys::datagram_socket(like).map_err(Error::io("make a socket"))?;
        let local = match like {
            SocketAddr::V4(_) => SocketAddr::from(([0; 4], 0)),
            SocketAddr::V6(_) => SocketAddr::from(([0_u16; 8], 0)),
        };
        Self::from_socket(context, socket, local)
    }

    pub(super) fn from_socket(
        context: &Context,
        socket: OwnedFd,
        local: SocketAddr,
    ) -> Result<Self, Error> {
        let failed = || Error::io("make a socket");
        countersign_sys::tell_complaints(&socket, local).map_err(failed())?;
        let ready = ReadySet::new().map_err(failed())?;
        let mail = Signal::new().map_err(failed())?;
        ready.add(&socket, SOCKET).map_err(failed())?;
        ready.add(&mail, MAIL).map_err(failed())?;
        let state = State {
            life: Lifecycle::new(SocketKind::Datagram),
            settings: None,
            given: None,
            names: TargetTable::default(),
            local,
            connected: None,
            open: None,
            mtu: Config::DEFAULT_MTU,
            read_timeout: None,
            write_timeout: None,
            is_awaited: false,
            awaited_until: None,
            waiting: 0,
            was_called: false,
            alarm: None,
            is_signalled: false,
            is_interrupted: false,
        };
        Ok(Self {
            socket,
            ready: Arc::new(ready),
            mail,
            context: context.clone(),
            state: Mutex::new(state),
            progress: Condvar::new(),
            nonblocking: AtomicBool::new(false),
            is_watched: AtomicBool::new(false),
        })
    }

    /// Sets security (`WSASetSocketSecurity`, SPEC 4); `None` is the default of the policy. A
    /// datagram socket is secured without it as well, and `ALLOW_INSECURE` has no effect on it.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] a second time or too late, [`Error::Plan`] for a protocol that this host
    /// does not provide, [`Error::Kerberos`] for credentials that cannot be any.
    pub fn set_security(&self, settings: Option<SecuritySettings>) -> Result<(), Error> {
        let state = &mut *self.lock();
        let mut life = state.life.clone();
        life.set_security().map_err(|wsa| order(state, "set security", wsa))?;
        let mut settings = settings.unwrap_or_default();
        self.context.current().policy.check_protocol(&settings)?;
        if let Some(given) = settings.take_credentials() {
            state.given = Some(given_by_program(&given)?);
            // They count for every peer, so that there were some stays known; the password does not.
            let (user, domain) = (given.user().to_owned(), given.domain().to_owned());
            settings = settings.with_credentials(Credentials::new(user, domain, String::new()));
        }
        state.life = life;
        state.settings = Some(settings);
        Ok(())
    }

    /// Says who the peer at `address` must be (`WSASetSocketPeerTargetName`, SPEC 5). A zero
    /// address or port stands for any.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] if address and port are zero, on a connected socket, and with
    /// `WSAEISCONN` if a peer that it concerns has an association under another name already:
    /// [`Self::disconnect`] ends that.
    pub fn set_peer_target_name(&self, address: SocketAddr, name: PeerName) -> Result<(), Error> {
        let state = &mut *self.lock();
        let mut life = state.life.clone();
        life.set_peer_target_name(address).map_err(|wsa| order(state, "set a target name", wsa))?;
        let mut names = state.names.clone();
        names.insert(address, name);
        if state.conflict(&names).is_some() {
            let why = "a peer there has an association under another name";
            return Err(Error::Order { doing: "set a target name", why, wsa: WsaError::IsConn });
        }
        state.life = life;
        state.names = names;
        Ok(())
    }

    /// Deletes the name for exactly this address (`WSADeleteSocketPeerTargetName`, SPEC 6); an
    /// unknown address is no error. Live associations stay.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn delete_peer_target_name(&self, address: SocketAddr) -> Result<(), Error> {
        let state = &mut *self.lock();
        state
            .life
            .delete_peer_target_name()
            .map_err(|wsa| order(state, "delete a target name", wsa))?;
        state.names.remove(address);
        Ok(())
    }

    /// Sets the largest UDP payload that is sent, handshakes included, before the first use;
    /// 1,400 bytes is what passes nearly everywhere in one piece.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] outside of 512 to 16,384, or after the first use.
    pub fn set_mtu(&self, mtu: u16) -> Result<(), Error> {
        let state = &mut *self.lock();
        if state.open.is_some() || !(Config::MIN_MTU..=Config::MAX_MTU).contains(&mtu) {
            let why = "it must be 512 to 16384, and set before the first use";
            return Err(Error::Order { doing: "set the MTU", why, wsa: WsaError::Inval });
        }
        state.mtu = mtu;
        Ok(())
    }

    /// Takes a local address, for this socket alone (SPEC 4.8). Who takes a port by its number waits
    /// for peers there; so if policy has servers prove themselves by Kerberos, its keys are
    /// [checked](Self::check_keys) first.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] as bind(2), [`Error::Order`] a second time, and as [`Self::check_keys`].
    pub fn bind_to(&self, address: SocketAddr) -> Result<(), Error> {
        let state = &mut *self.lock();
        state.life.bind().map_err(|wsa| order(state, "bind", wsa))?;
        if address.port() != 0 {
            self.check_keys()?;
        }
        countersign_sys::bind_datagrams(&self.socket, address)
            .map_err(Error::io(format!("bind {address}")))?;
        state.local =
            countersign_sys::local_address(&self.socket).map_err(Error::io("find the address"))?;
        state.life.completed_bind();
        Ok(())
    }

    /// Finds out whether this socket can prove who it is to peers that greet it, where policy has
    /// servers do so by Kerberos: that there is a keytab, with the keys of the services that are
    /// named. Where it cannot, such peers are turned away, and [`Self::next_event`] says why.
    ///
    /// # Errors
    ///
    /// [`Error::Kerberos`] if the keytab cannot be used, [`Error::NoService`] if policy names no
    /// service.
    pub fn check_keys(&self) -> Result<(), Error> {
        let generation = self.context.current();
        match generation.policy.kerberos().server.unwrap_or_default() {
            KerberosUse::Off => Ok(()),
            _ => generation.kerberos.server().map(drop),
        }
    }

    /// Talks to `peer` alone from now on, and returns once it has proved who it is. Associations
    /// with others end.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] if no name is known for the address (SPEC 5.5), and nothing was sent then;
    /// [`Error::Handshake`] if the peer is not who it must be, and the socket is used up then;
    /// `WouldBlock` on a non-blocking socket: the next send finds out how it went.
    pub fn connect(&self, peer: SocketAddr) -> Result<(), Error> {
        let mut state = self.lock();
        let mut life = state.life.clone();
        life.connect().map_err(|wsa| order(&state, "connect", wsa))?;
        self.open(&mut state)?;
        if let Some(open) = &state.open {
            state.plan(open, peer)?;
        }
        countersign_sys::connect_datagrams(&self.socket, peer)
            .map_err(Error::io(format!("connect to {peer}")))?;
        state.local =
            countersign_sys::local_address(&self.socket).map_err(Error::io("find the address"))?;
        let only = fold(peer);
        state.life = life;
        state.connected = Some(only);
        if let Some(open) = &mut state.open {
            open.keep_mail_of(only);
            open.proofs.search_only(only);
            let others: Vec<SocketAddr> =
                open.endpoint.peers().map(|(other, _)| other).filter(|it| *it != only).collect();
            let now = open.now();
            for other in others {
                open.endpoint.close(other, now);
            }
        }
        match self.secure(state, only) {
            Ok(mut state) => {
                state.life.completed_connect(true);
                Ok(())
            }
            Err(error) => {
                self.lock().life.completed_connect(error.is_would_block());
                Err(error)
            }
        }
    }

    /// Sends one datagram to `peer`, once it has proved who it is.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] if no name is known for the address (SPEC 5.5); [`Error::Handshake`] if the
    /// peer is not who it must be; [`Error::Order`] with `WSAEMSGSIZE` or `WSAEINVAL` for its size;
    /// [`Error::Io`] as sendto(2), `TimedOut` if a write time-out is over, `WouldBlock` on a
    /// non-blocking socket.
    pub fn send_to(&self, datagram: &[u8], peer: SocketAddr) -> Result<usize, Error> {
        let mut state = self.ready_to_send(fold(peer))?;
        let peer = fold(peer);
        loop {
            let sent = state.open.as_mut().map(|open| {
                let now = open.now();
                open.endpoint.send(peer, datagram, now)
            });
            match sent {
                Some(Ok(())) => return self.push_out(state, peer).map(|()| datagram.len()),
                Some(Err(SendError::Size { .. })) => return Err(size(datagram)),
                _ if datagram.is_empty() => return Err(size(datagram)),
                _ => state = self.secure(state, peer)?,
            }
        }
    }

    /// Sends one datagram to `peer` in this session and no other: what is meant for one who has proved
    /// a name must not go to another who comes to the same address at that moment.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAENOTCONN` if the session is over; else as [`Self::send_to`].
    pub fn send_within(
        &self,
        session: SessionId,
        datagram: &[u8],
        peer: SocketAddr,
    ) -> Result<usize, Error> {
        let peer = fold(peer);
        let mut state = self.ready_to_send(peer)?;
        let sent = state.open.as_mut().and_then(|open| {
            let now = open.now();
            let is_same = open.endpoint.evidence(peer).is_some_and(|it| it.session() == session);
            is_same.then(|| open.endpoint.send(peer, datagram, now))
        });
        match sent {
            Some(Ok(())) => self.push_out(state, peer).map(|()| datagram.len()),
            Some(Err(SendError::Size { .. })) => Err(size(datagram)),
            _ => Err(order(&state, "send", WsaError::NotConn)),
        }
    }

    /// Sends datagrams to `peer` in one go, once it has proved who it is; returns how many were
    /// sent. Where neighbours have one size the kernel takes up to 64 of them in one call
    /// (UDP_SEGMENT of udp(7)), which saves most of what small datagrams cost. The network still
    /// sees each by itself.
    ///
    /// # Errors
    ///
    /// As [`Self::send_to`], about the first that cannot be sent; what stands before it was sent.
    pub fn send_many_to(&self, datagrams: &[&[u8]], peer: SocketAddr) -> Result<usize, Error> {
        let peer = fold(peer);
        let mut state = self.ready_to_send(peer)?;
        let mut sent = 0;
        for burst in datagrams.chunks(MAX_SEGMENTS) {
            for datagram in burst {
                state = loop {
                    let tried = state.open.as_mut().map(|open| {
                        let now = open.now();
                        open.endpoint.send(peer, datagram, now)
                    });
                    match tried {
                        Some(Ok(())) => break state,
                        Some(Err(SendError::NotSecured)) | None if !datagram.is_empty() => {
                            state = self.secure(state, peer)?;
                        }
                        _ => {
                            self.push_out(state, peer)?;
                            return Err(size(datagram));
                        }
                    }
                };
            }
            self.push_out(state, peer)?;
            sent += burst.len();
            state = self.lock();
        }
        Ok(sent)
    }

    /// Checks that a datagram may go to `peer`, and opens the socket.
    pub(super) fn ready_to_send(&self, peer: SocketAddr) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.lock();
        match (state.connected, state.life.stage()) {
            (Some(only), _) if only != peer => Err(order(&state, "send", WsaError::IsConn)),
            (_, Stage::Failed) => Err(order(&state, "send", WsaError::NotConn)),
            _ => {
                self.open(&mut state)?;
                state.follow_policy(|| self.context.current());
                match state.open.as_mut().and_then(|open| open.take_ended(Some(peer))) {
                    Some(ended) => Err(ended),
                    None => Ok(state),
                }
            }
        }
    }

    /// Sends one datagram to the peer that the socket is connected to.
    ///
    /// # Errors
    ///
    /// As [`Self::send_to`]; [`Error::Order`] with `WSAENOTCONN` on a socket that is not connected.
    pub fn send(&self, datagram: &[u8]) -> Result<usize, Error> {
        let peer = self.peer()?;
        self.send_to(datagram, peer)
    }

    /// Receives one datagram of a peer that has proved who it is, and says where it came from.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAEMSGSIZE` if it is larger than `into`, which then holds its
    /// beginning, the rest being lost; [`Error::Io`] with `WouldBlock` on a non-blocking socket, and
    /// when a read time-out is over.
    pub fn recv_from(&self, into: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        whole(self.recv_cut_from(into)?, into)
    }

    /// As [`Self::recv_from`], but of a datagram that is larger than `into` it says how large it
    /// was and where it came from; its rest is lost all the same.
    ///
    /// # Errors
    ///
    /// As [`Self::recv_from`], but for `WSAEMSGSIZE`.
    pub fn recv_cut_from(&self, into: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        let mut state = self.lock();
        self.open(&mut state)?;
        loop {
            state = match self.take(state, into) {
                Ok(received) => return received,
                Err(state) => self.await_mail(state)?,
            };
        }
    }

    /// Receives one datagram as [`Self::recv_from`], or tells of a peer that was turned away, for
    /// the log of a server. Peers that were turned away are kept for this call, 1,024 at most.
    ///
    /// # Errors
    ///
    /// As [`Self::recv_from`].
    pub fn next_event(&self, into: &mut [u8]) -> Result<Received, Error> {
        let mut state = self.lock();
        self.open(&mut state)?;
        loop {
            if let Some(open) = &mut state.open {
                open.tells_refusals = true;
                if let Some(refusal) = open.take_refusal() {
                    self.signal(&mut state);
                    return Ok(Received::Refused(refusal));
                }
            }
            state = match self.take(state, into) {
                Ok(received) => {
                    let (size, from) = whole(received?, into)?;
                    return Ok(Received::Datagram(size, from));
                }
                Err(state) => self.await_mail(state)?,
            };
        }
    }

    /// Takes a datagram that has arrived, or gives the state back.
    pub(super) fn take<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        into: &mut [u8],
    ) -> Result<Result<(usize, SocketAddr), Error>, MutexGuard<'a, State>> {
        state.follow_policy(|| self.context.current());
        let Some(open) = &mut state.open else { return Err(state) };
        if let Some(ended) = open.take_ended(None) {
            self.signal(&mut state);
            return Ok(Err(ended));
        }
        let Some((from, datagram)) = open.take_mail() else { return Err(state) };
        self.signal(&mut state);
        drop(state);
        let count = datagram.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), datagram.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(Ok((datagram.len(), from)))
    }

    fn await_mail<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>, Error> {
        let deadline = state.read_timeout.map(|time| Instant::now() + time);
        self.progress(state, deadline, |open| open.has_mail()).map_err(would_block)
    }

    /// Receives one datagram of the peer that the socket is connected to.
    ///
    /// # Errors
    ///
    /// As [`Self::recv_from`]; [`Error::Order`] with `WSAENOTCONN` on a socket that is not
    /// connected.
    pub fn recv(&self, into: &mut [u8]) -> Result<usize, Error> {
        self.peer()?;
        Ok(self.recv_from(into)?.0)
    }

    /// Ends the association with a peer, if there is one; the next datagram makes a new one.
    pub fn disconnect(&self, peer: SocketAddr) {
        let mut state = self.lock();
        if let Some(open) = &mut state.open {
            let now = open.now();
            open.proofs.cancel_search(fold(peer));
            open.endpoint.close(peer, now);
        }
        // What cannot be sent now, the peer finds out by silence.
        let _ = state.flush(&self.socket, None);
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// As getsockname(2).
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        countersign_sys::local_address(&self.socket).map_err(Error::io("find the address"))
    }

    /// Returns the address of the peer that the socket is connected to.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAENOTCONN` on a socket that is not connected.
    pub fn peer_addr(&self) -> Result<SocketAddr, Error> {
        self.peer()
    }

    /// Makes operations fail with `WouldBlock` where they would wait.
    pub fn set_nonblocking(&self, nonblocking: bool) {
        self.nonblocking.store(nonblocking, Ordering::Relaxed);
    }

    /// Bounds how long a receive waits; `None` is for ever. Then it fails with `WouldBlock`.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) {
        self.lock().read_timeout = timeout;
    }

    /// Bounds how long a send waits for the handshake and for the kernel, beside the policy's
    /// `limits.handshake-timeout-ms`. Then it fails with `TimedOut`; a handshake goes on.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) {
        self.lock().write_timeout = timeout;
    }

    /// Returns the context that says who acts for a peer.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    fn peer(&self) -> Result<SocketAddr, Error> {
        let state = self.lock();
        state.connected.ok_or_else(|| order(&state, "find the peer", WsaError::NotConn))
    }
}

impl AsFd for UdpSocket {
    /// A descriptor that can be read when there is something to receive or to go on with. The
    /// socket itself is not given out: what is sent on it directly would be in clear.
    fn as_fd(&self) -> BorrowedFd<'_> {
        if !self.is_watched.swap(true, Ordering::Relaxed) {
            let state = &mut *self.lock();
            self.signal(state);
            self.set_alarm(state);
        }
        self.ready.as_fd()
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        let mut state = self.lock();
        if let Some(open) = &mut state.open {
            let now = open.now();
            open.endpoint.close_all(now);
        }
        // What cannot be sent now, the peers find out by silence.
        let _ = state.flush(&self.socket, None);
    }
}

pub(super) fn size(datagram: &[u8]) -> Error {
    if datagram.is_empty() {
        let why = "an empty datagram cannot be protected";
        return Error::Order { doing: "send", why, wsa: WsaError::Inval };
    }
    let why = "the datagram is larger than max_datagram_size";
    Error::Order { doing: "send", why, wsa: WsaError::MsgSize }
}

/// Refuses a datagram of which a part was lost.
fn whole((size, from): (usize, SocketAddr), into: &[u8]) -> Result<(usize, SocketAddr), Error> {
    if size > into.len() {
        let why = "the datagram is larger than the buffer, and its rest is lost";
        return Err(Error::Order { doing: "receive", why, wsa: WsaError::MsgSize });
    }
    Ok((size, from))
}

/// A receive that waited in vain says so as those of the standard library do.
pub(super) fn would_block(error: Error) -> Error {
    match error {
        Error::Io { doing, source } if source.kind() == io::ErrorKind::TimedOut => {
            Error::Io { doing, source: io::ErrorKind::WouldBlock.into() }
        }
        other => other,
    }
}

pub(super) fn order(state: &State, doing: &'static str, wsa: WsaError) -> Error {
    let why = match (wsa, state.life.stage()) {
        (WsaError::IsConn, _) => "the socket is connected to another peer",
        (WsaError::NotConn, Stage::Failed) => "its peer was refused, and the socket is used up",
        (WsaError::Inval, _) if doing == "query" => "a peer's address and port are needed",
        (WsaError::NotConn, _) => "no peer there has proved who it is",
        (_, Stage::Bound) => "the socket is bound already",
        (_, Stage::Fresh) if doing == "set security" => "it was set before",
        (_, Stage::Fresh) => "address and port are both zero",
        _ => "the socket is not in the state for it",
    };
    Error::Order { doing, why, wsa }
}
