//! Tickets of a KDC that is not what it says, for tests: whoever has a service's key can open a
//! ticket for it, change what is in it, and close it again.

#![expect(unsafe_code, reason = "calls the C functions of ffi.rs")]

use std::ptr;

use super::ccache::{Cache, Ticket};
use super::ffi::{Crypto, Data, EncData, KeytabEntry};
use super::session::Session;

/// What a ticket is sealed for (RFC 4120 section 7.5.1).
const TICKET: i32 = 2;

/// Copies the tickets for a service out of a cache, after `change` has had what is sealed in them.
pub(crate) fn forge(cache: &str, keytab: &str, service: &str, change: impl Fn(&mut [u8])) -> Cache {
    let krb5 = Session::open().unwrap();
    let from = krb5.cache(cache).unwrap();
    let (client, service) = (from.client().unwrap(), krb5.principal(service).unwrap());
    let changed = from.copy_of(&client, &service, &mut |ticket: &mut Ticket<'_>| {
        let sealed = bytes_of(ticket);
        let mut is_done = false;
        let each = krb5.each_key(keytab, &mut |_, key| {
            is_done |= reseal(&krb5, key, sealed, &change);
            Ok(())
        });
        each.unwrap();
        assert!(is_done, "no key in {keytab} opens it");
    });
    changed.unwrap().expect("there is a ticket")
}

#[expect(clippy::needless_pass_by_ref_mut, reason = "what it points to is lent to be changed")]
fn bytes_of<'a>(ticket: &'a mut Ticket<'_>) -> &'a mut [u8] {
    let Data { length, data, .. } = ticket.creds.ticket;
    // SAFETY: the library has put so many bytes there, which are the ticket's as long as it lives.
    unsafe { std::slice::from_raw_parts_mut(data.cast(), length as usize) }
}

/// Changes what the key opens, if it does. It is the last of a ticket, and says by its checksum
/// where it begins.
fn reseal(
    krb5: &Session,
    key: *mut KeytabEntry,
    ticket: &mut [u8],
    change: &impl Fn(&mut [u8]),
) -> bool {
    let crypto = Crypto::get().unwrap();
    // SAFETY: the caller lends an entry that is alive.
    let entry = unsafe { &mut *key };
    let encryption = entry.encryption;
    let key = (&raw mut entry.key_magic).cast();
    for begin in 1..ticket.len() {
        let (_, sealed) = ticket.split_at_mut(begin);
        let mut plain = vec![0_u8; sealed.len()];
        let input = EncData::of(encryption, sealed);
        let mut output = Data::of(&mut plain);
        // SAFETY: context and key are alive, the state may be null, and the library writes no more
        // than the output has room for.
        let code = unsafe {
            (crypto.krb5_c_decrypt)(krb5.context, key, TICKET, ptr::null(), &input, &mut output)
        };
        if code != 0 {
            continue;
        }
        plain.truncate(output.length as usize);
        change(&mut plain);
        let input = Data::of(&mut plain);
        let mut output = EncData::of(encryption, sealed);
        // SAFETY: as above.
        let code = unsafe {
            (crypto.krb5_c_encrypt)(krb5.context, key, TICKET, ptr::null(), &input, &mut output)
        };
        assert_eq!((code, output.data.length as usize), (0, sealed.len()));
        return true;
    }
    false
}
