//! Two ends and the wire between them, in memory and at a time of the test's choosing. Minutes of
//! protocol take milliseconds, and nothing is ever waited for.

use countersign_core::Timestamp;
use countersign_tls::Engine;

use crate::{End, Wire};

/// A client and a server.
///
/// Of every end it checks what no end may ever do: hand out plaintext before it is secured.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pair<C: End = Engine, S: End = Engine> {
    /// The client.
    pub client: Side<C>,
    /// The server.
    pub server: Side<S>,
    /// What the client transmitted.
    pub to_server: Wire,
    /// What the server transmitted.
    pub to_client: Wire,
    /// The time.
    pub now: Timestamp,
    stride: usize,
}

/// One side of a pair, and what has become of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Side<E: End> {
    /// The end itself.
    pub end: E,
    /// What it had when the handshake was done.
    pub secured: Option<E::Secured>,
    /// Why it gave up.
    pub failure: Option<E::Failure>,
    /// The plaintext that it received.
    pub received: Vec<u8>,
    /// Whether its peer said that it will send no more.
    pub is_closed: bool,
}

/// What a handshake came to on each side. A side that was secured and failed later, failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ending<C: End = Engine, S: End = Engine> {
    /// What the client came to.
    pub client: Result<C::Secured, C::Failure>,
    /// What the server came to.
    pub server: Result<S::Secured, S::Failure>,
}

impl<C: End, S: End> Pair<C, S> {
    /// Joins two ends.
    pub fn new(client: C, server: S, now: Timestamp) -> Self {
        Self {
            client: Side::new(client),
            server: Side::new(server),
            to_server: Wire::default(),
            to_client: Wire::default(),
            now,
            stride: usize::MAX,
        }
    }

    /// Lets bytes arrive one by one.
    #[must_use]
    pub fn byte_by_byte(mut self) -> Self {
        self.stride = 1;
        self
    }

    /// Runs the handshake to its end on both sides. A side that gives up also hangs up, after it
    /// has said why.
    ///
    /// # Panics
    ///
    /// If both sides wait for each other.
    pub fn handshake(&mut self) -> Ending<C, S> {
        self.run();
        // Twice, because a side may give up over the end of its peer.
        for _ in 0..2 {
            if self.client.failure.is_some() {
                self.to_server.end();
            }
            if self.server.failure.is_some() {
                self.to_client.end();
            }
            self.run();
        }
        Ending { client: self.client.result("client"), server: self.server.result("server") }
    }

    /// Sends plaintext from the client, and returns how much of it was taken.
    pub fn client_sends(&mut self, plain: &[u8]) -> usize {
        self.send(plain, |pair, plain| pair.client.end.seal(plain))
    }

    /// Sends plaintext from the server, and returns how much of it was taken.
    pub fn server_sends(&mut self, plain: &[u8]) -> usize {
        self.send(plain, |pair, plain| pair.server.end.seal(plain))
    }

    /// Lets the client say that it will send no more, and end its wire.
    pub fn client_closes(&mut self) {
        self.client.end.close();
        self.run();
        self.to_server.end();
        self.run();
    }

    /// Lets the server say that it will send no more, and end its wire.
    pub fn server_closes(&mut self) {
        self.server.end.close();
        self.run();
        self.to_client.end();
        self.run();
    }

    /// Moves bytes until none move any more.
    pub fn run(&mut self) {
        let (now, stride) = (self.now, self.stride);
        loop {
            let to_server =
                carry(&mut self.client, &mut self.to_server, &mut self.server, stride, now);
            let to_client =
                carry(&mut self.server, &mut self.to_client, &mut self.client, stride, now);
            if !to_server && !to_client {
                return;
            }
        }
    }

    fn send(&mut self, plain: &[u8], seal: impl Fn(&mut Self, &[u8]) -> usize) -> usize {
        let mut rest = plain;
        loop {
            let taken = seal(self, rest);
            self.run();
            rest = rest.get(taken..).unwrap_or_default();
            if taken == 0 || rest.is_empty() {
                return plain.len() - rest.len();
            }
        }
    }
}

impl<E: End> Side<E> {
    fn new(end: E) -> Self {
        Self { end, secured: None, failure: None, received: Vec::new(), is_closed: false }
    }

    /// Takes bytes that arrived, and returns how many it took.
    fn receive(&mut self, wire: &[u8], now: Timestamp) -> usize {
        let taken = match self.end.handle_input(wire, now) {
            Ok(taken) => taken,
            Err(failure) => {
                self.fail(failure);
                wire.len()
            }
        };
        self.look(now);
        taken
    }

    /// Asks what has become of the handshake, and takes the plaintext that has arrived.
    fn look(&mut self, now: Timestamp) {
        match self.end.poll(now) {
            Ok(Some(secured)) => self.secured = Some(secured),
            Ok(None) => {}
            Err(failure) => self.fail(failure),
        }
        let before = self.received.len();
        match self.end.open(&mut self.received) {
            Ok(closed) => self.is_closed |= closed,
            Err(failure) => self.fail(failure),
        }
        let is_early = self.secured.is_none() && self.received.len() > before;
        assert!(!is_early, "plaintext came out before the evidence");
    }

    fn fail(&mut self, failure: E::Failure) {
        self.failure.get_or_insert(failure);
    }

    fn result(&self, who: &str) -> Result<E::Secured, E::Failure> {
        match (&self.failure, &self.secured) {
            (Some(failure), _) => Err(failure.clone()),
            (None, Some(secured)) => Ok(secured.clone()),
            (None, None) => panic!("the {who} waits, and nothing arrives any more"),
        }
    }
}

/// Carries what `from` has to say to `to`, and returns whether anything moved.
fn carry<A: End, B: End>(
    from: &mut Side<A>,
    wire: &mut Wire,
    to: &mut Side<B>,
    stride: usize,
    now: Timestamp,
) -> bool {
    let before = wire.bytes().len();
    from.end.transmit(wire.sent());
    let mut moved = wire.bytes().len() > before;
    loop {
        let next = wire.next(stride);
        if next.is_empty() {
            break;
        }
        // Whoever has given up does not listen any more.
        let taken = if to.failure.is_some() { next.len() } else { to.receive(&next, now) };
        if taken == 0 {
            break;
        }
        wire.arrive(taken);
        moved = true;
    }
    if wire.take_end() {
        if to.failure.is_none()
            && let Err(failure) = to.end.handle_end_of_input()
        {
            to.fail(failure);
        }
        moved = true;
    }
    moved
}
