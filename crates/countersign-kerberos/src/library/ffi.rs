//! The C interface of libgssapi_krb5 and libkrb5, as far as it is used here, opened at run time.
//!
//! Types and numbers are those of RFC 2744 and of MIT's `gssapi_ext.h`, `krb5.h` and `profile.h`
//! on 64-bit Linux. Nothing here is safe to call by itself: `gss.rs` and `krb5.rs` make it so.

#![expect(unsafe_code, reason = "opens a C library and states the types of its functions")]

use std::ffi::{c_char, c_int, c_long, c_uint, c_void};
use std::ptr;
use std::sync::OnceLock;

use countersign_core::KerberosFailure;
use libloading::Library;

/// `OM_uint32`.
pub(super) type Om = u32;
/// `gss_name_t`, `gss_cred_id_t`, `gss_ctx_id_t`, and libkrb5's own pointers to what it hides.
pub(super) type Handle = *mut c_void;
/// `gss_OID`.
pub(super) type Oid = *mut OidDesc;

/// `gss_buffer_desc`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Buffer {
    pub(super) length: usize,
    pub(super) value: *mut c_void,
}

/// `gss_OID_desc`, which `gssapi.h` does not pack on Linux.
#[repr(C)]
#[derive(Debug)]
pub(super) struct OidDesc {
    pub(super) length: Om,
    pub(super) elements: *mut c_void,
}

/// `gss_OID_set_desc`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct OidSet {
    pub(super) count: usize,
    pub(super) elements: Oid,
}

/// `struct gss_channel_bindings_struct`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct ChannelBindings {
    pub(super) initiator_type: Om,
    pub(super) initiator_address: Buffer,
    pub(super) acceptor_type: Om,
    pub(super) acceptor_address: Buffer,
    pub(super) application_data: Buffer,
}

/// `gss_key_value_element_desc`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct KeyValue {
    pub(super) key: *const c_char,
    pub(super) value: *const c_char,
}

/// `gss_key_value_set_desc`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct KeyValueSet {
    pub(super) count: Om,
    pub(super) elements: *mut KeyValue,
}

/// `krb5_keytab_entry` with its `krb5_keyblock`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct KeytabEntry {
    pub(super) magic: i32,
    pub(super) principal: Handle,
    pub(super) timestamp: i32,
    pub(super) version: c_uint,
    pub(super) key_magic: i32,
    pub(super) encryption: i32,
    pub(super) key_length: c_uint,
    pub(super) key: *mut u8,
}

/// `krb5_data`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Data {
    pub(super) magic: i32,
    pub(super) length: c_uint,
    pub(super) data: *mut c_char,
}

/// `krb5_creds` with its `krb5_keyblock`: a ticket and its session key.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Creds {
    pub(super) magic: i32,
    pub(super) client: Handle,
    pub(super) server: Handle,
    pub(super) key_magic: i32,
    pub(super) encryption: i32,
    pub(super) key_length: c_uint,
    pub(super) key: *mut u8,
    /// Of the authentication, begin, end, and the end of renewals.
    pub(super) times: [i32; 4],
    pub(super) is_session_key: c_uint,
    pub(super) flags: i32,
    pub(super) addresses: Handle,
    pub(super) ticket: Data,
    pub(super) second_ticket: Data,
    pub(super) authdata: Handle,
}

impl Buffer {
    pub(super) const EMPTY: Self = Self { length: 0, value: ptr::null_mut() };

    /// Lends bytes to a call that only reads them.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
    }
}

impl OidDesc {
    /// Lends the bytes of an object identifier to a call that only reads them.
    pub(super) fn of(der: &'static [u8]) -> Self {
        // No identifier is longer than a handful of bytes.
        Self { length: der.len() as Om, elements: der.as_ptr().cast_mut().cast() }
    }
}

impl KeytabEntry {
    pub(super) const EMPTY: Self = Self {
        magic: 0,
        principal: ptr::null_mut(),
        timestamp: 0,
        version: 0,
        key_magic: 0,
        encryption: 0,
        key_length: 0,
        key: ptr::null_mut(),
    };
}

impl Data {
    const EMPTY: Self = Self { magic: 0, length: 0, data: ptr::null_mut() };
}

impl Creds {
    pub(super) const EMPTY: Self = Self {
        magic: 0,
        client: ptr::null_mut(),
        server: ptr::null_mut(),
        key_magic: 0,
        encryption: 0,
        key_length: 0,
        key: ptr::null_mut(),
        times: [0; 4],
        is_session_key: 0,
        flags: 0,
        addresses: ptr::null_mut(),
        ticket: Data::EMPTY,
        second_ticket: Data::EMPTY,
        authdata: ptr::null_mut(),
    };
}

/// 1.2.840.113554.1.2.2, Kerberos V5 (RFC 4121).
pub(super) const MECH_KRB5: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
/// 1.2.840.113554.1.2.2.1, `GSS_KRB5_NT_PRINCIPAL_NAME` (RFC 1964 section 2.1.1).
pub(super) const NT_PRINCIPAL: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01";

pub(super) const INITIATE: c_int = 1;
pub(super) const ACCEPT: c_int = 2;
pub(super) const INDEFINITE: Om = Om::MAX;
pub(super) const STATUS_OF_GSS: c_int = 1;
pub(super) const STATUS_OF_MECHANISM: c_int = 2;

/// Makes a table of the functions of one library, which are looked up together: a library that
/// lacks one of them is too old, or another one.
macro_rules! functions {
    ($(#[$attribute:meta])* $table:ident from $file:literal {
        $(fn $name:ident($($argument:ty),* $(,)?) $(-> $result:ty)?;)*
    }) => {
        $(#[$attribute])*
        pub(super) struct $table {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// Keeps the functions where they are.
            _library: Library,
        }

        impl $table {
            /// Returns the functions, after the first call without opening the library again.
            ///
            /// # Errors
            ///
            /// The library is not installed, or is not one that we know.
            pub(super) fn get() -> Result<&'static Self, KerberosFailure> {
                static TABLE: OnceLock<Result<$table, String>> = OnceLock::new();
                TABLE.get_or_init(|| Self::open().map_err(|error| error.to_string())).as_ref().map_err(
                    |why| KerberosFailure::LibraryMissing { library: $file, why: why.clone() },
                )
            }

            fn open() -> Result<Self, libloading::Error> {
                // SAFETY: what runs while it is opened is the host's Kerberos library, installed
                // by its administrator; it has no conditions.
                let library = unsafe { Library::new($file) }?;
                Ok(Self {
                    $($name: {
                        // SAFETY: the type is that of the function in the library's headers,
                        // whose interface has the number in the file's name.
                        let symbol = unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) };
                        *symbol?
                    },)*
                    _library: library,
                })
            }
        }
    };
}

functions! {
    /// libgssapi_krb5: RFC 2744, and MIT's extensions to it.
    Gss from "libgssapi_krb5.so.2" {
        fn gss_accept_sec_context(
            *mut Om, *mut Handle, Handle, *const Buffer, *const ChannelBindings, *mut Handle,
            *mut Oid, *mut Buffer, *mut Om, *mut Om, *mut Handle,
        ) -> Om;
        fn gss_acquire_cred_from(
            *mut Om, Handle, Om, *const OidSet, c_int, *const KeyValueSet, *mut Handle,
            *mut *mut OidSet, *mut Om,
        ) -> Om;
        fn gss_acquire_cred_with_password(
            *mut Om, Handle, *const Buffer, Om, *const OidSet, c_int, *mut Handle,
            *mut *mut OidSet, *mut Om,
        ) -> Om;
        fn gss_canonicalize_name(*mut Om, Handle, Oid, *mut Handle) -> Om;
        fn gss_delete_sec_context(*mut Om, *mut Handle, *mut Buffer) -> Om;
        fn gss_display_name(*mut Om, Handle, *mut Buffer, *mut Oid) -> Om;
        fn gss_display_status(*mut Om, Om, c_int, Oid, *mut Om, *mut Buffer) -> Om;
        fn gss_get_mic(*mut Om, Handle, Om, *const Buffer, *mut Buffer) -> Om;
        fn gss_get_name_attribute(
            *mut Om, Handle, *const Buffer, *mut c_int, *mut c_int, *mut Buffer, *mut Buffer,
            *mut c_int,
        ) -> Om;
        fn gss_import_name(*mut Om, *const Buffer, Oid, *mut Handle) -> Om;
        fn gss_init_sec_context(
            *mut Om, Handle, *mut Handle, Handle, Oid, Om, Om, *const ChannelBindings,
            *const Buffer, *mut Oid, *mut Buffer, *mut Om, *mut Om,
        ) -> Om;
        fn gss_inquire_context(
            *mut Om, Handle, *mut Handle, *mut Handle, *mut Om, *mut Oid, *mut Om, *mut c_int,
            *mut c_int,
        ) -> Om;
        fn gss_inquire_cred(
            *mut Om, Handle, *mut Handle, *mut Om, *mut c_int, *mut *mut OidSet,
        ) -> Om;
        fn gss_localname(*mut Om, Handle, Oid, *mut Buffer) -> Om;
        fn gss_release_buffer(*mut Om, *mut Buffer) -> Om;
        fn gss_release_cred(*mut Om, *mut Handle) -> Om;
        fn gss_release_name(*mut Om, *mut Handle) -> Om;
        fn gss_store_cred_into(
            *mut Om, Handle, c_int, Oid, Om, Om, *const KeyValueSet, *mut *mut OidSet, *mut c_int,
        ) -> Om;
        fn gss_verify_mic(*mut Om, Handle, *const Buffer, *const Buffer, *mut Om) -> Om;
    }
}

functions! {
    /// libkrb5: what GSS-API has no words for. It comes with libgssapi_krb5.
    Krb5 from "libkrb5.so.3" {
        fn krb5_cc_close(Handle, Handle) -> i32;
        fn krb5_cc_default_name(Handle) -> *const c_char;
        fn krb5_cc_destroy(Handle, Handle) -> i32;
        fn krb5_cc_end_seq_get(Handle, Handle, *mut Handle) -> i32;
        fn krb5_cc_get_principal(Handle, Handle, *mut Handle) -> i32;
        fn krb5_cc_initialize(Handle, Handle, Handle) -> i32;
        fn krb5_cc_next_cred(Handle, Handle, *mut Handle, *mut Creds) -> i32;
        fn krb5_cc_resolve(Handle, *const c_char, *mut Handle) -> i32;
        fn krb5_cc_start_seq_get(Handle, Handle, *mut Handle) -> i32;
        fn krb5_cc_store_cred(Handle, Handle, *const Creds) -> i32;
        fn krb5_enctype_to_name(i32, c_int, *mut c_char, usize) -> i32;
        fn krb5_free_context(Handle);
        fn krb5_free_cred_contents(Handle, *mut Creds);
        fn krb5_free_default_realm(Handle, *mut c_char);
        fn krb5_free_error_message(Handle, *const c_char);
        fn krb5_free_host_realm(Handle, *const *mut c_char) -> i32;
        fn krb5_free_keytab_entry_contents(Handle, *mut KeytabEntry) -> i32;
        fn krb5_free_principal(Handle, Handle);
        fn krb5_free_unparsed_name(Handle, *mut c_char);
        fn krb5_get_default_realm(Handle, *mut *mut c_char) -> i32;
        fn krb5_get_error_message(Handle, i32) -> *const c_char;
        fn krb5_get_host_realm(Handle, *const c_char, *mut *mut *mut c_char) -> i32;
        fn krb5_get_profile(Handle, *mut Handle) -> i32;
        fn krb5_get_time_offsets(Handle, *mut i32, *mut i32) -> i32;
        fn krb5_init_context(*mut Handle) -> i32;
        fn krb5_is_config_principal(Handle, Handle) -> c_uint;
        fn krb5_kt_add_entry(Handle, Handle, *mut KeytabEntry) -> i32;
        fn krb5_kt_close(Handle, Handle) -> i32;
        fn krb5_kt_default_name(Handle, *mut c_char, c_int) -> i32;
        fn krb5_kt_end_seq_get(Handle, Handle, *mut Handle) -> i32;
        fn krb5_kt_next_entry(Handle, Handle, *mut KeytabEntry, *mut Handle) -> i32;
        fn krb5_kt_remove_entry(Handle, Handle, *mut KeytabEntry) -> i32;
        fn krb5_kt_resolve(Handle, *const c_char, *mut Handle) -> i32;
        fn krb5_kt_start_seq_get(Handle, Handle, *mut Handle) -> i32;
        fn krb5_parse_name(Handle, *const c_char, *mut Handle) -> i32;
        fn krb5_principal_compare(Handle, Handle, Handle) -> c_uint;
        fn krb5_unparse_name(Handle, Handle, *mut *mut c_char) -> i32;
        fn profile_get_string(
            Handle, *const c_char, *const c_char, *const c_char, *const c_char, *mut *mut c_char,
        ) -> c_long;
        fn profile_release(Handle);
        fn profile_release_string(*mut c_char);
    }
}

/// `krb5_enc_data`.
#[cfg(test)]
#[repr(C)]
#[derive(Debug)]
pub(super) struct EncData {
    magic: i32,
    encryption: i32,
    version: c_uint,
    pub(super) data: Data,
}

#[cfg(test)]
impl EncData {
    /// Lends bytes that are sealed, or room for some.
    pub(super) fn of(encryption: i32, bytes: &mut [u8]) -> Self {
        Self { magic: 0, encryption, version: 0, data: Data::of(bytes) }
    }
}

#[cfg(test)]
impl Data {
    pub(super) fn of(bytes: &mut [u8]) -> Self {
        let length = c_uint::try_from(bytes.len()).expect("a ticket is short");
        Self { magic: 0, length, data: bytes.as_mut_ptr().cast() }
    }
}

#[cfg(test)]
functions! {
    /// libk5crypto: seals and opens with a key.
    Crypto from "libk5crypto.so.3" {
        fn krb5_c_decrypt(Handle, Handle, i32, *const Data, *const EncData, *mut Data) -> i32;
        fn krb5_c_encrypt(Handle, Handle, i32, *const Data, *const Data, *mut EncData) -> i32;
    }
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::{Creds, KeytabEntry};

    /// As `krb5.h` lays them out on 64-bit Linux.
    #[test]
    fn structures_are_where_the_library_looks_for_them() {
        assert_eq!((size_of::<KeytabEntry>(), offset_of!(KeytabEntry, key)), (48, 40));
        assert_eq!((size_of::<Creds>(), offset_of!(Creds, key)), (120, 40));
        assert_eq!((offset_of!(Creds, times), offset_of!(Creds, is_session_key)), (48, 64));
        assert_eq!((offset_of!(Creds, ticket), offset_of!(Creds, authdata)), (80, 112));
    }
}
