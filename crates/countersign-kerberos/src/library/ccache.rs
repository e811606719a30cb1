//! Credential caches: one in the memory of this process, and what others have for one service.

#![expect(unsafe_code, reason = "calls the C functions of ffi.rs")]

use std::ffi::CString;
use std::ptr;

use countersign_core::KerberosFailure;

use super::ffi::{Creds, Handle};
use super::session::{Numbers, Session, Words, copy};

/// A credential cache in the memory of this process, destroyed when this is dropped.
#[derive(Debug)]
pub(crate) struct Cache {
    number: u32,
    name: String,
}

impl Cache {
    /// Names a cache that nobody else has.
    pub(crate) fn new() -> Self {
        let number = Numbers::take();
        Self { number, name: format!("MEMORY:countersign-cache-{number}") }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let Ok(krb5) = Session::open() else { return };
        let Ok(open) = krb5.cache(&self.name) else { return };
        open.destroy();
        Numbers::give_back(self.number);
    }
}

/// Returns the name of the cache that this process uses if nothing else is said (`KRB5CCNAME`,
/// `default_ccache_name` in `krb5.conf`).
pub(crate) fn default_cache() -> Result<String, KerberosFailure> {
    let krb5 = Session::open()?;
    // SAFETY: the context is alive, and the name is its own.
    let name = unsafe { (krb5.table.krb5_cc_default_name)(krb5.context) };
    let none = || KerberosFailure::Other { text: "there is no default cache".to_owned() };
    copy(name).ok_or_else(none)
}

/// What a cache has for one service.
#[derive(Debug)]
pub(crate) struct ForService {
    /// Whose cache it is.
    pub(crate) owner: String,
    /// The service, with its realm.
    pub(crate) service: String,
    /// Its tickets alone, if there are some that are of use by themselves. With these nobody can
    /// ask a KDC for anything: what can is not among them.
    pub(crate) tickets: Option<Cache>,
}

/// Looks through a cache for tickets for the service that `service` names for its owner. Asks no
/// KDC.
///
/// # Errors
///
/// The cache cannot be read, in the library's words.
pub(crate) fn tickets_for(
    cache: &str,
    service: impl FnOnce(&str) -> Option<String>,
) -> Result<Option<ForService>, Words> {
    let krb5 = Session::open().map_err(|failure| failure.to_string())?;
    let from = krb5.cache(cache)?;
    let client = from.client()?;
    let owner = client.text()?;
    let Some(service) = service(&owner) else { return Ok(None) };
    let wanted = krb5.principal(&service)?;
    // A clock that the KDC has corrected is corrected for this cache, and not for a copy of it.
    let tickets = match krb5.clock_offset() {
        (0, 0) => from.copy_of(&client, &wanted, &mut |_| {})?,
        _ => None,
    };
    Ok(Some(ForService { owner, service, tickets }))
}

impl Session {
    pub(super) fn cache(&self, name: &str) -> Result<Open<'_>, Words> {
        let name = CString::new(name).map_err(|_| "its name holds a NUL".to_owned())?;
        let mut handle = ptr::null_mut();
        // SAFETY: the context is alive, the name is only read, and the cache becomes ours.
        let code =
            unsafe { (self.table.krb5_cc_resolve)(self.context, name.as_ptr(), &mut handle) };
        self.check(code)?;
        if handle.is_null() {
            return Err("no cache was opened".to_owned());
        }
        Ok(Open { krb5: self, handle })
    }

    pub(super) fn principal(&self, text: &str) -> Result<Principal<'_>, Words> {
        let text = CString::new(text).map_err(|_| "its name holds a NUL".to_owned())?;
        let mut handle = ptr::null_mut();
        // SAFETY: the context is alive, the text is only read, and the principal becomes ours.
        let code =
            unsafe { (self.table.krb5_parse_name)(self.context, text.as_ptr(), &mut handle) };
        self.check(code)?;
        Ok(Principal { krb5: self, handle })
    }

    /// Returns by how much the KDC's clock is ahead, as far as a cache that was read knows.
    fn clock_offset(&self) -> (i32, i32) {
        let (mut seconds, mut micros) = (0, 0);
        // SAFETY: the context is alive, and both numbers are written.
        unsafe {
            (self.table.krb5_get_time_offsets)(self.context, &mut seconds, &mut micros);
        }
        (seconds, micros)
    }

    fn are_same(&self, one: Handle, other: Handle) -> bool {
        // SAFETY: context and principals are alive, as the callers own them.
        let same = unsafe { (self.table.krb5_principal_compare)(self.context, one, other) };
        same != 0
    }
}

/// A cache that is open.
pub(super) struct Open<'a> {
    krb5: &'a Session,
    handle: Handle,
}

impl Open<'_> {
    /// Returns whose it is.
    pub(super) fn client(&self) -> Result<Principal<'_>, Words> {
        let mut handle = ptr::null_mut();
        // SAFETY: context and cache are alive, and the principal becomes ours.
        let code = unsafe {
            (self.krb5.table.krb5_cc_get_principal)(self.krb5.context, self.handle, &mut handle)
        };
        self.krb5.check(code)?;
        Ok(Principal { krb5: self.krb5, handle })
    }

    /// Copies the tickets that a client has for a service, in their order, each after `change`.
    pub(super) fn copy_of(
        &self,
        client: &Principal<'_>,
        service: &Principal<'_>,
        change: &mut dyn FnMut(&mut Ticket<'_>),
    ) -> Result<Option<Cache>, Words> {
        let krb5 = self.krb5;
        let mut made: Option<(Cache, Open<'_>)> = None;
        let mut walk = Walk::begin(self)?;
        while let Some(mut ticket) = walk.next()? {
            if ticket.is_of_a_proxy() {
                // What this owner may do is to be asked for each time.
                return Ok(None);
            }
            let fits = krb5.are_same(ticket.creds.client, client.handle)
                && krb5.are_same(ticket.creds.server, service.handle);
            // One that is encrypted in another's session key is for that session.
            if !fits || ticket.creds.is_session_key != 0 {
                continue;
            }
            if made.is_none() {
                let copy = Cache::new();
                let open = krb5.cache(copy.name())?;
                open.initialize(client)?;
                made = Some((copy, open));
            }
            change(&mut ticket);
            if let Some((_, open)) = &made {
                open.store(&ticket)?;
            }
        }
        Ok(made.map(|(copy, _)| copy))
    }

    fn initialize(&self, client: &Principal<'_>) -> Result<(), Words> {
        let krb5 = self.krb5;
        // SAFETY: context, cache and principal are alive, and the principal is copied.
        let code =
            unsafe { (krb5.table.krb5_cc_initialize)(krb5.context, self.handle, client.handle) };
        krb5.check(code)
    }

    fn store(&self, ticket: &Ticket<'_>) -> Result<(), Words> {
        let krb5 = self.krb5;
        // SAFETY: context, cache and ticket are alive, and the ticket is copied.
        let code =
            unsafe { (krb5.table.krb5_cc_store_cred)(krb5.context, self.handle, &ticket.creds) };
        krb5.check(code)
    }

    /// Closes it and empties it; the library wipes the keys in it.
    fn destroy(self) {
        let (krb5, handle) = (self.krb5, self.handle);
        std::mem::forget(self);
        // SAFETY: context and cache are alive, and nobody has this handle after this. That there
        // was nothing in it is no failure.
        unsafe { (krb5.table.krb5_cc_destroy)(krb5.context, handle) };
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // SAFETY: context and cache are alive, and nobody has the handle after this.
        unsafe { (self.krb5.table.krb5_cc_close)(self.krb5.context, self.handle) };
    }
}

/// A principal of the library's.
pub(super) struct Principal<'a> {
    krb5: &'a Session,
    handle: Handle,
}

impl Principal<'_> {
    fn text(&self) -> Result<String, Words> {
        self.krb5.unparse(self.handle)
    }
}

impl Drop for Principal<'_> {
    fn drop(&mut self) {
        // SAFETY: the library made it, and nobody has it after this.
        unsafe { (self.krb5.table.krb5_free_principal)(self.krb5.context, self.handle) };
    }
}

/// What a walk through a cache comes by. Its key is wiped when it is dropped.
pub(super) struct Ticket<'a> {
    krb5: &'a Session,
    pub(super) creds: Creds,
}

impl Ticket<'_> {
    /// Returns whether this is the note that all tickets of the cache are another's, for whom its
    /// owner may act (S4U2Proxy).
    fn is_of_a_proxy(&self) -> bool {
        let krb5 = self.krb5;
        // SAFETY: context and principal are alive.
        let is_note =
            unsafe { (krb5.table.krb5_is_config_principal)(krb5.context, self.creds.server) };
        is_note != 0
            && krb5
                .unparse(self.creds.server)
                .is_ok_and(|note| note.contains("/proxy_impersonator"))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        // SAFETY: the library filled it, and nobody uses it after this.
        unsafe {
            (self.krb5.table.krb5_free_cred_contents)(self.krb5.context, &mut self.creds);
        }
    }
}

/// A walk through a cache.
struct Walk<'a> {
    cache: &'a Open<'a>,
    cursor: Handle,
}

impl<'a> Walk<'a> {
    fn begin(cache: &'a Open<'a>) -> Result<Self, Words> {
        let krb5 = cache.krb5;
        let mut cursor = ptr::null_mut();
        // SAFETY: context and cache are alive, and the cursor becomes ours.
        let code =
            unsafe { (krb5.table.krb5_cc_start_seq_get)(krb5.context, cache.handle, &mut cursor) };
        krb5.check(code)?;
        Ok(Self { cache, cursor })
    }

    fn next(&mut self) -> Result<Option<Ticket<'a>>, Words> {
        /// `KRB5_CC_END`: there are no more.
        const END: i32 = 0x96c7_3a8e_u32.cast_signed();
        let krb5 = self.cache.krb5;
        let mut creds = Creds::EMPTY;
        // SAFETY: context, cache and cursor are alive; what is written becomes ours.
        let code = unsafe {
            (krb5.table.krb5_cc_next_cred)(
                krb5.context,
                self.cache.handle,
                &mut self.cursor,
                &mut creds,
            )
        };
        match code {
            0 => Ok(Some(Ticket { krb5, creds })),
            END => Ok(None),
            code => krb5.check(code).map(|()| None),
        }
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        let krb5 = self.cache.krb5;
        // SAFETY: context and cache are alive, and nobody has the cursor after this.
        unsafe {
            (krb5.table.krb5_cc_end_seq_get)(krb5.context, self.cache.handle, &mut self.cursor)
        };
    }
}

#[cfg(test)]
mod tests {
    use countersign_lab::{Kdc, Realm, within};

    use super::tickets_for;
    use crate::library::{Cache, Context, Credential, Flags, Name, Usage};

    const SERVER: &str = "host/server.example.test@EXAMPLE.TEST";
    const OTHER: &str = "HTTP/other.example.test@EXAMPLE.TEST";

    fn in_realm(body: impl FnOnce(&Realm)) {
        let mut kdc = None;
        within(
            || {
                let own = kdc.insert(Kdc::start());
                own.add(&["alice", SERVER, OTHER]);
                own.ticket("alice", "alice", &[]);
                own.service_ticket("alice", SERVER);
                Realm::clone(own)
            },
            body,
        );
    }

    fn found(realm: &Realm, service: &str) -> Option<Cache> {
        let service = service.to_owned();
        let found = tickets_for(&format!("FILE:{}", realm.file("alice")), |owner| {
            assert_eq!(owner, "alice@EXAMPLE.TEST");
            Some(service)
        });
        found.unwrap().unwrap().tickets
    }

    #[test]
    fn with_the_tickets_for_one_service_no_kdc_can_be_asked_for_another() {
        in_realm(|realm| {
            let tickets = found(realm, SERVER).expect("kvno has asked for it");
            let store = [(c"ccache", tickets.name())];
            let alice = Credential::acquire(None, Usage::Initiate, &store).unwrap();
            let ask = |service: &str| {
                let target = Name::of_mechanism(service).unwrap();
                Context::new().initiate(&alice, &target, Flags::MUTUAL, None, None)
            };
            ask(SERVER).unwrap();
            // The KDC is there and would give one.
            ask(OTHER).unwrap_err();
            ask("krbtgt/EXAMPLE.TEST@EXAMPLE.TEST").unwrap_err();
            assert!(found(realm, OTHER).is_none());
            assert!(found(realm, "krbtgt/EXAMPLE.TEST@EXAMPLE.TEST").is_some(), "as any other");
        });
    }

    #[test]
    fn a_copy_leaves_memory_when_it_is_dropped() {
        in_realm(|realm| {
            let tickets = found(realm, SERVER).unwrap();
            let name = tickets.name().to_owned();
            let acquire =
                || Credential::acquire(None, Usage::Initiate, &[(c"ccache", name.as_str())]);
            acquire().unwrap();
            drop(tickets);
            acquire().unwrap_err();
        });
    }
}
