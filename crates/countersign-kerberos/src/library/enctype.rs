//! By which kind of key a context protects its messages, for which GSS-API has no call of its own.

#![expect(unsafe_code, reason = "calls the C functions of ffi.rs")]

use std::ptr;
use std::slice;

use countersign_core::EncryptionType;
use zeroize::Zeroize;

use super::ffi::{BufferSet, Gss, OidDesc, SESSION_KEY};
use super::gss::{Context, check};
use super::{Call, Status};

/// 1.2.840.113554.1.2.2.4, below which MIT names a key's kind by its number.
const KINDS: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x04";

impl Context {
    /// Returns the kind of the key with which messages are signed: that of the last subkey which
    /// the peers have made. The context must be complete.
    pub(crate) fn key_kind(&self) -> Result<EncryptionType, Call> {
        let gss = Gss::get()?;
        let (mut minor, mut found) = (0, ptr::null_mut());
        let mut wanted = OidDesc::of(SESSION_KEY);
        // SAFETY: the context is alive or null, which is an error; the identifier is only read; the
        // set becomes ours.
        let major = unsafe {
            (gss.gss_inquire_sec_context_by_oid)(&mut minor, self.handle, &mut wanted, &mut found)
        };
        let found = Answers(gss, found);
        check(gss, major, minor)?;
        // The first is the key itself, the second says of which kind it is.
        let kind = found.get(1).and_then(|name| number(name.strip_prefix(KINDS)?));
        let kind = kind.map(EncryptionType::from_number);
        kind.ok_or_else(|| Status::nonsense("a key of no kind").into())
    }
}

/// What the library answered, wiped before it is given back: a key is in it.
struct Answers<'a>(&'a Gss, *mut BufferSet);

impl Answers<'_> {
    fn get(&self, index: usize) -> Option<&[u8]> {
        // SAFETY: it is null, or points to a set that the library made and that is ours.
        let set = unsafe { self.1.as_ref() }?;
        if index >= set.count || set.elements.is_null() {
            return None;
        }
        // SAFETY: there are as many elements as the set says.
        let element = unsafe { set.elements.add(index) };
        // SAFETY: as above; nobody changes it before it is dropped.
        let element = unsafe { element.as_ref() }?;
        if element.value.is_null() {
            return Some(&[]);
        }
        // SAFETY: the library has written so many bytes to where the buffer points.
        Some(unsafe { slice::from_raw_parts(element.value.cast::<u8>(), element.length) })
    }

    fn wipe(&mut self) {
        // SAFETY: it is null, or points to a set that the library made and that is ours.
        let Some(set) = (unsafe { self.1.as_ref() }) else { return };
        if set.elements.is_null() {
            return;
        }
        // SAFETY: there are as many elements as the set says, and nobody else looks at them.
        let elements = unsafe { slice::from_raw_parts_mut(set.elements, set.count) };
        for element in elements.iter_mut().filter(|element| !element.value.is_null()) {
            // SAFETY: the library has allocated so many bytes where the buffer points.
            let bytes =
                unsafe { slice::from_raw_parts_mut(element.value.cast::<u8>(), element.length) };
            bytes.zeroize();
        }
    }
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        self.wipe();
        let mut minor = 0;
        // SAFETY: the library made it, or it is null, and nobody uses it after this.
        unsafe { (self.0.gss_release_buffer_set)(&mut minor, &mut self.1) };
    }
}

/// Reads the last arc of an object identifier (X.690 section 8.19.2), if it is one arc and small.
fn number(arc: &[u8]) -> Option<i32> {
    let (last, before) = arc.split_last()?;
    let fits = arc.len() <= 4 && *last < 0x80 && before.iter().all(|byte| *byte >= 0x80);
    let digits = || arc.iter().map(|byte| i32::from(byte & 0x7f));
    fits.then(|| digits().fold(0, |number, digit| number * 128 + digit))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn an_arc_is_read_whole_or_not_at_all() {
        assert_eq!(number(&[18]), Some(18));
        assert_eq!(number(&[0x83, 0x7f]), Some(511));
        for none in [&[][..], &[0x83], &[18, 18], &[0x81, 0x81, 0x81, 0x81, 1]] {
            assert_eq!(number(none), None, "{none:?}");
        }
    }
}
