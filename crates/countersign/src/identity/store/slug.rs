//! The name of a directory for the name of a peer.

use aws_lc_rs::digest::{SHA256, digest};
use countersign_core::PeerName;

use crate::identity::certificate::hexadecimal;

/// Returns a file name for `name`: the same for names that are equal, different for names that
/// differ, never hidden, never longer than file systems allow.
///
/// Everything but letters, digits, dot, hyphen and underscore is percent-encoded, so that the
/// name can be read back. One that is too long is cut and marked with its hash, after a `~` that
/// occurs in no other.
pub(super) fn slug(name: &PeerName) -> String {
    let text = canonical(name);
    let mut slug = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if plain || (byte == b'.' && !slug.is_empty()) {
            slug.push(char::from(byte));
        } else {
            slug.push_str(&format!("%{byte:02X}"));
        }
    }
    if slug.len() > LONGEST {
        let hash = hexadecimal(digest(&SHA256, text.as_bytes()).as_ref());
        slug.truncate(LONGEST);
        slug.push('~');
        slug.push_str(&hash);
    }
    slug
}

/// Equal names have one text: classes are the same in either case, though shown as written.
fn canonical(name: &PeerName) -> String {
    let text = name.to_string();
    match (name, text.split_once('/')) {
        (PeerName::Service(_), Some((class, rest))) => {
            format!("{}/{rest}", class.to_ascii_lowercase())
        }
        _ => text,
    }
}

/// With the hash and `~` below the 255 bytes that file names may have.
const LONGEST: usize = 180;

#[cfg(test)]
mod tests {
    use super::slug;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(slug(&name.parse().unwrap()), expected);
    }

    #[test]
    fn names_become_file_names() {
        check("db1.example.com", "host%2Fdb1.example.com");
        check("HTTP/www:8080@A", "http%2Fwww%3A8080%40A");
        check("alice@EXAMPLE.COM", "alice%40EXAMPLE.COM");
        check("spiffe://prod/billing", "spiffe%3A%2F%2Fprod%2Fbilling");
        check("..@A", "%2E.%40A");
        check(".a/db1", "%2Ea%2Fdb1");
        check("50%2Foff@A", "50%252Foff%40A");
        check("jörg@A", "j%C3%B6rg%40A");
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let long = |last: char| format!("{}{last}@A", "ü".repeat(900)).parse().unwrap();
        let (one, other) = (slug(&long('a')), slug(&long('b')));
        assert_ne!(one, other);
        assert_eq!(one.len(), 180 + 1 + 64);
        assert_eq!(one, slug(&long('a')));
    }
}
