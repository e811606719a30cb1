//! Principals, as the library keeps them, and what is stated about them.

#![expect(unsafe_code, reason = "calls the C functions of ffi.rs")]

use std::fmt;
use std::ptr;

use super::ffi::{Buffer, Gss, Handle, MECH_KRB5, NT_PRINCIPAL, OidDesc};
use super::gss::{ERRORS, check, take};
use super::{Call, Status};

/// A principal, as the library keeps it.
pub(crate) struct Name(pub(super) Handle);

// SAFETY: the library never changes a name after it has made it, and has no thread of its own.
unsafe impl Send for Name {}
// SAFETY: as above; every call on a name only reads it, under the library's own locks.
unsafe impl Sync for Name {}

impl Name {
    /// Reads a principal as Kerberos writes it. DNS has no part in it.
    pub(crate) fn principal(text: &str) -> Result<Self, Call> {
        let gss = Gss::get()?;
        let text = Buffer::of(text.as_bytes());
        let mut kind = OidDesc::of(NT_PRINCIPAL);
        let (mut minor, mut name) = (0, ptr::null_mut());
        // SAFETY: all pointers are to values that live through the call, which copies the text.
        let major = unsafe { (gss.gss_import_name)(&mut minor, &text, &mut kind, &mut name) };
        let name = Self::of(name);
        check(gss, major, minor)?;
        name.ok_or_else(|| Status::nonsense("a name was made of nothing").into())
    }

    /// Reads a principal for the mechanism, once for all calls: one that was read by
    /// [`Self::principal`] is read anew in each.
    pub(crate) fn of_mechanism(text: &str) -> Result<Self, Call> {
        let (gss, name) = (Gss::get()?, Self::principal(text)?);
        let mut krb5 = OidDesc::of(MECH_KRB5);
        let (mut minor, mut made) = (0, ptr::null_mut());
        // SAFETY: the name is alive and copied, the mechanism is only read, and the copy becomes
        // ours.
        let major =
            unsafe { (gss.gss_canonicalize_name)(&mut minor, name.0, &mut krb5, &mut made) };
        let made = Self::of(made);
        check(gss, major, minor)?;
        made.ok_or_else(|| Status::nonsense("a name was made of nothing").into())
    }

    /// Returns it as Kerberos writes it, special characters escaped.
    pub(crate) fn text(&self) -> Result<String, Call> {
        let gss = Gss::get()?;
        let (mut minor, mut text) = (0, Buffer::EMPTY);
        // SAFETY: the name is alive; the text is released by `take`; the type is not asked for.
        let major =
            unsafe { (gss.gss_display_name)(&mut minor, self.0, &mut text, ptr::null_mut()) };
        let text = take(gss, text);
        check(gss, major, minor)?;
        String::from_utf8(text).map_err(|_| Status::nonsense("a name is not UTF-8").into())
    }

    /// Returns the local account that the host's rules map it to, if they do.
    pub(crate) fn local(&self) -> Result<Option<String>, Call> {
        let gss = Gss::get()?;
        let mut krb5 = OidDesc::of(MECH_KRB5);
        let (mut minor, mut text) = (0, Buffer::EMPTY);
        // SAFETY: the name is alive; the text is released by `take`.
        let major = unsafe { (gss.gss_localname)(&mut minor, self.0, &mut krb5, &mut text) };
        let text = take(gss, text);
        if major & ERRORS == Status::UNAVAILABLE {
            return Ok(None);
        }
        check(gss, major, minor)?;
        let text = String::from_utf8(text);
        text.map(Some).map_err(|_| Status::nonsense("an account is not UTF-8").into())
    }

    /// Returns what is stated about it under this attribute (RFC 6680 section 7.5).
    pub(crate) fn attribute(&self, attribute: &str) -> Result<Option<Attribute>, Call> {
        let gss = Gss::get()?;
        let attribute = Buffer::of(attribute.as_bytes());
        let (mut minor, mut authenticated, mut complete, mut more) = (0, 0, 0, -1);
        let (mut value, mut shown) = (Buffer::EMPTY, Buffer::EMPTY);
        // SAFETY: the name is alive, the attribute is only read, and both buffers are released by
        // `take`.
        let major = unsafe {
            (gss.gss_get_name_attribute)(
                &mut minor,
                self.0,
                &attribute,
                &mut authenticated,
                &mut complete,
                &mut value,
                &mut shown,
                &mut more,
            )
        };
        let value = take(gss, value);
        drop(take(gss, shown));
        if major & ERRORS == Status::UNAVAILABLE {
            return Ok(None);
        }
        check(gss, major, minor)?;
        Ok(Some(Attribute { value, is_authenticated: authenticated != 0 }))
    }

    pub(super) fn of(handle: Handle) -> Option<Self> {
        (!handle.is_null()).then_some(Self(handle))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let (Ok(gss), mut minor) = (Gss::get(), 0) else { return };
        // SAFETY: the handle is alive, and nobody has it after this.
        unsafe { (gss.gss_release_name)(&mut minor, &mut self.0) };
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text().unwrap_or_else(|_| "a name".to_owned()))
    }
}

/// What somebody states about a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) value: Vec<u8>,
    /// Whether a third party that we believe has signed it. Whoever has the key of the service can
    /// make a ticket with an attribute that nobody has.
    pub(crate) is_authenticated: bool,
}
