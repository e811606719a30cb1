//! libkrb5, for what GSS-API has no words for: keytabs, realms of hosts, settings of the host.

#![expect(unsafe_code, reason = "calls the C functions of ffi.rs")]

use std::ffi::{CStr, CString};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr;

use countersign_core::KerberosFailure;

use super::Status;
use super::ffi::{Handle, KeytabEntry};
use super::session::{Numbers, Session, Words, copy};
use super::status::plain;

/// A key in a keytab, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeytabKey {
    /// Whose key it is, as Kerberos writes it.
    pub principal: String,
    /// Its version (kvno).
    pub version: u32,
    /// What it encrypts with, such as `aes256-cts-hmac-sha1-96`.
    pub encryption: String,
}

/// Returns the name of the keytab that this host's services use (`KRB5_KTNAME`, `krb5.conf`).
pub(crate) fn default_keytab() -> Result<String, KerberosFailure> {
    let krb5 = Session::open()?;
    let mut name = [0_u8; 1024];
    let length = i32::try_from(name.len()).unwrap_or(i32::MAX);
    // SAFETY: the context is alive, and the library writes no more than so many bytes.
    let code = unsafe {
        (krb5.table.krb5_kt_default_name)(krb5.context, name.as_mut_ptr().cast(), length)
    };
    let other = |text| KerberosFailure::Other { text };
    krb5.check(code).map_err(other)?;
    let text = CStr::from_bytes_until_nul(&name).map(|text| plain(text.to_bytes()));
    text.map_err(|_| other("the default keytab has no end".to_owned()))
}

/// Returns what an error number of Kerberos means (RFC 4120 section 7.5.9). GSS-API must not be
/// asked when it comes from a peer: it answers with what it said last of that number on the
/// thread, perhaps for another connection.
pub(crate) fn meaning(status: &Status) -> Option<String> {
    status.kerberos()?;
    let krb5 = Session::open().ok()?;
    krb5.check(status.minor.cast_signed()).err()
}

/// Returns the realm of this host, if its administrator named one.
pub(crate) fn default_realm() -> Result<Option<String>, KerberosFailure> {
    Session::open().map(|krb5| krb5.default_realm())
}

/// Returns the realm of a host by the administrator's `[domain_realm]`, else that of this host, if
/// there is one. The host's name is not changed, and DNS is asked only where `dns_lookup_realm`
/// says so.
pub(crate) fn host_realm(host: &str) -> Result<Option<String>, KerberosFailure> {
    let krb5 = Session::open()?;
    Ok(krb5.host_realm(host).or_else(|| krb5.default_realm()))
}

/// Returns the text under `[libdefaults]` of the host's `krb5.conf`, if it is there.
pub(crate) fn setting(name: &CStr) -> Result<Option<String>, KerberosFailure> {
    let krb5 = Session::open()?;
    let mut profile = ptr::null_mut();
    // SAFETY: the context is alive, and the profile becomes ours to give back.
    let code = unsafe { (krb5.table.krb5_get_profile)(krb5.context, &mut profile) };
    if krb5.check(code).is_err() || profile.is_null() {
        return Ok(None);
    }
    let mut value = ptr::null_mut();
    // SAFETY: the profile is alive, the names are only read, no default is given, and the value
    // becomes ours to give back.
    let code = unsafe {
        (krb5.table.profile_get_string)(
            profile,
            c"libdefaults".as_ptr(),
            name.as_ptr(),
            ptr::null(),
            ptr::null(),
            &mut value,
        )
    };
    let text = if code == 0 { copy(value) } else { None };
    if !value.is_null() {
        // SAFETY: the library made it, and nobody uses it after this.
        unsafe { (krb5.table.profile_release_string)(value) };
    }
    // SAFETY: the library made it, and nobody uses it after this.
    unsafe { (krb5.table.profile_release)(profile) };
    Ok(text)
}

/// Returns what is in a keytab.
///
/// # Errors
///
/// Why it cannot be read, in the library's words.
pub(crate) fn read_keytab(name: &str) -> Result<Result<Vec<KeytabKey>, Words>, KerberosFailure> {
    let krb5 = Session::open()?;
    let mut keys = Vec::new();
    Ok(krb5
        .each_key(name, &mut |key, _| {
            keys.push(key);
            Ok(())
        })
        .map(|()| keys))
}

/// Keys in the memory of this process, which need no file while they are used. They are wiped
/// when this is dropped.
pub(crate) struct MemoryKeytab {
    number: u32,
    /// Keeps it open: the library forgets a keytab in memory that nobody has open.
    handle: Handle,
}

// SAFETY: the handle is used when this is dropped only, and the library ties it to no thread and
// to no context.
unsafe impl Send for MemoryKeytab {}
// SAFETY: as above.
unsafe impl Sync for MemoryKeytab {}

impl MemoryKeytab {
    /// Copies those keys of a keytab whose principal `wanted` takes.
    pub(crate) fn copy(
        name: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Result<Self, Words>, KerberosFailure> {
        let krb5 = Session::open()?;
        let number = Numbers::take();
        let made = match krb5.keytab(&Self::name_of(number)) {
            Ok(keytab) => Self { number, handle: keytab.keep_open() },
            Err(words) => return Ok(Err(words)),
        };
        let copied = krb5.each_key(name, &mut |key, entry| {
            if !wanted(&key.principal) {
                return Ok(());
            }
            // SAFETY: context and keytab are alive, and the entry is copied.
            let code = unsafe { (krb5.table.krb5_kt_add_entry)(krb5.context, made.handle, entry) };
            krb5.check(code)
        });
        Ok(copied.map(|()| made))
    }

    /// Returns the name under which the library knows it.
    pub(crate) fn name(&self) -> String {
        Self::name_of(self.number)
    }

    fn name_of(number: u32) -> String {
        format!("MEMORY:countersign-{number}")
    }

    /// Takes the keys out, which others may have open still, and closes it.
    fn wipe(&self) -> Result<(), Words> {
        let krb5 = Session::open().map_err(|failure| failure.to_string())?;
        let keytab = Keytab { krb5: &krb5, handle: self.handle };
        // Removing a key ends a walk through the keytab, so each one begins anew.
        while let Some(mut entry) = keytab.first()? {
            // SAFETY: context, keytab and entry are alive; the library wipes what it removes.
            let code = unsafe {
                (krb5.table.krb5_kt_remove_entry)(krb5.context, keytab.handle, &mut entry)
            };
            krb5.release(entry);
            krb5.check(code)?;
        }
        Ok(())
    }
}

impl Drop for MemoryKeytab {
    fn drop(&mut self) {
        // A number whose keys are still there is never used again.
        if self.wipe().is_ok() {
            Numbers::give_back(self.number);
        }
    }
}

impl fmt::Debug for MemoryKeytab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Session {
    /// Calls `each` for every key in a keytab. What it is lent is alive until it returns.
    pub(super) fn each_key(
        &self,
        name: &str,
        each: &mut dyn FnMut(KeytabKey, *mut KeytabEntry) -> Result<(), Words>,
    ) -> Result<(), Words> {
        let keytab = self.keytab(name)?;
        let mut walk = Walk::begin(&keytab)?;
        while let Some(mut entry) = walk.next() {
            let done = self.describe(&entry).and_then(|key| each(key, &mut entry));
            self.release(entry);
            done?;
        }
        Ok(())
    }

    fn default_realm(&self) -> Option<String> {
        let mut realm = ptr::null_mut();
        // SAFETY: the context is alive, and the realm becomes ours to give back.
        let code = unsafe { (self.table.krb5_get_default_realm)(self.context, &mut realm) };
        if self.check(code).is_err() || realm.is_null() {
            return None;
        }
        let text = copy(realm);
        // SAFETY: the library made it, and nobody uses it after this.
        unsafe { (self.table.krb5_free_default_realm)(self.context, realm) };
        text.filter(|text| !text.is_empty())
    }

    fn host_realm(&self, host: &str) -> Option<String> {
        let host = CString::new(host).ok()?;
        let mut realms = ptr::null_mut();
        // SAFETY: the context is alive, the host is only read, and the list becomes ours to give
        // back.
        let code =
            unsafe { (self.table.krb5_get_host_realm)(self.context, host.as_ptr(), &mut realms) };
        if self.check(code).is_err() || realms.is_null() {
            return None;
        }
        // SAFETY: the list ends with a null pointer, so it has a first element.
        let first = unsafe { *realms };
        let text = copy(first);
        // SAFETY: the library made it, and nobody uses it after this.
        unsafe { (self.table.krb5_free_host_realm)(self.context, realms) };
        text.filter(|text| !text.is_empty())
    }

    fn keytab(&self, name: &str) -> Result<Keytab<'_>, Words> {
        let name = CString::new(name).map_err(|_| "its name holds a NUL".to_owned())?;
        let mut handle = ptr::null_mut();
        // SAFETY: the context is alive, the name is only read, and the keytab becomes ours.
        let code =
            unsafe { (self.table.krb5_kt_resolve)(self.context, name.as_ptr(), &mut handle) };
        self.check(code)?;
        Ok(Keytab { krb5: self, handle })
    }

    fn describe(&self, entry: &KeytabEntry) -> Result<KeytabKey, Words> {
        Ok(KeytabKey {
            principal: self.unparse(entry.principal)?,
            version: entry.version,
            encryption: self.encryption(entry.encryption),
        })
    }

    fn encryption(&self, number: i32) -> String {
        let mut name = [0_u8; 100];
        let (shortest, length) = (0, name.len());
        // SAFETY: the library writes no more than so many bytes.
        let code = unsafe {
            (self.table.krb5_enctype_to_name)(number, shortest, name.as_mut_ptr().cast(), length)
        };
        match CStr::from_bytes_until_nul(&name) {
            Ok(text) if code == 0 => plain(text.to_bytes()),
            _ => format!("encryption type {number}"),
        }
    }

    /// Gives an entry back; the library wipes its key.
    fn release(&self, mut entry: KeytabEntry) {
        // SAFETY: the library filled it, and nobody uses it after this.
        unsafe { (self.table.krb5_free_keytab_entry_contents)(self.context, &mut entry) };
    }
}

/// A keytab that is open.
struct Keytab<'a> {
    krb5: &'a Session,
    handle: Handle,
}

impl Keytab<'_> {
    /// Hands out what is open, to be closed by a `Keytab` made of it.
    fn keep_open(self) -> Handle {
        ManuallyDrop::new(self).handle
    }

    /// Returns some key of it, if it has any.
    fn first(&self) -> Result<Option<KeytabEntry>, Words> {
        let mut walk = Walk::begin(self)?;
        Ok(walk.next())
    }
}

impl Drop for Keytab<'_> {
    fn drop(&mut self) {
        // SAFETY: context and keytab are alive, and nobody has the keytab after this.
        unsafe { (self.krb5.table.krb5_kt_close)(self.krb5.context, self.handle) };
    }
}

/// A walk through a keytab.
struct Walk<'a> {
    keytab: &'a Keytab<'a>,
    cursor: Handle,
}

impl<'a> Walk<'a> {
    fn begin(keytab: &'a Keytab<'a>) -> Result<Self, Words> {
        let krb5 = keytab.krb5;
        let mut cursor = ptr::null_mut();
        // SAFETY: context and keytab are alive, and the cursor becomes ours.
        let code =
            unsafe { (krb5.table.krb5_kt_start_seq_get)(krb5.context, keytab.handle, &mut cursor) };
        krb5.check(code)?;
        Ok(Self { keytab, cursor })
    }

    /// Returns the next entry, which is to be given to [`Session::release`]. A broken file ends
    /// where it breaks, as for the library itself.
    fn next(&mut self) -> Option<KeytabEntry> {
        let (krb5, mut entry) = (self.keytab.krb5, KeytabEntry::EMPTY);
        // SAFETY: context, keytab and cursor are alive; what is written to the entry becomes ours.
        let code = unsafe {
            (krb5.table.krb5_kt_next_entry)(
                krb5.context,
                self.keytab.handle,
                &mut entry,
                &mut self.cursor,
            )
        };
        (code == 0).then_some(entry)
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        let krb5 = self.keytab.krb5;
        // SAFETY: context and keytab are alive, and nobody has the cursor after this.
        unsafe {
            (krb5.table.krb5_kt_end_seq_get)(krb5.context, self.keytab.handle, &mut self.cursor)
        };
    }
}
