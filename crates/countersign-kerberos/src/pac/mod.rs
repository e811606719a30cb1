//! Who a client is to Active Directory, from the privilege attribute certificate in its ticket
//! ([MS-PAC]).
//!
//! [MS-PAC]: https://learn.microsoft.com/openspecs/windows_protocols/ms-pac

use countersign_core::Sid;

use crate::library::Name;

mod logon;

mod ndr;

#[cfg(fuzzing)]
pub(crate) use logon::groups as groups_of;

/// MIT's name for the KERB_VALIDATION_INFO of a PAC whose checksum it has verified.
const LOGON_INFO: &str = "urn:mspac:logon-info";

/// Returns the identifiers of the client and its groups. Empty if the ticket states none, or in a
/// way that is not understood: nobody gains anything by a broken PAC.
pub(crate) fn groups(client: &Name) -> Vec<Sid> {
    let info = client.attribute(LOGON_INFO).ok().flatten().unwrap_or_default();
    logon::groups(&info).unwrap_or_default()
}
