//! The client's steps.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::{KerberosFailure, KerberosRefusal, PeerName, ServiceName, TicketEncryption};

use crate::channel::Role;
use crate::credential::{Held, Ready, service_of};
use crate::diagnose::{At, diagnose};
use crate::exchange::Outcome;
use crate::library::{Call, Context, Flags, Name, meaning};
use crate::proved::Found;
use crate::request::{self, InClear};
use crate::{Awaited, Channel, Delegation, InitiatorCredential, Proved, Terms, principal};

/// Gets a ticket for the service, and makes the token that goes to it.
pub(crate) struct Begin {
    asked: ServiceName,
    credential: InitiatorCredential,
    channel: Channel,
    terms: Terms,
    next: Next,
}

/// Where a ticket is to be looked for next: each is another's to be waited for.
enum Next {
    /// Nothing was tried yet.
    Begin,
    /// There is one at hand.
    Use(Ready),
    /// In files.
    Look,
    /// With a KDC. Whose tickets are there, and the realm of the service, as far as is known.
    Ask { owner: Option<String>, realm: String },
}

/// A client that waits for the server's answer.
pub(crate) struct Begun {
    context: Context,
    credential: InitiatorCredential,
    held: Held,
    target: Arc<Name>,
    /// The service as it was asked for, with its realm, which both sides confirm.
    principal: String,
    realm: String,
    /// Whether that is the realm of our own principal.
    is_own_realm: bool,
    channel: Channel,
    flags: Flags,
    /// How the ticket is encrypted, and the key in it.
    in_clear: InClear,
    terms: Terms,
}

/// Judges the server's answer.
pub(crate) struct Conclude {
    pub(crate) begun: Begun,
    pub(crate) confirmation: Vec<u8>,
    pub(crate) token: Vec<u8>,
}

/// Reads what the server's library said when it refused.
pub(crate) struct Explain {
    pub(crate) begun: Begun,
    pub(crate) reason: KerberosRefusal,
    pub(crate) token: Vec<u8>,
}

impl Begin {
    pub(crate) fn new(
        asked: ServiceName,
        credential: InitiatorCredential,
        channel: Channel,
        terms: Terms,
    ) -> Self {
        Self { asked, credential, channel, terms, next: Next::Begin }
    }

    /// Finds out where to begin. Waits for nothing.
    pub(crate) fn prepare(&mut self) {
        if !matches!(self.next, Next::Begin) {
            return;
        }
        // To hand credentials on, the KDC is asked for some that may be.
        let delegates = self.terms.delegation != Delegation::Never;
        self.next = match self.credential.ready(&self.asked) {
            Some(ready) if !delegates => Next::Use(ready),
            _ if delegates || !self.credential.can_look() => self.ask(None),
            _ => Next::Look,
        };
    }

    /// Returns whether nobody has to be waited for.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.next, Next::Use(_))
    }

    /// Returns whom the next step may have to wait for.
    pub(crate) fn awaits(&self) -> Awaited {
        match &self.next {
            Next::Begin | Next::Look | Next::Use(_) => self.credential.awaits_files(),
            Next::Ask { owner, realm } => self.credential.awaits_kdc(owner.as_deref(), realm),
        }
    }

    /// Takes the next step; what is left is another's to be waited for.
    pub(crate) fn step(mut self: Box<Self>) -> Result<Outcome, Box<Self>> {
        self.prepare();
        let outcome = match &self.next {
            Next::Begin | Next::Ask { .. } => Some(self.begin_by_asking()),
            Next::Look => {
                let looked = self.credential.look(&self.asked);
                let ready = looked.as_ref().and_then(|looked| looked.ready.as_ref());
                let outcome = ready.and_then(|ready| self.begin_ready(ready));
                self.next = self.ask(looked.map(|looked| (looked.owner, looked.realm)));
                outcome
            }
            Next::Use(ready) => {
                let outcome = self.begin_ready(ready);
                self.next = self.ask(None);
                outcome
            }
        };
        match outcome {
            Some(Ok((begun, token))) => Ok(Outcome::Begun { begun, token }),
            Some(Err(failure)) => Ok(Outcome::Failed { failure, token: Vec::new() }),
            None => Err(self),
        }
    }

    fn ask(&self, known: Option<(String, String)>) -> Next {
        let stated = || self.asked.realm().unwrap_or_default().to_owned();
        let (owner, realm) =
            known.map_or_else(|| (None, stated()), |(owner, realm)| (Some(owner), realm));
        Next::Ask { owner, realm }
    }

    /// Begins with tickets at hand; `None` if they will not do. A failure is what no other ticket
    /// would change.
    fn begin_ready(&self, ready: &Ready) -> Option<Result<(Begun, Vec<u8>), KerberosFailure>> {
        if let Err(failure) = self.allows(&ready.owner, &ready.service) {
            return Some(Err(failure));
        }
        let target = Arc::clone(&ready.target);
        let (owner, service) = (ready.owner.as_str(), ready.service.clone());
        let begun = self.initiate(&ready.held, owner, service, target, "its copy");
        if begun.is_err() {
            self.credential.forget(&ready.held);
        }
        begun.ok().map(Ok)
    }

    fn begin_by_asking(&self) -> Result<(Begun, Vec<u8>), KerberosFailure> {
        let held = self.credential.acquire()?;
        let place = self.credential.place();
        let owner = held.holder(&place)?.principal;
        let service = service_of(&self.asked, &owner)?;
        self.allows(&owner, &service)?;
        let failed = |call| diagnose(call, &At::Initiating { service: &service, place: &place });
        let target = Arc::new(Name::of_mechanism(&service).map_err(failed)?);
        let begun = self.initiate(&held, &owner, service, target, &place)?;
        self.credential.keep_held(&self.asked, &held);
        Ok(begun)
    }

    /// Checks that a service is of a realm that may speak for it.
    fn allows(&self, owner: &str, service: &str) -> Result<(), KerberosFailure> {
        let own = principal::realm(owner).unwrap_or_default();
        let realm = principal::realm(service).unwrap_or_default();
        if self.terms.realms.allow(own, realm) {
            return Ok(());
        }
        let allowed = self.terms.realms.list(own);
        Err(KerberosFailure::RealmNotAllowed { realm: realm.to_owned(), allowed })
    }

    fn initiate(
        &self,
        held: &Held,
        owner: &str,
        principal: String,
        target: Arc<Name>,
        place: &str,
    ) -> Result<(Begun, Vec<u8>), KerberosFailure> {
        let failed = |call| diagnose(call, &At::Initiating { service: &principal, place });
        let flags = match self.terms.delegation {
            Delegation::Never => WANTED,
            Delegation::IfTrusted => WANTED.with(Flags::DELEGATE_BY_POLICY),
        };
        let mut context = Context::new();
        let binding = self.channel.binding();
        let step = context
            .initiate(held.credential(), &target, flags, Some(&binding), None)
            .map_err(failed)?;
        if step.is_complete || step.token.is_empty() {
            return Err(KerberosFailure::NotMutual);
        }
        let Some(in_clear) = request::read(&step.token) else {
            let text = "it made a request that cannot be read".to_owned();
            return Err(KerberosFailure::Other { text });
        };
        // Before it leaves: whoever has such a ticket can try passwords on it.
        let InClear { ticket, session_key } = in_clear;
        let so_far = TicketEncryption { ticket, session_key, subkey: session_key };
        self.terms.demand_encryption(&principal, so_far).inspect_err(|_| {
            // The KDC may know a better key by the next time.
            self.credential.forget(held);
        })?;
        let realm = principal::realm(&principal).unwrap_or_default().to_owned();
        let begun = Begun {
            context,
            credential: self.credential.clone(),
            held: held.clone(),
            target,
            principal,
            is_own_realm: principal::realm(owner) == Some(realm.as_str()),
            realm,
            channel: self.channel.clone(),
            flags,
            in_clear,
            terms: self.terms.clone(),
        };
        Ok((begun, step.token))
    }
}

/// What a client asks the library for; replay and sequence are about its confirmations.
const WANTED: Flags =
    Flags(Flags::MUTUAL.0 | Flags::REPLAY.0 | Flags::SEQUENCE.0 | Flags::INTEGRITY.0);

impl Begun {
    /// Takes note that the server refused. A ticket that is of no use to it must not be shown to it
    /// again for as long as it is valid, where nobody but us can get another.
    pub(crate) fn refused(&self, reason: KerberosRefusal) {
        if matches!(
            reason,
            KerberosRefusal::NotInKeytab
                | KerberosRefusal::TicketExpired
                | KerberosRefusal::TicketOutdated
                | KerberosRefusal::WeakEncryption
                | KerberosRefusal::WrongKey
        ) {
            self.credential.forget(&self.held);
        }
    }

    /// Returns the service that the server is told of.
    pub(crate) fn asked(&self) -> &str {
        &self.principal
    }
}

impl Conclude {
    pub(crate) fn run(self) -> Outcome {
        match self.conclude() {
            Ok((proved, confirmation)) => Outcome::Concluded { proved, confirmation },
            Err(failure @ KerberosFailure::RefusedByPeer { .. }) => Outcome::Refused(failure),
            Err(failure) => Outcome::Failed { failure, token: Vec::new() },
        }
    }

    fn conclude(self) -> Result<(Proved, Vec<u8>), KerberosFailure> {
        let Begun { mut context, held, target, principal, realm, channel, flags, .. } = self.begun;
        let (InClear { ticket, session_key }, terms) = (self.begun.in_clear, self.begun.terms);
        let is_own_realm = self.begun.is_own_realm;
        let failed = |call| diagnose(call, &At::Concluding { service: &principal });
        let binding = channel.binding();
        let step = context
            .initiate(held.credential(), &target, flags, Some(&binding), Some(&self.token))
            .map_err(failed)?;
        if !step.is_complete || !step.token.is_empty() {
            return Err(KerberosFailure::Protocol { what: "it wants more tokens".to_owned() });
        }
        // Its names are not asked for: the library's word for the peer is what it was given.
        let facts = context.inquire_without_names().map_err(failed)?;
        if !facts.is_krb5() {
            return Err(KerberosFailure::WrongMechanism { mechanism: facts.mechanism_text() });
        }
        if !facts.flags.has(Flags::MUTUAL) || !facts.flags.has(Flags::INTEGRITY) {
            return Err(KerberosFailure::NotMutual);
        }
        let subkey = context.key_kind().map_err(failed)?;
        let encryption = TicketEncryption { ticket, session_key, subkey };
        terms.demand_encryption(&principal, encryption)?;
        let failed = |call| diagnose(call, &At::Confirming { service: &principal });
        context
            .verify(&channel.confirmation(Role::Acceptor, &principal), &self.confirmation)
            .map_err(failed)?;
        let code =
            context.sign(&channel.confirmation(Role::Initiator, &principal)).map_err(failed)?;
        let service = principal::service(&principal)
            .ok_or_else(|| KerberosFailure::NotAService { name: principal.clone() })?;
        let proved = Proved(Found {
            principal,
            realm,
            is_own_realm,
            peer: Some(PeerName::Service(service.clone())),
            service,
            remaining: facts.seconds.map(|seconds| Duration::from_secs(u64::from(seconds))),
            groups: Vec::new(),
            delegated: None,
            encryption,
        });
        Ok((proved, code))
    }
}

impl Explain {
    pub(crate) fn run(self) -> Outcome {
        self.begun.refused(self.reason);
        let Begun { mut context, held, target, channel, flags, .. } = self.begun;
        let binding = channel.binding();
        let (credential, token) = (held.credential(), Some(self.token.as_slice()));
        let step = context.initiate(credential, &target, flags, Some(&binding), token);
        // A peer that has refused has refused, whatever it sends with that.
        let detail = match step {
            Err(Call::Status(status)) => meaning(&status),
            Err(Call::Library(_)) | Ok(_) => None,
        };
        Outcome::Refused(KerberosFailure::RefusedByPeer { reason: self.reason, detail })
    }
}
