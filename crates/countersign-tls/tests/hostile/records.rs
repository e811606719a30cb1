//! TLS records, and which alterations of them alter nothing (RFC 8446 section 5).

use crate::mutation::{Random, mutate};

const CHANGE_CIPHER_SPEC: u8 = 20;
const APPLICATION_DATA: u8 = 23;
const HEADER: usize = 5;

/// Splits bytes into records, each with its header; what is left over is one more.
pub(crate) fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let length = match bytes {
            [_, _, _, high, low, ..] => HEADER + usize::from(u16::from_be_bytes([*high, *low])),
            _ => bytes.len(),
        };
        let (record, rest) = bytes.split_at(length.min(bytes.len()));
        records.push(record.to_vec());
        bytes = rest;
    }
    records
}

/// Returns whether all that was sent arrives, though more may follow it.
///
/// Three things mean nothing and are left out: change_cipher_spec in TLS 1.3, which is there for
/// the eyes of middleboxes; the version in a header; the type in the header of an encrypted
/// record, whose true type is inside.
pub(crate) fn arrives_whole(sent: &[u8], arrived: &[u8]) -> bool {
    let meaning = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let records = split(bytes).into_iter();
        records.filter(|it| !(it[0] == CHANGE_CIPHER_SPEC && it.len() == HEADER + 1)).collect()
    };
    let (sent, arrived) = (meaning(sent), meaning(arrived));
    sent.len() <= arrived.len()
        && sent.iter().zip(&arrived).all(|(sent, arrived)| {
            sent.get(3..) == arrived.get(3..)
                && (sent[0] == arrived[0] || sent[0] == APPLICATION_DATA)
        })
}

#[test]
fn what_arrives_whole_is_told_from_what_does_not() {
    let sent = b"\x16\x03\x01\x00\x02hi\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x03abc";
    assert!(arrives_whole(sent, sent));
    assert!(arrives_whole(sent, &[&sent[..], b"\x15\x03\x03\x00\x01x"].concat()));
    assert!(arrives_whole(sent, b"\x16\x03\x03\x00\x02hi\x16\x03\x03\x00\x03abc"));
    assert!(!arrives_whole(sent, b"\x17\x03\x01\x00\x02hi\x17\x03\x03\x00\x03abc"));
    assert!(!arrives_whole(sent, b"\x16\x03\x01\x00\x02hi"));
    for at in (5..7).chain(16..sent.len()) {
        let mut altered = *sent;
        altered[at] ^= 0x40;
        assert!(!arrives_whole(sent, &altered), "byte {at}");
    }
}

#[test]
fn most_mutations_alter_something() {
    let sent = b"\x16\x03\x03\x00\x40".iter().copied().chain(0..64).collect::<Vec<u8>>();
    let altered = |seed| !arrives_whole(&sent, &mutate(&sent, &mut Random::new(seed)));
    assert!((0..1000).filter(|&seed| altered(seed)).count() > 700);
}
