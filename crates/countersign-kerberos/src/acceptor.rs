//! The server's steps.

use std::time::Duration;

use countersign_core::{KerberosFailure, ServiceName, TicketEncryption};

use crate::channel::Role;
use crate::credential::Own;
use crate::diagnose::{At, diagnose};
use crate::exchange::Outcome;
use crate::library::{Context, Credential, Facts, Flags};
use crate::proved::Found;
use crate::request::{self, InClear};
use crate::{
    AcceptorCredential, Channel, DelegatedCredential, Delegation, Proved, Terms, Unconfirmed, pac,
    principal,
};

/// Judges a client's ticket, and makes the answer.
pub(crate) struct Judge {
    pub(crate) credential: AcceptorCredential,
    pub(crate) channel: Channel,
    pub(crate) terms: Terms,
    pub(crate) asked: Vec<u8>,
    pub(crate) token: Vec<u8>,
}

/// A server that waits for the client's confirmation. Until it comes, the client has proved
/// nothing about this channel.
pub(crate) struct Judged {
    context: Context,
    channel: Channel,
    asked: String,
    unconfirmed: Unconfirmed,
}

impl Judge {
    pub(crate) fn is_proxied(&self) -> bool {
        self.credential.is_proxied()
    }

    pub(crate) fn run(self) -> Outcome {
        self.judge().unwrap_or_else(|Refused { failure, token }| Outcome::Failed { failure, token })
    }

    fn judge(self) -> Result<Outcome, Refused> {
        let asked = std::str::from_utf8(&self.asked).ok().map(str::to_owned);
        let name = asked.as_ref().and_then(|asked| asked.parse::<ServiceName>().ok());
        let (Some(asked), Some(name)) = (asked, name) else {
            let what = "it asked for something that is no service".to_owned();
            return Err(KerberosFailure::Protocol { what }.into());
        };
        let Some(own) = self.credential.find(&name) else {
            let services = self.credential.services().iter().map(ToString::to_string);
            let own = services.collect::<Vec<_>>().join(", ");
            return Err(KerberosFailure::WrongService { asked: name.to_string(), own }.into());
        };
        let (service, credential) = (own.principal.as_str(), &self.credential);
        let failed = |call| diagnose(call, &At::Accepting { service, credential });
        // What cannot be read is left to the library, which says what is wrong with it.
        let in_clear = request::read(&self.token);
        if let Some(InClear { ticket, session_key }) = in_clear {
            // The key of the connection is made of the session key, and comes later.
            let so_far = TicketEncryption { ticket, session_key, subkey: session_key };
            self.terms.demand_encryption(service, so_far)?;
        }
        let mut context = Context::new();
        let binding = self.channel.binding();
        let wants_delegation = self.terms.delegation == Delegation::IfTrusted;
        let accepted = context
            .accept(&own.credential, Some(&binding), &self.token, wants_delegation)
            .map_err(|(call, token)| Refused { failure: failed(call), token })?;
        let token = accepted.step.token;
        // Kerberos with mutual proof has two tokens; who wants more speaks something else.
        if !accepted.step.is_complete || token.is_empty() {
            return Err(KerberosFailure::NotMutual.into());
        }
        let facts = context.inquire().map_err(failed)?;
        let Some(InClear { ticket, session_key }) = in_clear else {
            let what = "its token is an AP-REQ that no library writes so".to_owned();
            return Err(KerberosFailure::Protocol { what }.into());
        };
        let subkey = context.key_kind().map_err(failed)?;
        let encryption = TicketEncryption { ticket, session_key, subkey };
        let unconfirmed = self.admit(own, &facts, encryption, accepted.delegated)?;
        let message = self.channel.confirmation(Role::Acceptor, &asked);
        let confirmation = context.sign(&message).map_err(failed)?;
        let judged = Judged::new(context, self.channel, asked, unconfirmed);
        Ok(Outcome::Judged { judged, confirmation, token })
    }

    /// Demands of a context all that the proof rests on.
    fn admit(
        &self,
        own: &Own,
        facts: &Facts,
        encryption: TicketEncryption,
        delegated: Option<Credential>,
    ) -> Result<Unconfirmed, KerberosFailure> {
        let (service, credential) = (own.principal.as_str(), &self.credential);
        let failed = |call| diagnose(call, &At::Accepting { service, credential });
        if !facts.is_krb5() {
            return Err(KerberosFailure::WrongMechanism { mechanism: facts.mechanism_text() });
        }
        if facts.flags.has(Flags::ANONYMOUS) {
            return Err(KerberosFailure::Anonymous);
        }
        if !facts.flags.has(Flags::MUTUAL) || !facts.flags.has(Flags::INTEGRITY) {
            return Err(KerberosFailure::NotMutual);
        }
        // The library accepts a token that says nothing about the channel; only this flag tells.
        if !facts.flags.has(Flags::CHANNEL_BOUND) {
            return Err(KerberosFailure::NotBound);
        }
        self.terms.demand_encryption(service, encryption)?;
        let target = facts.acceptor.text().map_err(failed)?;
        if target != own.principal {
            return Err(KerberosFailure::WrongService {
                asked: target,
                own: own.principal.clone(),
            });
        }
        let client = facts.initiator.text().map_err(failed)?;
        let Some(realm) = principal::realm(&client) else {
            let detail = format!("{client} is of no realm");
            return Err(KerberosFailure::NotAccepted { detail });
        };
        // It is shown to people, and would do things to their terminals.
        if client.contains(char::is_control) {
            let detail = format!("{:?} is a name with control characters", client);
            return Err(KerberosFailure::NotAccepted { detail });
        }
        if realm == ANONYMOUS_REALM || client.starts_with(ANONYMOUS_NAME) {
            return Err(KerberosFailure::Anonymous);
        }
        let own_realm = own.service.realm().unwrap_or_default();
        if !self.terms.realms.allow(own_realm, realm) {
            let allowed = self.terms.realms.list(own_realm);
            return Err(KerberosFailure::RealmNotAllowed { realm: realm.to_owned(), allowed });
        }
        if facts.seconds == Some(0) {
            let detail = "it expired while it was judged".to_owned();
            return Err(KerberosFailure::TicketExpired { detail });
        }
        Ok(Unconfirmed::new(Found {
            realm: realm.to_owned(),
            is_own_realm: realm == own_realm,
            peer: principal::name(&client),
            service: own.service.clone(),
            remaining: facts.seconds.map(|seconds| Duration::from_secs(u64::from(seconds))),
            groups: pac::groups(&facts.initiator),
            delegated: delegated.map(DelegatedCredential::new),
            principal: client,
            encryption,
        }))
    }
}

/// A ticket was refused, for this reason and with what the library would say about it.
struct Refused {
    failure: KerberosFailure,
    token: Vec<u8>,
}

impl From<KerberosFailure> for Refused {
    fn from(failure: KerberosFailure) -> Self {
        Self { failure, token: Vec::new() }
    }
}

/// Whoever has a ticket of this realm is nobody (RFC 8062 section 3).
const ANONYMOUS_REALM: &str = "WELLKNOWN:ANONYMOUS";
const ANONYMOUS_NAME: &str = "WELLKNOWN/ANONYMOUS@";

impl Judged {
    /// Whose ticket it is.
    pub(crate) fn unconfirmed(&self) -> &Unconfirmed {
        &self.unconfirmed
    }

    pub(crate) fn new(
        context: Context,
        channel: Channel,
        asked: String,
        unconfirmed: Unconfirmed,
    ) -> Self {
        Self { context, channel, asked, unconfirmed }
    }

    /// Checks the client's confirmation, and only then says what it proved.
    pub(crate) fn confirm(self, code: &[u8]) -> Result<Proved, KerberosFailure> {
        let message = self.channel.confirmation(Role::Initiator, &self.asked);
        match self.context.verify(&message, code) {
            Ok(()) => Ok(self.unconfirmed.confirmed()),
            Err(call) => Err(diagnose(call, &At::Confirming { service: &self.asked })),
        }
    }
}
