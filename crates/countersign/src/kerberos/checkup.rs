//! A look at our own tickets and keys, for whoever wants to know before a peer does.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use countersign_kerberos::{
    AcceptorCredential, Awaited, Channel, Exchange, Holder, InitiatorCredential, Realms, Terms,
};
use countersign_sys::{Interest, wait};

use super::Task;
use crate::Context;
use crate::core::{KerberosFailure, KerberosUse, ServiceName};

/// What a context has for Kerberos.
///
/// Its calls wait for files and KDCs, but no longer than they are told.
#[derive(Clone, Debug)]
pub struct Checkup {
    context: Context,
}

impl Checkup {
    /// Looks at what this context has.
    pub fn of(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// Returns what part Kerberos has in connecting and in listening, by policy.
    pub fn uses(&self) -> (KerberosUse, KerberosUse) {
        let policy = self.context.policy();
        let rule = policy.kerberos();
        (rule.client.unwrap_or_default(), rule.server.unwrap_or_default())
    }

    /// Returns whose tickets a client would use.
    ///
    /// # Errors
    ///
    /// That there are none, or no KDC to get them from within `time`.
    pub fn tickets(&self, time: Duration) -> Result<Holder, KerberosFailure> {
        let credential = self.context.current().kerberos.tickets();
        within(credential.awaits(), time, move || credential.holder())
    }

    /// Returns the keys that a server would use.
    ///
    /// # Errors
    ///
    /// Why the keytab cannot be used.
    pub fn keys(&self) -> Result<AcceptorCredential, KerberosFailure> {
        self.context.current().kerberos.keys()
    }

    /// Gets a ticket for `service` and opens it with the keys: both are of one make, and the clock
    /// is the KDC's. Returns the principal of the ticket.
    ///
    /// # Errors
    ///
    /// What a client or a server would say, or that it took longer than `time`.
    pub fn prove(&self, service: &ServiceName, time: Duration) -> Result<String, KerberosFailure> {
        let tickets = self.context.current().kerberos.tickets();
        let (keys, service) = (self.keys()?, service.clone());
        within(tickets.awaits(), time, move || prove(tickets, keys, &service))
    }
}

/// Runs work elsewhere and waits for it so long.
fn within<T: Send + 'static>(
    awaited: Awaited,
    time: Duration,
    work: impl FnOnce() -> Result<T, KerberosFailure> + Send + 'static,
) -> Result<T, KerberosFailure> {
    let failed = |error: std::io::Error| KerberosFailure::Other { text: error.to_string() };
    let task = Task::start(awaited, work).map_err(failed)?;
    let deadline = Instant::now().checked_add(time);
    let waited = wait(task.as_fd(), Interest::Read, deadline);
    match task.take() {
        Some(outcome) => outcome.map_err(failed)?,
        None => Err(match waited {
            Err(error) if error.kind() != std::io::ErrorKind::TimedOut => failed(error),
            _ => KerberosFailure::TimedOut { after: time },
        }),
    }
}

fn prove(
    tickets: InitiatorCredential,
    keys: AcceptorCredential,
    service: &ServiceName,
) -> Result<String, KerberosFailure> {
    // Nobody else is there, so any channel is as good, and any realm that has made both.
    let channel = || Channel::new([0; Channel::EXPORTED_LEN]);
    let realms = tickets.holder()?.principal.rsplit_once('@').map(|(_, realm)| realm.to_owned());
    let realms = realms.into_iter().chain(service.realm().map(str::to_owned)).collect();
    let terms = Terms::default().with_realms(Realms::Listed(realms));
    let mut client = Exchange::initiate(service, tickets, channel(), terms.clone());
    let mut server = Exchange::accept(keys, channel(), terms);
    loop {
        for side in [&mut client, &mut server] {
            if let Some(work) = side.take_work() {
                side.finish(work.run());
            }
        }
        let is_idle = !pass(&mut client, &mut server) && !pass(&mut server, &mut client);
        // Each side knows more of what it found itself than of what the other passed on.
        let proved = match (client.poll(), server.poll()) {
            (Err(failure), Err(KerberosFailure::RefusedByPeer { .. }) | Ok(_))
            | (_, Err(failure)) => return Err(failure),
            (Ok(_), Ok(proved)) => proved,
        };
        if let Some(proved) = proved {
            return Ok(proved.principal().to_owned());
        }
        if is_idle {
            return Err(KerberosFailure::Protocol { what: "the proof came to no end".to_owned() });
        }
    }
}

/// Carries what one side says to the other, and returns whether it said anything.
fn pass(from: &mut Exchange, to: &mut Exchange) -> bool {
    let mut bytes = Vec::new();
    from.transmit(&mut bytes);
    to.handle_input(&bytes);
    !bytes.is_empty()
}
