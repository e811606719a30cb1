//! The host's Kerberos libraries, made safe. All `unsafe` of this crate is below this folder.

mod credential;
pub(crate) use credential::{Credential, Usage};

mod enctype;

mod ffi;

mod gss;
pub(crate) use gss::{Context, Facts, Flags, is_present};

mod name;
pub(crate) use name::{Attribute, Name};

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
