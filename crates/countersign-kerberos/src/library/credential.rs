//! Credentials, as the library keeps them.

#![expect(unsafe_code, reason = "calls the C functions of ffi.rs")]

use std::ffi::{CStr, CString, c_int};
use std::ptr;

use super::ffi::{
    ACCEPT, Buffer, Gss, Handle, INDEFINITE, INITIATE, KeyValue, KeyValueSet, MECH_KRB5, OidDesc,
    OidSet, Om,
};
use super::gss::check;
use super::name::Name;
use super::{Call, Status};

/// What a credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    Accept,
    Initiate,
}

impl Usage {
    fn number(self) -> c_int {
        match self {
            Self::Accept => ACCEPT,
            Self::Initiate => INITIATE,
        }
    }
}

/// Credentials of the Kerberos mechanism.
#[derive(Debug)]
pub(crate) struct Credential(pub(super) Handle);

// SAFETY: the library locks a credential whenever it uses it.
unsafe impl Send for Credential {}
// SAFETY: as above; one credential may serve several contexts at once.
unsafe impl Sync for Credential {}

impl Credential {
    /// Acquires them from the places that `store` names, by the keys of MIT's credential stores
    /// (`ccache`, `keytab`, `client_keytab`, `rcache`); the defaults of the host fill the rest.
    pub(crate) fn acquire(
        name: Option<&Name>,
        usage: Usage,
        store: &[(&CStr, &str)],
    ) -> Result<Self, Call> {
        let gss = Gss::get()?;
        let store = Store::new(store)?;
        let (mut mechanism, mut minor, mut made) = (OidDesc::of(MECH_KRB5), 0, ptr::null_mut());
        let mechanisms = OidSet { count: 1, elements: &mut mechanism };
        let mut elements = store.elements();
        let set = KeyValueSet { count: elements.len() as Om, elements: elements.as_mut_ptr() };
        let place = if elements.is_empty() { ptr::null() } else { ptr::from_ref(&set) };
        // SAFETY: the name is alive or null, which is any; sets and strings live through the call;
        // the outputs that are not wanted may be null.
        let major = unsafe {
            (gss.gss_acquire_cred_from)(
                &mut minor,
                name.map_or(ptr::null_mut(), |name| name.0),
                INDEFINITE,
                &mechanisms,
                usage.number(),
                place,
                &mut made,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        Self::made(gss, major, minor, made)
    }

    /// Asks the KDC for them with a password, which the library wipes when they are released.
    pub(crate) fn with_password(name: &Name, password: &[u8]) -> Result<Self, Call> {
        let gss = Gss::get()?;
        let (mut mechanism, mut minor, mut made) = (OidDesc::of(MECH_KRB5), 0, ptr::null_mut());
        let mechanisms = OidSet { count: 1, elements: &mut mechanism };
        let password = Buffer::of(password);
        // SAFETY: as in `acquire`; the password is copied.
        let major = unsafe {
            (gss.gss_acquire_cred_with_password)(
                &mut minor,
                name.0,
                &password,
                INDEFINITE,
                &mechanisms,
                INITIATE,
                &mut made,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        Self::made(gss, major, minor, made)
    }

    /// Writes them into a cache, over what is in it.
    pub(crate) fn store(&self, cache: &str) -> Result<(), Call> {
        let gss = Gss::get()?;
        let store = Store::new(&[(c"ccache", cache)])?;
        let mut elements = store.elements();
        let set = KeyValueSet { count: elements.len() as Om, elements: elements.as_mut_ptr() };
        let (mut mechanism, mut minor) = (OidDesc::of(MECH_KRB5), 0);
        let (overwrite, make_default) = (1, 0);
        // SAFETY: the credential is alive; the set lives through the call; the outputs that are
        // not wanted may be null.
        let major = unsafe {
            (gss.gss_store_cred_into)(
                &mut minor,
                self.0,
                INITIATE,
                &mut mechanism,
                overwrite,
                make_default,
                &set,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        check(gss, major, minor)
    }

    /// Returns whose they are, and for how many seconds they are good; `None` is for ever.
    pub(crate) fn inquire(&self) -> Result<(Option<Name>, Option<u32>), Call> {
        let gss = Gss::get()?;
        let (mut minor, mut name, mut seconds) = (0, ptr::null_mut(), 0);
        // SAFETY: the credential is alive; the name becomes ours; the outputs that are not wanted
        // may be null.
        let major = unsafe {
            (gss.gss_inquire_cred)(
                &mut minor,
                self.0,
                &mut name,
                &mut seconds,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        let name = Name::of(name);
        check(gss, major, minor)?;
        Ok((name, (seconds != INDEFINITE).then_some(seconds)))
    }

    fn made(gss: &Gss, major: Om, minor: Om, made: Handle) -> Result<Self, Call> {
        let made = Self::of(made);
        check(gss, major, minor)?;
        made.ok_or_else(|| Status::nonsense("credentials were made of nothing").into())
    }

    pub(super) fn of(handle: Handle) -> Option<Self> {
        (!handle.is_null()).then_some(Self(handle))
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        let (Ok(gss), mut minor) = (Gss::get(), 0) else { return };
        // SAFETY: the handle is alive, and nobody has it after this.
        unsafe { (gss.gss_release_cred)(&mut minor, &mut self.0) };
    }
}

/// Pairs for a credential store, as C strings that live as long as this.
struct Store<'a>(Vec<(&'a CStr, CString)>);

impl<'a> Store<'a> {
    fn new(pairs: &[(&'a CStr, &str)]) -> Result<Self, Status> {
        let made = pairs.iter().map(|(key, value)| Ok((*key, CString::new(*value)?)));
        let made: Result<_, std::ffi::NulError> = made.collect();
        made.map(Self).map_err(|_| Status::nonsense("a file name holds a NUL"))
    }

    fn elements(&self) -> Vec<KeyValue> {
        let elements = self.0.iter();
        elements.map(|(key, value)| KeyValue { key: key.as_ptr(), value: value.as_ptr() }).collect()
    }
}
