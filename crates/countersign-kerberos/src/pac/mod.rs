//! Who a client is to Active Directory, from the privilege attribute certificate in its ticket
//! ([MS-PAC]).
//!
//! [MS-PAC]: https://learn.microsoft.com/openspecs/windows_protocols/ms-pac

use countersign_core::Sid;

use crate::library::{Attribute, Name};

mod logon;

mod ndr;

#[cfg(fuzzing)]
pub(crate) use logon::groups as groups_of;

/// MIT's name for the KERB_VALIDATION_INFO of a PAC.
const LOGON_INFO: &str = "urn:mspac:logon-info";

/// Returns the identifiers of the client and its groups. Empty if the ticket states none, or in a
/// way that is not understood: nobody gains anything by a broken PAC.
pub(crate) fn groups(client: &Name) -> Vec<Sid> {
    client.attribute(LOGON_INFO).ok().flatten().and_then(believed).unwrap_or_default()
}

/// Reads the groups of a PAC whose checksum the library has verified. It may show others too, with
/// nothing but a flag to tell them.
fn believed(info: Attribute) -> Option<Vec<Sid>> {
    if !info.is_authenticated {
        return None;
    }
    logon::groups(&info.value)
}

#[cfg(test)]
mod tests {
    use countersign_lab::{Kdc, Realm, within};

    use super::{believed, logon};
    use crate::library::{Attribute, Cache, Context, Credential, Flags, Name, Usage, forge};

    const PRINCIPAL: &str = "host/server.example.test@EXAMPLE.TEST";
    /// What a PAC of MIT's own KDC has, and its checksum covers, as it does a domain's groups.
    const CLIENT_INFO: &str = "urn:mspac:client-info";

    fn in_realm(body: impl FnOnce(&Realm)) {
        let mut kdc = None;
        within(
            || {
                let own = kdc.insert(Kdc::start());
                own.add(&["alice", PRINCIPAL]);
                own.keytab("server", &[PRINCIPAL]);
                own.ticket("alice", "alice", &[]);
                own.service_ticket("alice", PRINCIPAL);
                Realm::clone(own)
            },
            body,
        );
    }

    /// Returns what a server takes a client's PAC to state, whose tickets are these.
    fn stated(realm: &Realm, tickets: &Cache) -> Option<Attribute> {
        let store = [(c"ccache", tickets.name())];
        let alice = Credential::acquire(None, Usage::Initiate, &store).unwrap();
        let target = Name::principal(PRINCIPAL).unwrap();
        let token = Context::new().initiate(&alice, &target, Flags::MUTUAL, None, None).unwrap();
        let keytab = realm.file("server");
        let store = [(c"keytab", keytab.as_str()), (c"rcache", "none:")];
        let server = Credential::acquire(Some(&target), Usage::Accept, &store).unwrap();
        let mut context = Context::new();
        context.accept(&server, None, &token.token, false).unwrap();
        context.inquire().unwrap().initiator.attribute(CLIENT_INFO).unwrap()
    }

    /// Returns where a name stands in what is sealed.
    fn find(sealed: &[u8], name: &str) -> Option<usize> {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        sealed.windows(name.len()).position(|part| part == name)
    }

    #[test]
    fn a_pac_that_its_kdc_has_not_signed_states_nothing() {
        in_realm(|realm| {
            let (cache, keytab) = (realm.file("alice"), realm.file("server"));
            let forged = |change: fn(&mut [u8])| {
                let tickets = forge(&cache, &format!("FILE:{keytab}"), PRINCIPAL, change);
                stated(realm, &tickets).filter(|it| it.is_authenticated).map(|it| it.value)
            };
            let as_it_was = forged(|_| {}).expect("what the KDC has signed is believed");
            assert!(find(&as_it_was, "alice").is_some(), "{as_it_was:?}");
            // Another name, under the signature for alice's.
            assert_eq!(forged(|sealed| sealed[find(sealed, "alice").unwrap()] = b'm'), None);
            // Behind the name, filled up to eight bytes, come the type of the server's signature
            // and itself.
            assert_eq!(forged(|sealed| sealed[find(sealed, "alice").unwrap() + 20] ^= 1), None);
        });
    }

    #[test]
    fn groups_that_nobody_has_signed_are_none() {
        let value = logon::tests::of_alice();
        let stated = |is_authenticated| Attribute { value: value.clone(), is_authenticated };
        let groups = believed(stated(true)).expect("what is signed is believed");
        assert!(groups.len() > 1, "{groups:?}");
        assert_eq!(believed(stated(false)), None);
    }
}
