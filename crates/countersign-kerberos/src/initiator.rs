//! The client's steps.

use std::time::Duration;

use countersign_core::{KerberosFailure, KerberosRefusal, PeerName, ServiceName, TicketEncryption};

use crate::channel::Role;
use crate::credential::Held;
use crate::diagnose::{At, diagnose};
use crate::exchange::Outcome;
use crate::library::{Call, Context, Flags, Name, host_realm, meaning};
use crate::proved::Found;
use crate::request::{self, InClear};
use crate::{Channel, Delegation, InitiatorCredential, Proved, Terms, principal};

/// Gets a ticket for the service, and makes the token that goes to it.
pub(crate) struct Begin {
    pub(crate) asked: ServiceName,
    pub(crate) credential: InitiatorCredential,
    pub(crate) channel: Channel,
    pub(crate) terms: Terms,
}

/// A client that waits for the server's answer.
pub(crate) struct Begun {
    context: Context,
    credential: InitiatorCredential,
    held: Held,
    target: Name,
    /// The service as it was asked for, with its realm, which both sides confirm.
    principal: String,
    realm: String,
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
    pub(crate) fn run(self) -> Outcome {
        match self.begin() {
            Ok((begun, token)) => Outcome::Begun { begun, token },
            Err(failure) => Outcome::Failed { failure, token: Vec::new() },
        }
    }

    fn begin(self) -> Result<(Begun, Vec<u8>), KerberosFailure> {
        let held = self.credential.acquire()?;
        let place = self.credential.place();
        let own = held.holder(&place)?.principal;
        let own = principal::realm(&own).unwrap_or_default();
        let realm = self.realm(own)?;
        if !self.terms.realms.allow(own, &realm) {
            let allowed = self.terms.realms.list(own);
            return Err(KerberosFailure::RealmNotAllowed { realm, allowed });
        }
        let principal = principal::of_service(&self.asked, &realm);
        let failed = |call| diagnose(call, &At::Initiating { service: &principal, place: &place });
        let target = Name::principal(&principal).map_err(failed)?;
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
            self.credential.forget(&held);
        })?;
        let begun = Begun {
            context,
            credential: self.credential,
            held,
            target,
            principal,
            realm,
            channel: self.channel,
            flags,
            in_clear,
            terms: self.terms,
        };
        Ok((begun, step.token))
    }

    /// Returns the realm of the service: the one that the name states, else the host's by the
    /// administrator's rules, else this host's own, else the client's. DNS is not asked.
    fn realm(&self, own: &str) -> Result<String, KerberosFailure> {
        if let Some(realm) = self.asked.realm() {
            return Ok(realm.to_owned());
        }
        let realm = host_realm(&self.asked.host().to_string())?;
        Ok(realm.unwrap_or_else(|| own.to_owned()))
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
        let failed = |call| diagnose(call, &At::Concluding { service: &principal });
        let binding = channel.binding();
        let step = context
            .initiate(held.credential(), &target, flags, Some(&binding), Some(&self.token))
            .map_err(failed)?;
        if !step.is_complete || !step.token.is_empty() {
            return Err(KerberosFailure::Protocol { what: "it wants more tokens".to_owned() });
        }
        let facts = context.inquire().map_err(failed)?;
        if !facts.is_krb5() {
            return Err(KerberosFailure::WrongMechanism { mechanism: facts.mechanism_text() });
        }
        if !facts.flags.has(Flags::MUTUAL) || !facts.flags.has(Flags::INTEGRITY) {
            return Err(KerberosFailure::NotMutual);
        }
        let subkey = context.key_kind().map_err(failed)?;
        let encryption = TicketEncryption { ticket, session_key, subkey };
        terms.demand_encryption(&principal, encryption)?;
        let proved = facts.acceptor.text().map_err(failed)?;
        if proved != principal {
            return Err(KerberosFailure::WrongService { asked: principal, own: proved });
        }
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
