use std::ops::Range;

use countersign::core::{IpsecFlags, SecurityFlags, SecurityProtocol};

use super::{peer_target_name, query_template, settings, sockaddr};
use crate::abi::{WSAEAFNOSUPPORT, WSAEINVAL, WSAEMSGSIZE};
use crate::failure::Failure;

const SPN: &str = "postgres/db1.example.com";

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_ne_bytes).collect()
}

fn put(bytes: &mut [u8], at: usize, value: impl AsRef<[u8]>) {
    let value = value.as_ref();
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn v4(ip: [u8; 4], port: u16) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    put(&mut bytes, 0, 2_u16.to_ne_bytes());
    put(&mut bytes, 2, port.to_be_bytes());
    put(&mut bytes, 4, ip);
    bytes
}

/// A caller's buffer as SPEC 2 says: the size of the structure, and the string.
fn target(protocol: u32, length: u32, string: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 144 + string.len()];
    put(&mut bytes, 0, protocol.to_ne_bytes());
    put(&mut bytes, 8, v4([192, 0, 2, 1], 5432));
    put(&mut bytes, 136, length.to_ne_bytes());
    put(&mut bytes, 140, string);
    bytes
}

fn extended(protocol: u32, strings: [&str; 3]) -> Vec<u8> {
    let strings = strings.map(utf16);
    let mut bytes = vec![0; 88];
    put(&mut bytes, 0, protocol.to_ne_bytes());
    for (index, string) in strings.iter().enumerate() {
        put(&mut bytes, 72 + 4 * index, (string.len() as u32).to_ne_bytes());
    }
    bytes.truncate(84);
    bytes.extend(strings.concat());
    bytes.extend([0; 4]);
    bytes
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T, Failure>, code: i32, why: &str) {
    let failure = result.unwrap_err();
    assert_eq!(failure.code, code, "{}", failure.text);
    assert!(failure.text.contains(why), "{}", failure.text);
}

#[track_caller]
fn names(bytes: &[u8], expected: &str) {
    assert_eq!(peer_target_name(bytes).unwrap().name, expected.parse().unwrap());
}

#[test]
fn spec_2_length_in_bytes_and_in_units() {
    let string = utf16(SPN);
    let (units, bytes) = (SPN.len() as u32, string.len() as u32);
    // As the reference says.
    for protocol in 0..3 {
        names(&target(protocol, bytes, &string), SPN);
    }
    // As the samples of the vendor store it, in buffers of their size.
    for protocol in 0..2 {
        names(&target(protocol, units, &string), SPN);
    }
    // With the second form a length is bytes, so this is the first half of the name.
    names(&target(2, units, &string), "postgres/db1");
}

#[test]
fn spec_2_units_that_hold_a_nul_are_bytes() {
    // 24 bytes are declared; as units they would reach over the zeros behind the name.
    let mut string = utf16("host/example");
    string.extend([0; 24]);
    names(&target(0, 24, &string), "host/example");
}

#[test]
fn spec_2_malformed_strings() {
    let string = utf16(SPN);
    fails(peer_target_name(&target(2, 47, &string)), WSAEINVAL, "47 bytes");
    let mut lone = string.clone();
    put(&mut lone, 10, 0xD800_u16.to_ne_bytes());
    fails(peer_target_name(&target(0, 48, &lone)), WSAEINVAL, "lone surrogate");
    let mut nul = string;
    put(&mut nul, 10, [0, 0]);
    fails(peer_target_name(&target(0, 48, &nul)), WSAEINVAL, "NUL after 5");
    fails(peer_target_name(&target(0, 0, &[])), WSAEINVAL, "empty");
    fails(peer_target_name(&target(0, 5, &utf16("a/b@@"))), WSAEINVAL, "no name of a peer");
}

#[test]
fn utf_32_is_recognised_and_named() {
    let string: Vec<u8> = SPN.chars().flat_map(|c| u32::from(c).to_ne_bytes()).collect();
    fails(peer_target_name(&target(0, 24, &string)), WSAEINVAL, "-fshort-wchar");
}

#[test]
fn spec_3_sizes_come_before_values() {
    // Everything is wrong, and the size is what is said.
    let mut bytes = target(9, 1000, &utf16(SPN));
    put(&mut bytes, 8, 99_u16.to_ne_bytes());
    fails(peer_target_name(&bytes), WSAEMSGSIZE, "needs 1140");
    fails(peer_target_name(&bytes[..143]), WSAEMSGSIZE, "needs 144");
    fails(peer_target_name(&target(0, u32::MAX, &[])), WSAEMSGSIZE, "144 bytes");
    put(&mut bytes, 136, 4_u32.to_ne_bytes());
    fails(peer_target_name(&bytes), WSAEAFNOSUPPORT, "family 99");
    put(&mut bytes, 8, 2_u16.to_ne_bytes());
    fails(peer_target_name(&bytes), WSAEINVAL, "protocol 9");
}

#[test]
fn spec_5_1_an_address_of_zeros_is_anyone() {
    let mut bytes = target(0, 24, &utf16(SPN));
    bytes[8..136].fill(0);
    assert_eq!(peer_target_name(&bytes).unwrap().address, "0.0.0.0:0".parse().unwrap());
    bytes[12] = 1;
    fails(peer_target_name(&bytes), WSAEAFNOSUPPORT, "family 0");
}

#[test]
fn addresses_of_both_families() {
    assert_eq!(sockaddr(&v4([192, 0, 2, 1], 80)).unwrap(), "192.0.2.1:80".parse().unwrap());
    let mut v6 = vec![0; 28];
    put(&mut v6, 0, 23_u16.to_ne_bytes());
    put(&mut v6, 2, 443_u16.to_be_bytes());
    put(&mut v6, 8, [0xfe, 0x80]);
    v6[23] = 1;
    v6[24] = 3;
    assert_eq!(sockaddr(&v6).unwrap(), "[fe80::1%3]:443".parse().unwrap());
    for length in 0..28 {
        fails(sockaddr(&v6[..length]), WSAEMSGSIZE, "needs");
    }
    for length in 0..16 {
        fails(sockaddr(&v4([0; 4], 0)[..length]), WSAEMSGSIZE, "needs");
    }
    v6[0] = 10;
    fails(sockaddr(&v6), WSAEAFNOSUPPORT, "10 is AF_INET6 of Linux");
}

#[test]
fn spec_4_3_which_structure_may_name_what() {
    for protocol in 0..3_u32 {
        let bytes = [protocol.to_ne_bytes(), 1_u32.to_ne_bytes()].concat();
        let it = settings(&bytes).unwrap();
        assert_eq!(it.protocol(), SecurityProtocol::from_number(protocol).unwrap());
        assert_eq!(it.flags(), SecurityFlags::GUARANTEE_ENCRYPTION);
        assert!(it.ipsec().is_none());
    }
    fails(settings(&[3, 0, 0, 0, 0, 0, 0, 0]), WSAEINVAL, "protocol 3");
    fails(settings(&[0, 0, 0, 0, 4, 0, 0, 0]), WSAEINVAL, "SecurityFlags 0x4");
    fails(settings(&extended(0, [""; 3])), WSAEINVAL, "must name the protocol IPSEC");
    assert!(settings(&extended(1, [""; 3])).unwrap().ipsec().is_some());
}

#[test]
fn spec_4_6_both_flags_contradict() {
    fails(settings(&[0, 0, 0, 0, 3, 0, 0, 0]), WSAEINVAL, "contradict");
}

#[test]
fn spec_4_10_credentials() {
    let mut bytes = extended(1, ["alice", "EXAMPLE.COM", "pässwörd"]);
    put(&mut bytes, 8, 2_u32.to_ne_bytes());
    put(&mut bytes, 28, [7; 16]);
    let it = settings(&bytes).unwrap();
    let ipsec = it.ipsec().unwrap();
    assert_eq!(ipsec.flags, IpsecFlags::OPTIONAL_PEER_NAME_VERIFICATION);
    assert_eq!((ipsec.main_mode_policy, ipsec.quick_mode_policy), ([0; 16], [7; 16]));
    let credentials = ipsec.credentials.as_ref().unwrap();
    assert_eq!(credentials.user(), "alice");
    assert_eq!(credentials.domain(), "EXAMPLE.COM");
    assert_eq!(credentials.password(), "pässwörd");
    assert!(settings(&extended(1, [""; 3])).unwrap().ipsec().unwrap().credentials.is_none());
    fails(settings(&extended(1, ["", "", "secret"])), WSAEINVAL, "no user");
}

#[test]
fn no_error_shows_a_password() {
    let mut bytes = extended(1, ["alice", "", "hunter2"]);
    let end = bytes.len() - 6;
    put(&mut bytes, end, 0xDC00_u16.to_ne_bytes());
    let failure = settings(&bytes).unwrap_err();
    assert_eq!(failure.code, WSAEINVAL);
    assert!(!failure.text.contains("hunter"), "{}", failure.text);
}

#[test]
fn spec_3_settings_too_short() {
    let bytes = extended(1, ["alice", "EXAMPLE.COM", "secret"]);
    for length in (0..8).chain(9..88).chain(88..bytes.len() - 4) {
        fails(settings(&bytes[..length]), WSAEMSGSIZE, "needs");
    }
    let mut absurd = bytes;
    for field in [72, 76, 80] {
        put(&mut absurd, field, u32::MAX.to_ne_bytes());
        fails(settings(&absurd), WSAEMSGSIZE, "needs");
    }
}

#[test]
fn spec_7_templates() {
    let zero = query_template(&[0; 144]).unwrap();
    assert!(zero.is_zero && zero.address.is_none() && zero.second.is_none());
    let mut bytes = vec![0; 152];
    put(&mut bytes, 8, v4([192, 0, 2, 1], 80));
    put(&mut bytes, 136, 8_u32.to_ne_bytes());
    let first = query_template(&bytes[..144]).unwrap();
    assert_eq!((first.access, first.is_zero), (8, false));
    assert_eq!(first.address, Some("192.0.2.1:80".parse().unwrap()));
    put(&mut bytes, 0, 2_u32.to_ne_bytes());
    put(&mut bytes, 140, 1_u32.to_ne_bytes());
    put(&mut bytes, 144, 2_u32.to_ne_bytes());
    let second = query_template(&bytes).unwrap().second.unwrap();
    assert!(second.abort_on_change && second.watch_keys && !second.watch_session);
    fails(query_template(&bytes[..151]), WSAEMSGSIZE, "needs 152");
    fails(query_template(&bytes[..143]), WSAEMSGSIZE, "needs 144");
    put(&mut bytes, 144, 4_u32.to_ne_bytes());
    fails(query_template(&bytes), WSAEINVAL, "FieldMask 0x4");
    put(&mut bytes, 140, 2_u32.to_ne_bytes());
    fails(query_template(&bytes), WSAEINVAL, "Flags 0x2");
    put(&mut bytes, 0, 3_u32.to_ne_bytes());
    fails(query_template(&bytes), WSAEINVAL, "protocol 3");
    put(&mut bytes, 8, 1_u16.to_ne_bytes());
    fails(query_template(&bytes), WSAEAFNOSUPPORT, "family 1");
}

/// A small generator (xorshift), so that a failure can be repeated.
fn random(seed: &mut u64, range: Range<usize>) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    range.start + (*seed as usize) % (range.end - range.start)
}

#[test]
fn any_bytes_give_a_value_or_a_failure() {
    let mut seed = 0x9E37_79B9_7F4A_7C15;
    let whole =
        [target(0, 24, &utf16(SPN)), extended(1, ["alice", "EXAMPLE.COM", "secret"]), vec![0; 152]];
    for _ in 0..50_000 {
        let mut bytes = whole[random(&mut seed, 0..3)].clone();
        bytes.truncate(random(&mut seed, 0..bytes.len() + 1));
        for _ in 0..random(&mut seed, 0..6) {
            if !bytes.is_empty() {
                let at = random(&mut seed, 0..bytes.len());
                bytes[at] = random(&mut seed, 0..256) as u8;
            }
        }
        let codes = [
            settings(&bytes).err().map(|it| it.code),
            peer_target_name(&bytes).err().map(|it| it.code),
            query_template(&bytes).err().map(|it| it.code),
            sockaddr(&bytes).err().map(|it| it.code),
        ];
        for code in codes.into_iter().flatten() {
            assert!([WSAEINVAL, WSAEMSGSIZE, WSAEAFNOSUPPORT].contains(&code), "{code}");
        }
    }
}
