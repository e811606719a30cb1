//! The staged socket: security, names, bind, connect or listen, in the order of SPEC 3 to 7.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as Tcp};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_kerberos::Done;
use countersign_sys::{Exclusive, Interest, wait};
use countersign_tls::Engine;

use crate::clock;
use crate::context::Generation;
use crate::core::{
    Asked, Cleartext, ClientPlan, Credentials, Evidence, HandshakeError, KerberosFailure,
    KerberosUse, Lifecycle, QueryAnswer, QueryTemplate, SecurityInfo, SecuritySettings, SocketKind,
    Stage, TargetTable, WsaError,
};
use crate::kerberos::{Holder, Party, Task};
use crate::stream::{Advance, Channel, Handshake, Inbound};
use crate::{Context, Error, Incoming, PeerName, TcpListener, TcpStream};

#[cfg(feature = "tokio")]
mod asynchronous;

mod adopt;

/// A TCP socket that is secured in stages, as Winsock's are.
///
/// Security is set first, once; names at any time before the socket connects; then it connects, or
/// binds and listens. Whatever is not legal in a stage fails with the Winsock number of SPEC 3 and
/// changes nothing. A socket on which neither security nor a name was set is plain TCP, unless
/// policy requires security.
///
/// **Non-blocking.** [`Self::connect`] fails with `WouldBlock` and the connection is under way:
/// wait for [`Self::interest`] on the descriptor and call [`Self::finish_connect`], until that no
/// longer fails with `WouldBlock`. Deadlines are the caller's then.
///
/// # Examples
///
/// ```no_run
/// use countersign::{Context, Socket};
///
/// let context = Context::host()?;
/// let server = "10.0.0.5:5432".parse()?;
/// let mut socket = Socket::stream(&context, server)?;
/// socket.set_security(None)?;
/// socket.set_peer_target_name(server, "postgres/db1.example.com".parse()?)?;
/// socket.connect(server)?;
/// let stream = socket.into_stream()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Socket {
    context: Context,
    life: Lifecycle,
    settings: Option<SecuritySettings>,
    names: TargetTable,
    local: Option<SocketAddr>,
    nonblocking: bool,
    connect_timeout: Option<Duration>,
    handshake_timeout: Option<Duration>,
    started: Option<Instant>,
    failure: Option<HandshakeError>,
    /// What to connect once more with, if our certificate may have to stay back; there may be a
    /// password in it, so it goes as soon as that is known.
    again: Option<Box<Again>>,
    /// The program gave credentials for the connection under way.
    has_given: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Open(OwnedFd, Option<Exclusive>),
    Connecting(OwnedFd, SocketAddr, ConnectPlan),
    /// TCP is connected, and another thread looks whether we have tickets.
    Preparing(Box<Preparing>, SocketAddr),
    Handshaking(Box<Handshake>, Interest, SocketAddr),
    /// Another thread does work for the handshake.
    Working(Box<Handshake>, Task<Done>, SocketAddr),
    Stream(TcpStream),
    Listener(TcpListener),
    Spent,
}

/// What to do once TCP is connected.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and moved once")]
enum ConnectPlan {
    /// What policy and program say.
    First(FirstPlan),
    /// The same once more, and without our certificate.
    WithoutCertificate(Box<Again>),
}

/// What a connection begins with that offers a ticket and shows no certificate.
#[derive(Clone, Debug)]
struct Again {
    generation: Arc<Generation>,
    asked: Asked,
    kerberos: KerberosUse,
    party: Party,
    /// The first attempt's time counts.
    started: Instant,
}

/// What policy and program say.
#[derive(Debug)]
struct FirstPlan {
    plan: ClientPlan,
    generation: Arc<Generation>,
    /// What the program gave for this connection; wiped once it is used.
    credentials: Option<Credentials>,
}

/// What is waited with until it is known whether we have tickets.
#[derive(Debug)]
struct Preparing {
    socket: Tcp,
    generation: Arc<Generation>,
    asked: Asked,
    cleartext: Cleartext,
    party: Party,
    tickets: Task<Result<Holder, KerberosFailure>>,
    started: Instant,
}

impl Socket {
    /// Makes a TCP socket of the address family of `like`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the kernel has none left.
    pub fn stream(context: &Context, like: SocketAddr) -> Result<Self, Error> {
        let descriptor =
            countersign_sys::stream_socket(like).map_err(Error::io("make a socket"))?;
        let life = Lifecycle::new(SocketKind::Stream);
        Ok(Self::new(context, life, None, State::Open(descriptor, None)))
    }

    fn new(
        context: &Context,
        life: Lifecycle,
        settings: Option<SecuritySettings>,
        state: State,
    ) -> Self {
        Self {
            context: context.clone(),
            life,
            settings,
            names: TargetTable::default(),
            local: None,
            nonblocking: false,
            connect_timeout: None,
            handshake_timeout: None,
            started: None,
            failure: None,
            again: None,
            has_given: false,
            state,
        }
    }

    /// Turns security on (`WSASetSocketSecurity`, SPEC 4); `None` is the default of the policy.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] a second time or too late, [`Error::Plan`] for a protocol that this host
    /// does not provide.
    pub fn set_security(&mut self, settings: Option<SecuritySettings>) -> Result<(), Error> {
        let mut life = self.life.clone();
        life.set_security().map_err(|wsa| self.order("set security", wsa))?;
        let settings = settings.unwrap_or_default();
        self.context.current().policy.check_protocol(&settings)?;
        self.life = life;
        self.settings = Some(settings);
        Ok(())
    }

    /// Says who the peer at `address` must be (`WSASetSocketPeerTargetName`, SPEC 5). A zero
    /// address, port, or both stand for any; on a listener the name says who may connect.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] on a socket that is connected, or on the way.
    pub fn set_peer_target_name(
        &mut self,
        address: SocketAddr,
        name: PeerName,
    ) -> Result<(), Error> {
        let mut life = self.life.clone();
        life.set_peer_target_name(address).map_err(|wsa| self.order("set a target name", wsa))?;
        self.life = life;
        match &self.state {
            State::Listener(listener) => listener.set_peer_target_name(address, name),
            _ => {
                self.names.insert(address, name);
                Ok(())
            }
        }
    }

    /// Deletes the name for exactly this address (`WSADeleteSocketPeerTargetName`, SPEC 6); an
    /// unknown address is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] on a stream that is connected, or on the way.
    pub fn delete_peer_target_name(&mut self, address: SocketAddr) -> Result<(), Error> {
        self.life
            .delete_peer_target_name()
            .map_err(|wsa| self.order("delete a target name", wsa))?;
        match &self.state {
            State::Listener(listener) => listener.delete_peer_target_name(address),
            _ => {
                self.names.remove(address);
                Ok(())
            }
        }
    }

    /// Bounds how long connecting may take: TCP, and then the handshake; `None` is the policy's.
    pub fn set_timeouts(&mut self, connect: Option<Duration>, handshake: Option<Duration>) {
        self.connect_timeout = connect;
        self.handshake_timeout = handshake;
    }

    /// Makes operations fail with `WouldBlock` where they would wait.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn set_nonblocking(&mut self, nonblocking: bool) -> Result<(), Error> {
        self.nonblocking = nonblocking;
        match &self.state {
            State::Stream(stream) => {
                stream.set_nonblocking(nonblocking).map_err(Error::io("set the mode"))?;
            }
            State::Listener(listener) => listener.set_nonblocking(nonblocking),
            _ => {}
        }
        Ok(())
    }

    /// Takes a local address, for this socket alone (SPEC 4.8).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] as bind(2), [`Error::Order`] a second time.
    pub fn bind(&mut self, address: SocketAddr) -> Result<(), Error> {
        self.life.bind().map_err(|wsa| self.order("bind", wsa))?;
        let State::Open(descriptor, taken) = &mut self.state else {
            return Err(self.order("bind", WsaError::Inval));
        };
        let exclusive = countersign_sys::bind_exclusive(descriptor, address)
            .map_err(Error::io(format!("listen on {address}")))?;
        *taken = Some(exclusive);
        self.local = Some(address);
        self.life.completed_bind();
        Ok(())
    }

    /// Listens, with this many connections waiting in the kernel at most.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] unless it is bound, [`Error::NoCertificate`] if it is to be secured and
    /// there is nothing to prove who we are, [`Error::Io`] as listen(2).
    pub fn listen(&mut self, backlog: i32) -> Result<(), Error> {
        self.life.listen().map_err(|wsa| self.order("listen", wsa))?;
        let State::Open(descriptor, Some(taken)) = std::mem::replace(&mut self.state, State::Spent)
        else {
            return Err(self.order("listen", WsaError::Inval));
        };
        let listening = countersign_sys::listen(descriptor, backlog, taken)
            .map_err(Error::io(format!("listen on {}", self.local.unwrap_or(ANY))))?;
        let listener = TcpListener::new(
            listening,
            self.context.clone(),
            self.settings.clone(),
            self.names.clone(),
        )?;
        listener.set_nonblocking(self.nonblocking);
        self.state = State::Listener(listener);
        self.life.completed_listen();
        Ok(())
    }

    /// Accepts a client that is who it must be; the new socket has this one's security (SPEC
    /// 4.9).
    ///
    /// # Errors
    ///
    /// [`Error::Order`] unless it listens; [`Error::Handshake`] for a client that was turned
    /// away, after which the socket listens as before; [`Error::Io`] as accept(2).
    pub fn accept(&mut self) -> Result<(Self, SocketAddr), Error> {
        self.life.accept().map_err(|wsa| self.order("accept", wsa))?;
        let State::Listener(listener) = &self.state else {
            return Err(self.order("accept", WsaError::Inval));
        };
        match listener.next_event()? {
            Incoming::Accepted(stream, peer) => {
                let life = Lifecycle::accepted(&self.life);
                let settings = self.settings.clone();
                let accepted = Self::new(&self.context, life, settings, State::Stream(stream));
                Ok((accepted, peer))
            }
            Incoming::Refused(refusal) => {
                Err(Error::Handshake { peer: refusal.peer, source: refusal.error })
            }
        }
    }

    /// Connects to `address`, and returns once the peer has proved its name.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] if no name is known for the address (SPEC 5.5), and nothing was sent then;
    /// [`Error::Io`] as connect(2); [`Error::Handshake`] if the peer is not who it must be.
    pub fn connect(&mut self, address: SocketAddr) -> Result<(), Error> {
        let mut life = self.life.clone();
        life.connect().map_err(|wsa| self.order("connect", wsa))?;
        let generation = self.context.current();
        let plan = generation.policy.plan_client(self.settings.as_ref(), &self.names, address)?;
        let State::Open(descriptor, _) = std::mem::replace(&mut self.state, State::Spent) else {
            return Err(self.order("connect", WsaError::Inval));
        };
        self.life = life;
        let credentials = self.settings.as_mut().and_then(SecuritySettings::take_credentials);
        self.has_given = credentials.is_some();
        self.started = Some(Instant::now());
        let started = countersign_sys::start_connect(&descriptor, address)
            .map_err(Error::io(format!("connect to {address}")));
        self.or_failed(started)?;
        let plan = ConnectPlan::First(FirstPlan { plan, generation, credentials });
        self.state = State::Connecting(descriptor, address, plan);
        self.finish_connect()
    }

    /// Goes on with a connection that is under way on a non-blocking socket.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`]; `WouldBlock` if it is still under way.
    pub fn finish_connect(&mut self) -> Result<(), Error> {
        let limits = self.context.current().policy.limits();
        let tcp_deadline = self.connect_timeout.unwrap_or(limits.connect_timeout);
        let handshake_time = self.handshake_timeout.unwrap_or(limits.handshake_timeout);
        let mut turns = 0;
        if let State::Connecting(descriptor, address, _) = &self.state {
            let address = *address;
            let deadline = if self.nonblocking { Duration::ZERO } else { tcp_deadline };
            // A time beyond all clocks is for ever.
            let deadline = Instant::now().checked_add(deadline);
            let connected = match countersign_sys::wait_connected(descriptor.as_fd(), deadline) {
                Err(error) if self.nonblocking && error.kind() == io::ErrorKind::TimedOut => {
                    return Err(under_way());
                }
                connected => connected,
            };
            let connected = connected.map_err(Error::io(format!("connect to {address}")));
            self.or_failed(connected)?;
            self.begin_handshake()?;
            // Whom we have just greeted has not answered yet.
            turns = TURNS;
        }
        loop {
            match &self.state {
                State::Preparing(..) => self.continue_preparing(handshake_time)?,
                // A peer that sends without end is always ready, and the caller has other work.
                State::Handshaking(..) if self.nonblocking && turns == TURNS => {
                    return Err(under_way());
                }
                State::Handshaking(..) => {
                    turns += 1;
                    self.continue_handshake(handshake_time)?;
                }
                State::Working(..) => self.continue_working(handshake_time)?,
                _ => break,
            }
        }
        match self.state {
            State::Stream(_) => Ok(()),
            _ => Err(self.order("connect", WsaError::Inval)),
        }
    }

    /// Returns what protects the connection and who the peer is (`WSAQuerySocketSecurity`,
    /// SPEC 7). It never waits.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAENOTCONN` before there is a connection, and with
    /// `WSAECONNRESET` once the peer has reset it.
    pub fn query(&self) -> Result<SecurityInfo, Error> {
        self.life.query().map_err(|wsa| self.order("query", wsa))?;
        match &self.state {
            State::Stream(stream) => stream.query(),
            _ => Err(self.order("query", WsaError::NotConn)),
        }
    }

    /// Asks about the connection as `template` says; see [`TcpStream::query_with`]. Where the last
    /// connection was refused, a template that asks for the ids learns why (SPEC 7.4).
    ///
    /// # Errors
    ///
    /// As [`Self::query`] and [`TcpStream::query_with`].
    pub fn query_with(&self, template: &QueryTemplate) -> Result<QueryAnswer, Error> {
        if let (Stage::Failed, true, Some(error)) =
            (self.life.stage(), template.wants_sa_ids(), &self.failure)
        {
            return Ok(QueryAnswer::failed(error.clone()));
        }
        self.life.query().map_err(|wsa| self.order("query", wsa))?;
        match &self.state {
            State::Stream(stream) => stream.query_with(template),
            _ => Err(self.order("query", WsaError::NotConn)),
        }
    }

    /// Returns why the last connection was refused, if it was (SPEC 7.4).
    pub fn failure(&self) -> Option<&HandshakeError> {
        self.failure.as_ref()
    }

    /// Returns what to wait for on the descriptor before the next call, after `WouldBlock`.
    pub fn interest(&self) -> &'static [Interest] {
        match &self.state {
            State::Connecting(..) | State::Handshaking(_, Interest::Write, _) => &[Interest::Write],
            State::Stream(stream) => stream.interest(),
            _ => &[Interest::Read],
        }
    }

    /// Returns what protects the connection; `None` is cleartext, or no connection.
    pub fn evidence(&self) -> Option<&Evidence> {
        match &self.state {
            State::Stream(stream) => stream.evidence(),
            _ => None,
        }
    }

    /// Returns the address of this end, if it has one.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] before it is bound or connected.
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        match &self.state {
            State::Stream(stream) => stream.local_addr().map_err(Error::io("find the address")),
            State::Listener(listener) => Ok(listener.local_addr()),
            State::Open(descriptor, Some(_)) => descriptor
                .try_clone()
                .and_then(|descriptor| Tcp::from(descriptor).local_addr())
                .map_err(Error::io("find the address")),
            _ => Err(self.order("find the address", WsaError::Inval)),
        }
    }

    /// Becomes the stream that it is.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] unless it is connected.
    pub fn into_stream(self) -> Result<TcpStream, Error> {
        match self.state {
            State::Stream(stream) => Ok(stream),
            _ => Err(self.order("use the stream", WsaError::NotConn)),
        }
    }

    /// Becomes the listener that it is.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] unless it listens.
    pub fn into_listener(self) -> Result<TcpListener, Error> {
        match self.state {
            State::Listener(listener) => Ok(listener),
            _ => Err(self.order("use the listener", WsaError::Inval)),
        }
    }

    /// Says that no more will be written, or read; see [`TcpStream::shutdown`].
    ///
    /// # Errors
    ///
    /// As [`TcpStream::shutdown`]; `NotConnected` before there is a connection.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.connected()?.shutdown(how)
    }

    /// Returns the descriptor to wait on; none once a connection has failed. Ask for it anew after
    /// each `WouldBlock`: it is another one while a ticket is waited for, and when a connection is
    /// made anew in clear.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Open(descriptor, _) | State::Connecting(descriptor, ..) => {
                Some(descriptor.as_fd())
            }
            State::Preparing(preparing, _) => Some(preparing.tickets.as_fd()),
            State::Handshaking(handshake, ..) => Some(handshake.socket().as_fd()),
            State::Working(_, task, _) => Some(task.as_fd()),
            State::Stream(stream) => Some(stream.as_fd()),
            State::Listener(listener) => Some(listener.as_fd()),
            State::Spent => None,
        }
    }

    /// Returns the stream that it is, if it is connected.
    pub(crate) fn as_stream(&self) -> Option<&TcpStream> {
        self.connected().ok()
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        self.nonblocking
    }

    fn connected(&self) -> io::Result<&TcpStream> {
        match &self.state {
            State::Stream(stream) => Ok(stream),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Starts what the plan asks for on a connected socket.
    fn begin_handshake(&mut self) -> Result<(), Error> {
        let State::Connecting(descriptor, address, plan) =
            std::mem::replace(&mut self.state, State::Spent)
        else {
            return Ok(());
        };
        let socket = Tcp::from(descriptor);
        let FirstPlan { plan, generation, credentials } = match plan {
            ConnectPlan::First(plan) => plan,
            ConnectPlan::WithoutCertificate(again) => {
                return self.begin_without_certificate(socket, *again, address);
            }
        };
        match plan {
            ClientPlan::Tls { asked, kerberos, cleartext } => {
                let ready = socket.set_nodelay(true).map_err(Error::io("set the socket up"));
                self.or_failed(ready)?;
                let service = match &asked {
                    Asked::Name { name: PeerName::Service(service), .. } => Some(service.clone()),
                    _ => None,
                };
                match service {
                    Some(service) if kerberos != KerberosUse::Off => {
                        let party = generation.kerberos.client(&service, credentials);
                        let (party, credential) = self.or_refused(address, party)?;
                        if kerberos == KerberosUse::Require || credential.is_ready_for(&service) {
                            // There is no other way, so the tickets are looked for when they are
                            // needed: one wait for another thread instead of two. Or they are at
                            // hand.
                            let started = Instant::now();
                            let again = Again::new(&generation, &asked, kerberos, &party, started);
                            let engine = Engine::client_offering(
                                &generation.client,
                                asked,
                                kerberos,
                                clock::now(),
                            );
                            let engine = self.or_refused(address, engine)?;
                            self.again = again;
                            let handshake = Handshake::new(socket, engine, cleartext);
                            return self.settle(handshake.with_party(party).advance(), address);
                        }
                        let awaited = credential.awaits();
                        let tickets = Task::start(awaited, move || credential.holder());
                        let tickets = tickets.map_err(Error::io("start a thread for Kerberos"));
                        let tickets = self.or_failed(tickets)?;
                        let started = Instant::now();
                        let preparing = Preparing {
                            socket,
                            generation,
                            asked,
                            cleartext,
                            party,
                            tickets,
                            started,
                        };
                        self.state = State::Preparing(Box::new(preparing), address);
                        Ok(())
                    }
                    _ => {
                        let engine = Engine::client(&generation.client, asked, clock::now());
                        let engine = self.or_refused(address, engine)?;
                        self.settle(Handshake::new(socket, engine, cleartext).advance(), address)
                    }
                }
            }
            _ => {
                self.opened(Channel::clear(socket, Inbound::default()));
                Ok(())
            }
        }
    }

    /// Waits until it is known whether we have tickets, and begins: with an offer of Kerberos if
    /// we do, without if we do not.
    fn continue_preparing(&mut self, time: Duration) -> Result<(), Error> {
        let State::Preparing(preparing, address) = std::mem::replace(&mut self.state, State::Spent)
        else {
            return Ok(());
        };
        let deadline = self.not_after(preparing.started.checked_add(time));
        let waited = wait(preparing.tickets.as_fd(), Interest::Read, deadline);
        let found = match preparing.tickets.take() {
            Some(Ok(found)) => found,
            Some(Err(error)) => {
                let what = error.to_string();
                return self.or_refused(address, Err(HandshakeError::OurSide { what }));
            }
            None if self.nonblocking || waited.is_ok() => {
                self.state = State::Preparing(preparing, address);
                return if self.nonblocking { Err(under_way()) } else { Ok(()) };
            }
            None => Err(KerberosFailure::TimedOut { after: time }),
        };
        let Preparing { socket, generation, asked, cleartext, party, started, .. } = *preparing;
        let has_time = |holder: &Holder| holder.remaining.is_none_or(|left| !left.is_zero());
        let offer = match found {
            Ok(holder) if has_time(&holder) => KerberosUse::Prefer,
            Err(failure @ KerberosFailure::TimedOut { .. }) => {
                return self.or_refused(address, Err(failure));
            }
            _ => KerberosUse::Off,
        };
        self.again = Again::new(&generation, &asked, offer, &party, started);
        let engine = Engine::client_offering(&generation.client, asked, offer, clock::now());
        let engine = self.or_refused(address, engine)?;
        let handshake = Handshake::new(socket, engine, cleartext).started_at(started);
        let handshake = match offer {
            KerberosUse::Off => handshake,
            _ => handshake.with_party(party),
        };
        self.settle(handshake.advance(), address)
    }

    /// Begins once more with an offer of Kerberos, now without a certificate.
    fn begin_without_certificate(
        &mut self,
        socket: Tcp,
        again: Again,
        address: SocketAddr,
    ) -> Result<(), Error> {
        let ready = socket.set_nodelay(true).map_err(Error::io("set the socket up"));
        self.or_failed(ready)?;
        let Again { generation, asked, kerberos, party, started } = again;
        let config = generation.client.without_certificate();
        let engine = Engine::client_offering(&config, asked, kerberos, clock::now());
        let engine = self.or_refused(address, engine)?;
        // Who has agreed on a proof can do security, whatever it says now.
        let handshake = Handshake::new(socket, engine, Cleartext::Never).started_at(started);
        self.settle(handshake.with_party(party).advance(), address)
    }

    /// Waits for work of ours, and goes on.
    fn continue_working(&mut self, time: Duration) -> Result<(), Error> {
        let State::Working(handshake, task, address) =
            std::mem::replace(&mut self.state, State::Spent)
        else {
            return Ok(());
        };
        let limits = self.context.current().policy.limits();
        let deadline = self.not_after(handshake.deadline(time, limits.insecure_after));
        let waited = wait(task.as_fd(), Interest::Read, deadline);
        match task.take() {
            Some(done) => self.settle(handshake.resume(done.ok()), address),
            None if self.nonblocking || waited.is_ok() => {
                self.state = State::Working(handshake, task, address);
                if self.nonblocking { Err(under_way()) } else { Ok(()) }
            }
            None => {
                let error = HandshakeError::TimedOut { after: time };
                self.settle(handshake.give_up(error), address)
            }
        }
    }

    /// Returns until when to wait: not at all on a non-blocking socket.
    fn not_after(&self, deadline: Option<Instant>) -> Option<Instant> {
        if self.nonblocking { Some(Instant::now()) } else { deadline }
    }

    /// Waits as long as it may, and goes on.
    fn continue_handshake(&mut self, time: Duration) -> Result<(), Error> {
        let State::Handshaking(handshake, interest, address) =
            std::mem::replace(&mut self.state, State::Spent)
        else {
            return Ok(());
        };
        if self.nonblocking {
            // It finds out by itself whether the socket is ready.
            return self.settle(handshake.advance(), address);
        }
        let insecure_after = self.context.current().policy.limits().insecure_after;
        let deadline = handshake.deadline(time, insecure_after);
        let waited = wait(handshake.socket().as_fd(), interest, deadline);
        // A peer that sends without end is always ready, and has no more time for that.
        let is_over = deadline.is_some_and(|until| until <= Instant::now());
        match waited {
            Ok(()) if !is_over => self.settle(handshake.advance(), address),
            _ => {
                let error = HandshakeError::TimedOut { after: time };
                self.settle(handshake.give_up(error), address)
            }
        }
    }

    /// Acts on how far the handshake has come.
    fn settle(&mut self, advance: Advance, address: SocketAddr) -> Result<(), Error> {
        match advance {
            Advance::Open(channel) => {
                self.opened(*channel);
                Ok(())
            }
            Advance::Wait(handshake, interest) => {
                self.state = State::Handshaking(handshake, interest, address);
                Ok(())
            }
            Advance::Work(handshake, work) => {
                let task = Task::perform(work);
                let task =
                    self.or_failed(task.map_err(Error::io("start a thread for Kerberos")))?;
                self.state = State::Working(handshake, task, address);
                Ok(())
            }
            Advance::TryInClear => self.connect_in_clear(address),
            Advance::Refused(waiting, source) => {
                if let (HandshakeError::CertificateWithheld { .. }, Some(again)) =
                    (&source, self.again.take())
                {
                    let _ = waiting.drain();
                    drop(waiting);
                    let plan = ConnectPlan::WithoutCertificate(again);
                    return self.connect_again(address, plan, "without a certificate");
                }
                // The alert has gone out; what the peer still sends is of no interest, but must
                // not turn the close into a reset that destroys it.
                let _ = waiting.drain();
                self.failure = Some(source.clone());
                self.life.completed_connect(false);
                Err(Error::Handshake { peer: address, source })
            }
        }
    }

    /// Connects anew without protection, as `ALLOW_INSECURE` and policy permit, to a peer that
    /// cannot do better: on the first connection it has seen our greeting, which it did not
    /// understand.
    fn connect_in_clear(&mut self, address: SocketAddr) -> Result<(), Error> {
        let (plan, generation) = (ClientPlan::Clear, self.context.current());
        let plan = ConnectPlan::First(FirstPlan { plan, generation, credentials: None });
        self.connect_again(address, plan, "in clear")
    }

    /// Connects anew, `how` in words.
    fn connect_again(
        &mut self,
        address: SocketAddr,
        plan: ConnectPlan,
        how: &str,
    ) -> Result<(), Error> {
        let again = countersign_sys::stream_socket(address).and_then(|descriptor| {
            if let Some(local) = self.local {
                countersign_sys::bind_exclusive(&descriptor, local)?;
            }
            countersign_sys::start_connect(&descriptor, address)?;
            Ok(descriptor)
        });
        let again = again.map_err(Error::io(format!("connect to {address} {how}")));
        let descriptor = self.or_failed(again)?;
        self.started = Some(Instant::now());
        self.state = State::Connecting(descriptor, address, plan);
        self.finish_connect()
    }

    fn opened(&mut self, channel: Channel) {
        self.again = None;
        let channel = if self.has_given { channel.with_given_credentials() } else { channel };
        let stream = TcpStream::new(channel, &self.context);
        // It cannot fail: the mode is a flag of ours.
        let _ = stream.set_nonblocking(self.nonblocking);
        self.state = State::Stream(stream);
        self.life.completed_connect(true);
    }

    /// As [`Self::or_failed`], for what the handshake came to.
    fn or_refused<T>(
        &mut self,
        peer: SocketAddr,
        result: Result<T, impl Into<HandshakeError>>,
    ) -> Result<T, Error> {
        let result = result.map_err(|source| {
            let source = source.into();
            self.failure = Some(source.clone());
            Error::Handshake { peer, source }
        });
        self.or_failed(result)
    }

    fn or_failed<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.again = None;
            self.life.completed_connect(false);
            self.state = State::Spent;
        }
        result
    }

    fn order(&self, doing: &'static str, wsa: WsaError) -> Error {
        let why = match (wsa, self.life.stage()) {
            (WsaError::IsConn, _) => "the socket is connected",
            (WsaError::ConnReset, _) => "the peer has reset the connection",
            (WsaError::NotConn, _) => "the socket is not connected",
            (_, Stage::Bound) => "the socket is bound already",
            (_, Stage::Connecting) => "a connection is being made",
            (_, Stage::Failed) => "a connection was refused, and the socket is used up",
            (_, Stage::Listening) => "the socket listens",
            (_, Stage::Fresh) if doing == "set security" => "it was set before",
            _ => "the socket is not in the state for it",
        };
        Error::Order { doing, why, wsa }
    }
}

impl Again {
    /// Takes down what a second connection would begin with; `None` if the first shows no
    /// certificate that could have to stay back.
    fn new(
        generation: &Arc<Generation>,
        asked: &Asked,
        kerberos: KerberosUse,
        party: &Party,
        started: Instant,
    ) -> Option<Box<Self>> {
        let is_of_use = generation.credential.is_some() && kerberos != KerberosUse::Off;
        is_of_use.then(|| {
            let (generation, asked, party) = (generation.clone(), asked.clone(), party.clone());
            Box::new(Self { generation, asked, kerberos, party, started })
        })
    }
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// How often one call that does not wait goes on with a handshake.
const TURNS: usize = 1;

fn under_way() -> Error {
    Error::Io { doing: "connect".to_owned(), source: io::ErrorKind::WouldBlock.into() }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.connected()?.read(into)
    }

    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.connected()?.read_vectored(slices)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.connected()?.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.connected()?.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.connected()?.flush()
    }
}
