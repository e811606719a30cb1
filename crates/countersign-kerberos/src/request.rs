//! What a client's token says in clear: how its ticket, and the key in that, are encrypted.
//!
//! GSS-API does not tell. What stands here is no proof by itself; but a library that takes the token
//! has opened both parts as what they say they are (RFC 4120 section 5.2.9), so it is true of a
//! token that was taken. It is read strictly: a token that could be read in two ways is none.

use countersign_core::EncryptionType;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InClear {
    /// By which kind of key the ticket is encrypted: one of the service's.
    pub(crate) ticket: EncryptionType,
    /// Which kind of key is in the ticket: the authenticator is encrypted by it.
    pub(crate) session_key: EncryptionType,
}

/// 1.2.840.113554.1.2.2 in DER, and then that an AP-REQ follows (RFC 4121 section 4.1).
const HEAD: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x00";

/// Tags of DER (X.690 section 8.1.2): numbers of the application's or of a field are constructed.
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const TOKEN: u8 = 0x60;
const TICKET: u8 = 0x61;
const AP_REQ: u8 = 0x6e;
const FIELD: u8 = 0xa0;

/// Reads the first token of a client (RFC 2743 section 3.1, RFC 4120 section 5.5.1); `None` is that
/// it is none, or written in another way than any library writes it.
pub(crate) fn read(token: &[u8]) -> Option<InClear> {
    let request = whole(TOKEN, token)?.strip_prefix(HEAD)?;
    let mut fields = whole(SEQUENCE, whole(AP_REQ, request)?)?;
    for version_type_options in 0..=2 {
        element(FIELD + version_type_options, &mut fields)?;
    }
    let ticket = ticket(element(FIELD + 3, &mut fields)?)?;
    let session_key = encrypted_data(element(FIELD + 4, &mut fields)?)?;
    fields.is_empty().then_some(InClear { ticket, session_key })
}

/// RFC 4120 section 5.3.
fn ticket(bytes: &[u8]) -> Option<EncryptionType> {
    let mut fields = whole(SEQUENCE, whole(TICKET, bytes)?)?;
    for version_realm_name in 0..=2 {
        element(FIELD + version_realm_name, &mut fields)?;
    }
    let kind = encrypted_data(element(FIELD + 3, &mut fields)?)?;
    fields.is_empty().then_some(kind)
}

/// RFC 4120 section 5.2.9: the kind of the key, perhaps its version, and what is encrypted.
fn encrypted_data(bytes: &[u8]) -> Option<EncryptionType> {
    let mut fields = whole(SEQUENCE, bytes)?;
    let kind = integer(element(FIELD, &mut fields)?)?;
    if fields.first() == Some(&(FIELD + 1)) {
        element(FIELD + 1, &mut fields)?;
    }
    element(FIELD + 2, &mut fields)?;
    fields.is_empty().then(|| EncryptionType::from_number(kind))
}

/// RFC 4120 section 5.2.4, in as few bytes as it takes (X.690 section 8.3.2).
fn integer(bytes: &[u8]) -> Option<i32> {
    let digits = whole(INTEGER, bytes)?;
    let is_shortest = match digits {
        [0, next, ..] => *next >= 0x80,
        [0xff, next, ..] => *next < 0x80,
        _ => true,
    };
    let is_negative = digits.first().is_some_and(|first| *first >= 0x80);
    let mut all = if is_negative { [0xff; 4] } else { [0; 4] };
    all.get_mut(4_usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    (is_shortest && !digits.is_empty()).then(|| i32::from_be_bytes(all))
}

/// Returns what is in the one element that the bytes are.
fn whole(tag: u8, mut bytes: &[u8]) -> Option<&[u8]> {
    let content = element(tag, &mut bytes)?;
    bytes.is_empty().then_some(content)
}

/// Takes the first element off, if it has this tag, and returns what is in it.
fn element<'a>(tag: u8, bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let [found, first, rest @ ..] = *bytes else { return None };
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // More digits than four would be longer than any token.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit));
            let is_shortest = digits.first() != Some(&0) && length >= 0x80;
            (is_shortest.then_some(length)?, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    (*found == tag).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::{AP_REQ, FIELD, HEAD, INTEGER, InClear, SEQUENCE, TICKET, TOKEN, read};
    use countersign_core::EncryptionType;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        match length {
            [0, short @ 0..=0x7f] => [&[tag, short], content].concat(),
            [0, long] => [&[tag, 0x81, long], content].concat(),
            [high, low] => [&[tag, 0x82, high, low], content].concat(),
        }
    }

    fn fields(parts: &[(u8, &[u8])]) -> Vec<u8> {
        let parts: Vec<u8> =
            parts.iter().flat_map(|(number, part)| der(FIELD + number, part)).collect();
        der(SEQUENCE, &parts)
    }

    fn encrypted(kind: &[u8], version: bool) -> Vec<u8> {
        let kind = der(INTEGER, kind);
        let (version_one, cipher) = (der(INTEGER, &[1]), der(4, &[7; 200]));
        match version {
            true => fields(&[(0, &kind), (1, &version_one), (2, &cipher)]),
            false => fields(&[(0, &kind), (2, &cipher)]),
        }
    }

    fn token(ticket: &[u8], session_key: &[u8]) -> Vec<u8> {
        let any = der(INTEGER, &[5]);
        let parts = fields(&[(0, &any), (1, &any), (2, &any), (3, &encrypted(ticket, true))]);
        let ticket = der(TICKET, &parts);
        let parts = fields(&[
            (0, &any),
            (1, &any),
            (2, &any),
            (3, &ticket),
            (4, &encrypted(session_key, false)),
        ]);
        der(TOKEN, &[HEAD, &der(AP_REQ, &parts)].concat())
    }

    #[test]
    fn both_kinds_are_read_where_they_stand() {
        for (ticket, number) in
            [(&[18][..], 18), (&[23], 23), (&[0x80], -128), (&[0, 0x80], 128), (&[1, 0xff], 511)]
        {
            let found = read(&token(ticket, &[17])).unwrap();
            let session_key = EncryptionType::AES128_SHA1;
            assert_eq!(found, InClear { ticket: EncryptionType::from_number(number), session_key });
        }
        // A number in more bytes than it takes, or none, could be read as another by others.
        for odd in [&[0, 18][..], &[0xff, 0x80], &[], &[0, 0, 0, 0, 18]] {
            assert_eq!(read(&token(odd, &[17])), None, "{odd:?}");
            assert_eq!(read(&token(&[17], odd)), None, "{odd:?}");
        }
    }

    #[test]
    fn what_is_cut_longer_or_framed_otherwise_is_no_token() {
        let good = token(&[18], &[18]);
        assert!(read(&good).is_some());
        for end in 0..good.len() {
            assert_eq!(read(&good[..end]), None, "{end}");
        }
        assert_eq!(read(&[&good[..], &[0]].concat()), None);
        // The AP-REQ without its frame.
        assert_eq!(read(&good[4 + HEAD.len()..]), None);
        for length in [&[0x80][..], &[0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(read(&[&[TOKEN], length, HEAD].concat()), None);
            assert_eq!(read(&der(TOKEN, &[HEAD, &[AP_REQ], length].concat())), None);
        }
        assert_eq!(read(&[TOKEN, 0x84, 0xff, 0xff, 0xff, 0xff, 6]), None);
        assert_eq!(read(&[TOKEN, 0x81, 1, 6]), None, "a length in more bytes than it takes");
    }

    #[test]
    fn whatever_one_byte_is_changed_to_nothing_breaks() {
        let good = token(&[18], &[18]);
        for at in 0..good.len() {
            for value in 0..=u8::MAX {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = read(&bad);
            }
        }
    }
}
