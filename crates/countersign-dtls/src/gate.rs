//! The gate: nobody gets an association before an answer has reached the address it claims.
//!
//! Hellos without a good cookie are answered with one and forgotten (RFC 6347 section 4.2.1). The
//! answer is shorter than any hello, so the gate amplifies nothing.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use countersign_core::HandshakeError;
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslContextBuilder, SslRef, SslStream};

use crate::config::Config;
use crate::error::our_side;
use crate::libssl;
use crate::queue::Queue;
use crate::shape::Hello;
use crate::verdict::Verdict;

/// Tells those who can be reached at their address from those who cannot.
pub(crate) struct Gate {
    /// The key of new cookies, and the one before it.
    keys: Arc<[hmac::Key; 2]>,
    since: Instant,
    listener: Option<(Config, Entrant)>,
}

/// Someone who showed a good cookie: what is to become its association.
pub(crate) struct Entrant {
    pub(crate) stream: SslStream<Queue>,
    pub(crate) verdict: Verdict,
    cookies: Cookies,
}

/// What came of a hello.
pub(crate) enum Passage {
    /// It has a good cookie.
    Passed(Box<Entrant>),
    /// It has none, and this is the answer, if it deserves one.
    Stopped(Option<Vec<u8>>),
}

/// The hello at hand, and what makes its cookies. Once it has passed, libssl asks for them again
/// when it reads the hello in earnest.
type Cookies = Arc<Mutex<Option<Question>>>;

/// What a cookie is for: this address, port and client random alone.
#[derive(Clone)]
struct Question {
    keys: Arc<[hmac::Key; 2]>,
    from: SocketAddr,
    random: [u8; 32],
}

const COOKIE: usize = 32;
/// How long a key makes cookies; for as long again it is recognised.
const KEY_LIFE: Duration = Duration::from_secs(60);

static COOKIES: LazyLock<Option<Index<Ssl, Cookies>>> = LazyLock::new(|| Ssl::new_ex_index().ok());

impl Gate {
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if there is no randomness.
    pub(crate) fn new(now: Instant) -> Result<Self, HandshakeError> {
        let key = new_key().map_err(|errors| our_side(&errors))?;
        Ok(Self { keys: Arc::new([key.clone(), key]), since: now, listener: None })
    }

    /// Looks at a hello from `from`; nothing of it is kept unless it passes.
    pub(crate) fn examine(
        &mut self,
        config: &Config,
        from: SocketAddr,
        hello: &Hello,
        datagram: &[u8],
        now: Instant,
    ) -> Passage {
        // What libssl does not understand gets no answer.
        self.try_examine(config, from, hello, datagram, now).unwrap_or(Passage::Stopped(None))
    }

    fn try_examine(
        &mut self,
        config: &Config,
        from: SocketAddr,
        hello: &Hello,
        datagram: &[u8],
        now: Instant,
    ) -> Result<Passage, ErrorStack> {
        self.rotate(now)?;
        let mut entrant = match self.listener.take() {
            Some((of, entrant)) if of.is_same(config) => entrant,
            _ => match Entrant::new(config)? {
                Some(entrant) => entrant,
                None => return Ok(Passage::Stopped(None)),
            },
        };
        let keys = self.keys.clone();
        *lock(&entrant.cookies) = Some(Question { keys, from, random: hello.random });
        entrant.stream.get_mut().arrive(datagram);
        let passed = libssl::listen(&mut entrant.stream)?;
        if passed {
            return Ok(Passage::Passed(Box::new(entrant)));
        }
        let queue = entrant.stream.get_mut();
        let answer = queue.leave().filter(|answer| answer.len() <= datagram.len());
        queue.clear();
        self.listener = Some((config.clone(), entrant));
        Ok(Passage::Stopped(answer))
    }

    fn rotate(&mut self, now: Instant) -> Result<(), ErrorStack> {
        let age = now.saturating_duration_since(self.since);
        if age >= KEY_LIFE {
            let fresh = new_key()?;
            let [before, _] = &*self.keys;
            let stale = if age < 2 * KEY_LIFE { before.clone() } else { fresh.clone() };
            self.keys = Arc::new([fresh, stale]);
            self.since = now;
        }
        Ok(())
    }
}

impl Entrant {
    /// Makes one for whoever comes next; none without a certificate to show.
    fn new(config: &Config) -> Result<Option<Self>, ErrorStack> {
        let (Some(context), Some(index)) = (config.server(), *COOKIES) else { return Ok(None) };
        let cookies = Cookies::default();
        let mut ssl = Ssl::new(context)?;
        ssl.set_ex_data(index, cookies.clone());
        ssl.set_accept_state();
        ssl.set_mtu(u32::from(config.mtu()))?;
        libssl::set_backoff(&mut ssl);
        let verdict = Verdict::new(config.anchors().clone());
        verdict.judge_peer_of(&mut ssl);
        Ok(Some(Self { stream: SslStream::new(ssl, Queue::default())?, verdict, cookies }))
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("since", &self.since).finish_non_exhaustive()
    }
}

/// Has a context ask the gate about cookies. Outside of the gate none is good, and none is made.
pub(crate) fn set_cookie_callbacks(context: &mut SslContextBuilder) {
    context.set_cookie_generate_cb(|ssl, into| match (asked(ssl), into.get_mut(..COOKIE)) {
        (Some(Question { keys, from, random }), Some(into)) => {
            let [fresh, _] = &*keys;
            into.copy_from_slice(hmac::sign(fresh, &what(from, &random)).as_ref());
            Ok(COOKIE)
        }
        _ => Err(ErrorStack::get()),
    });
    context.set_cookie_verify_cb(|ssl, cookie| {
        asked(ssl).is_some_and(|Question { keys, from, random }| {
            let what = what(from, &random);
            keys.iter().any(|key| hmac::verify(key, &what, cookie).is_ok())
        })
    });
}

fn asked(ssl: &SslRef) -> Option<Question> {
    lock(ssl.ex_data((*COOKIES)?)?).clone()
}

/// Cookies are changed in one step, so those that a panic left behind are whole.
fn lock(cookies: &Cookies) -> MutexGuard<'_, Option<Question>> {
    cookies.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the cookie of an attempt proves.
fn what(from: SocketAddr, random: &[u8; 32]) -> [u8; 16 + 2 + 32] {
    let ip = match from.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut what = [0; 16 + 2 + 32];
    let (address, rest) = what.split_at_mut(16);
    let (port, attempt) = rest.split_at_mut(2);
    address.copy_from_slice(&ip.octets());
    port.copy_from_slice(&from.port().to_be_bytes());
    attempt.copy_from_slice(random);
    what
}

fn new_key() -> Result<hmac::Key, ErrorStack> {
    let mut secret = zeroize::Zeroizing::new([0; 32]);
    openssl::rand::rand_bytes(&mut *secret)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &*secret))
}
