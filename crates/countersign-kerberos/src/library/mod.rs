//! The host's Kerberos libraries, made safe. All `unsafe` of this crate is below this folder.

mod ffi;

mod gss;
pub(crate) use gss::{Attribute, Context, Credential, Facts, Flags, Name, Usage, is_present};

mod session;

mod ccache;
pub(crate) use ccache::{Cache, ForService, default_cache, tickets_for};

mod krb5;
pub use krb5::KeytabKey;
pub(crate) use krb5::{
    MemoryKeytab, default_keytab, default_realm, host_realm, meaning, read_keytab, setting,
};

mod status;
pub(crate) use status::{Call, Status};

#[cfg(test)]
mod forgery;
#[cfg(test)]
pub(crate) use forgery::forge;
