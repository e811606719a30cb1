//! What a call of the library came to, when it failed.

use countersign_core::KerberosFailure;

/// A call of the library failed, or the library could not be opened.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// There is no library.
    Library(KerberosFailure),
    /// It was called, and answered this.
    Status(Status),
}

/// The two numbers that GSS-API answers, and what they meant on the thread of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// What GSS-API calls it, without the supplementary bits (RFC 2744 section 3.9.1).
    pub(crate) major: u32,
    /// What the mechanism calls it.
    pub(crate) minor: u32,
    /// In words.
    pub(crate) text: String,
}

impl Status {
    pub(crate) const BAD_BINDINGS: u32 = 4 << 16;
    pub(crate) const NO_CRED: u32 = 7 << 16;
    pub(crate) const CREDENTIALS_EXPIRED: u32 = 11 << 16;
    pub(crate) const DEFECTIVE_TOKEN: u32 = 9 << 16;
    pub(crate) const FAILURE: u32 = 13 << 16;
    pub(crate) const DUPLICATE_TOKEN: u32 = 1 << 1;
    pub(crate) const UNAVAILABLE: u32 = 16 << 16;

    /// An answer that the library cannot have given by its own rules.
    pub(crate) fn nonsense(what: &str) -> Self {
        Self { major: Self::FAILURE, minor: 0, text: what.to_owned() }
    }

    /// Returns the number of a Kerberos error, the last byte of those in `krb5.h` that begin at
    /// `ERROR_TABLE_BASE_krb5` (RFC 4120 section 7.5.9, and MIT's own from 128 on).
    pub(crate) fn kerberos(&self) -> Option<u8> {
        const BASE: u32 = 0x96c7_3a00;
        (self.minor & 0xffff_ff00 == BASE).then_some((self.minor & 0xff) as u8)
    }
}

impl From<KerberosFailure> for Call {
    fn from(failure: KerberosFailure) -> Self {
        Self::Library(failure)
    }
}

impl From<Status> for Call {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// Makes text of a library, parts of which may be a peer's, fit to be shown: one line, bounded,
/// without control characters.
pub(super) fn plain(bytes: &[u8]) -> String {
    const LONGEST: usize = 300;
    let text = String::from_utf8_lossy(bytes);
    let shown = text.chars().map(|c| if c.is_control() { '?' } else { c });
    shown.take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::{Status, plain};

    #[test]
    fn text_of_others_is_one_bounded_line() {
        assert_eq!(plain(b"Clock skew\ntoo \x1b[31mgreat"), "Clock skew?too ?[31mgreat");
        assert_eq!(plain(&[b'a'; 1000]).len(), 300);
        assert_eq!(plain(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn numbers_of_kerberos_are_told_from_others() {
        let status = |minor| Status { major: Status::FAILURE, minor, text: String::new() };
        assert_eq!(status(0x96c7_3a25).kerberos(), Some(37));
        assert_eq!(status(0x9ae7_3a25).kerberos(), None);
        assert_eq!(status(2).kerberos(), None);
    }
}
