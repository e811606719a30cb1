//! A connection that ends once what the program learned of it is not true any more (SPEC 7.4).

use std::io;
use std::net::{SocketAddr, TcpStream as Tcp};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use countersign_tls::{Engine, Question};

use super::channel::peer_of;
use super::standing::Standing;
use crate::Context;
use crate::clock;
use crate::context::Generation;
use crate::core::{Admission, Evidence, HandshakeError, Mechanism, SaFields};
use crate::error::Error;
use crate::kerberos::{relied_on_as_client, still_counts};

/// Which fields a connection may not outlive, and whether it has.
#[derive(Debug, Default)]
pub(super) struct Latch {
    standing: Standing<HandshakeError>,
    context: OnceLock<Context>,
    /// The generation of files under which the peer was last found welcome; zero is none.
    judged: AtomicU64,
    /// The program gave credentials for this connection.
    has_given: bool,
}

impl Latch {
    pub(super) fn set_context(&self, context: &Context) {
        // The first is the one under which the connection was made.
        let _ = self.context.set(context.clone());
    }

    /// Takes note that the program gave credentials for this connection.
    pub(super) fn note_given(&mut self) {
        self.has_given = true;
    }

    pub(super) fn has_given(&self) -> bool {
        self.has_given
    }

    /// Ends the connection with these fields from now on, those that were set stay; returns how often
    /// the keys have changed.
    pub(super) fn set(&self, fields: SaFields) -> u64 {
        self.standing.want(fields.bits())
    }

    /// Notes how often the keys have changed; returns whether the connection may not outlive that.
    pub(super) fn note_rekeys(&self, rekeys: u64) -> bool {
        let fields = self.standing.note_rekeys(rekeys);
        fields.is_some_and(|fields| fields & SaFields::QM_SA_ID.bits() != 0)
    }

    /// Returns the generation by which the peer is to be judged, if it was not yet.
    pub(super) fn newer_generation(&self) -> Option<Arc<Generation>> {
        if self.standing.fields() & SaFields::MM_SA_ID.bits() == 0 || self.why().is_some() {
            return None;
        }
        let generation = self.context.get()?.current();
        (self.judged.load(Ordering::Relaxed) != generation.number).then_some(generation)
    }

    pub(super) fn judged(&self, by: &Generation) {
        self.judged.store(by.number, Ordering::Relaxed);
    }

    pub(super) fn end(&self, why: HandshakeError) {
        self.standing.end(why);
    }

    /// Returns why the connection was ended, if it was.
    pub(super) fn why(&self) -> Option<&HandshakeError> {
        self.standing.why()
    }

    /// Refuses to go on with a connection that was ended.
    pub(super) fn check(&self, socket: &Tcp) -> io::Result<()> {
        match self.why() {
            None => Ok(()),
            Some(why) => {
                Err(Error::Handshake { peer: peer_of(socket), source: why.clone() }.into())
            }
        }
    }
}

/// Decides whether a connection would be made under these files, were it made now; `has_given` is
/// whether the program gave credentials for it.
pub(super) fn still_welcome(
    engine: &Engine,
    evidence: &Evidence,
    has_given: bool,
    generation: &Generation,
    peer: SocketAddr,
    local: SocketAddr,
) -> Result<(), HandshakeError> {
    let policy = &generation.policy;
    if evidence.mechanism() == Mechanism::Tls12 && !policy.allows_tls12() {
        let what = "TLS 1.2 is not allowed".to_owned();
        return Err(HandshakeError::NothingShared { what });
    }
    let readmit = |admission: &Admission| Arc::new(policy.readmit(admission, local));
    let question = match engine.question() {
        Question::MayConnect(admission, address) => {
            Question::MayConnect(readmit(admission), *address)
        }
        Question::WhoElse(admission, address) => Question::WhoElse(readmit(admission), *address),
        Question::IsServer(asked) if policy.still_asks(asked, peer) => {
            Question::IsServer(asked.clone())
        }
        Question::MayBeServer(asked) if policy.still_asks(asked, peer) => {
            Question::MayBeServer(asked.clone())
        }
        _ => {
            let peer = peer.to_string();
            let why = "another name is asked for at its address".to_owned();
            return Err(HandshakeError::NotAllowed { peer, why });
        }
    };
    let rule = policy.kerberos();
    let relied_on = match engine.is_client() {
        true => relied_on_as_client(rule, has_given),
        false => rule.server.unwrap_or_default(),
    };
    still_counts(evidence, rule, relied_on)?;
    engine.judge_anew(&question, &generation.anchors, clock::now())
}
