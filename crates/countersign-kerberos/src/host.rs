//! What the host's Kerberos set-up says.

use countersign_core::KerberosFailure;

use crate::diagnose::{At, diagnose};
use crate::library::{Name, default_realm, is_present, setting};

/// Checks that the host has a Kerberos library that can be used.
///
/// # Errors
///
/// [`KerberosFailure::LibraryMissing`], which names the Debian package.
pub fn is_available() -> Result<(), KerberosFailure> {
    is_present()?;
    default_realm().map(drop)
}

/// Returns the local account that the host's rules (`auth_to_local` in krb5.conf(5)) map a
/// principal to, or `None` if they map it to none.
///
/// The caller must have checked the realm: rules that name a user do not look at it, so
/// `alice@ANY.REALM` would become what `alice` is mapped to.
///
/// # Errors
///
/// The principal is none, or the library fails.
pub fn local_name(principal: &str) -> Result<Option<String>, KerberosFailure> {
    let name = Name::principal(principal).and_then(|name| name.local());
    name.map_err(|call| diagnose(call, &At::Mapping))
}

/// Settings of `krb5.conf` that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostSettings {
    /// The realm of names that state none.
    pub default_realm: Option<String>,
    /// Whether other programs let DNS change the host that they ask for (`true` if it is not
    /// set). Countersign never does.
    pub dns_canonicalize_hostname: Option<String>,
    /// How far clocks may differ, in seconds (300 if it is not set).
    pub clockskew: Option<String>,
    /// The encryption types that are allowed.
    pub permitted_enctypes: Option<String>,
}

impl HostSettings {
    /// Reads them. Blocks as files do.
    ///
    /// # Errors
    ///
    /// There is no library, or `krb5.conf` is broken.
    pub fn read() -> Result<Self, KerberosFailure> {
        Ok(Self {
            default_realm: default_realm()?,
            dns_canonicalize_hostname: setting(c"dns_canonicalize_hostname")?,
            clockskew: setting(c"clockskew")?,
            permitted_enctypes: setting(c"permitted_enctypes")?,
        })
    }
}
