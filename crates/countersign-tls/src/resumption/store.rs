//! What a client keeps of sessions.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use countersign_core::Asked;
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls_pki_types::ServerName;

use super::Session;
use crate::recent::Recent;
use crate::scope::{self, Question};
use crate::verify::Verifier;

/// For how many questions sessions are kept, and how many for each: as many as may begin at the
/// same time, since each is used once.
const QUESTIONS: usize = 128;
const TICKETS: usize = 8;

/// The sessions of a client of one generation.
///
/// rustls asks by the server's name; what counts here is what the connection under way asks, which
/// says more: the class and the realm of a service, where it is, and who said so. So the
/// [`scope`] is looked at, and outside of one there is nothing.
pub(crate) struct SessionStore {
    verifier: Arc<Verifier>,
    kept: Mutex<Recent<Asked, Vec<Kept>>>,
}

struct Kept {
    session: Session,
    value: Tls13ClientSessionValue,
}

impl SessionStore {
    /// Starts with none; `verifier` is the one that judges the servers of the same generation.
    pub(crate) fn new(verifier: Arc<Verifier>) -> Self {
        Self { verifier, kept: Mutex::new(Recent::new(QUESTIONS)) }
    }

    /// Takes the newest session with which a connection that asks for this may try to go on. The
    /// older ones that may not are gone then, too.
    fn take(&self, asked: &Asked, question: &Question) -> Option<Kept> {
        let now = scope::now()?;
        loop {
            // The lock is not held while a chain is looked at.
            let newest = {
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                let newest = kept.get_mut(asked)?.pop();
                if newest.is_none() {
                    kept.remove(asked);
                }
                newest?
            };
            if newest.session.may_go_on(&self.verifier, question, now) {
                return Some(newest);
            }
        }
    }

    fn keep(&self, asked: Asked, new: Kept) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get_mut(&asked) {
            Some(tickets) => {
                if tickets.len() >= TICKETS {
                    tickets.remove(0);
                }
                tickets.push(new);
            }
            None => kept.insert(asked, vec![new]),
        }
    }
}

impl ClientSessionStore for SessionStore {
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let question = scope::question()?;
        let Question::IsServer(asked @ Asked::Name { .. }) = &*question else { return None };
        let Kept { session, value } = self.take(asked, &question)?;
        scope::offer(Some(session));
        Some(value)
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        if let (Some(question), Some(session)) = (scope::question(), scope::session())
            && let Question::IsServer(asked @ Asked::Name { .. }) = &*question
        {
            self.keep(asked.clone(), Kept { session, value });
        }
    }

    // Groups are asked for in the order of preference each time.
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    // Sessions of TLS 1.2 are not resumed.
    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
}

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionStore(not shown)")
    }
}
