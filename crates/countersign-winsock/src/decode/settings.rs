//! `SOCKET_SECURITY_SETTINGS` and its extended form, which the length of the buffer tells apart.

use countersign::SecuritySettings;
use countersign::core::{Credentials, IpsecFlags, IpsecSettings, SecurityFlags, SecurityProtocol};

use super::{at_least, invalid, length, number, short, take, utf16};
use crate::failure::Failure;
use crate::layout::{SOCKET_SECURITY_SETTINGS, SOCKET_SECURITY_SETTINGS_IPSEC};

const SIZE: usize = size_of::<SOCKET_SECURITY_SETTINGS>();
const EXTENDED: usize = size_of::<SOCKET_SECURITY_SETTINGS_IPSEC>();
const IPSEC_FLAGS: usize = 8;
const MAIN_MODE: usize = 12;
const QUICK_MODE: usize = 28;
const USER: usize = 72;
const DOMAIN: usize = 76;
const PASSWORD: usize = 80;
const STRINGS: usize = 84;

/// Reads what `WSASetSocketSecurity` is given; the credentials are wiped when they are dropped.
///
/// # Errors
///
/// `WSAEMSGSIZE` if it is neither of the structures, or shorter than the strings that it
/// declares; `WSAEINVAL` for a value without a meaning, or one that contradicts another.
pub fn settings(bytes: &[u8]) -> Result<SecuritySettings, Failure> {
    at_least(bytes, SIZE)?;
    if bytes.len() == SIZE {
        return general(bytes);
    }
    at_least(bytes, EXTENDED)?;
    let strings = Strings::find(bytes)?;
    let general = general(bytes)?;
    let flags = number(bytes, IPSEC_FLAGS)?;
    let mut ipsec = IpsecSettings::default();
    ipsec.flags = IpsecFlags::from_bits(flags)
        .map_err(|_| invalid(format!("IpsecFlags {flags:#x} has a bit without a meaning")))?;
    ipsec.main_mode_policy = take(bytes, MAIN_MODE)?;
    ipsec.quick_mode_policy = take(bytes, QUICK_MODE)?;
    ipsec.credentials = strings.credentials()?;
    general.with_ipsec(ipsec).map_err(|_| {
        invalid("SOCKET_SECURITY_SETTINGS_IPSEC must name the protocol IPSEC or IPSEC2")
    })
}

fn general(bytes: &[u8]) -> Result<SecuritySettings, Failure> {
    let (protocol, flags) = (number(bytes, 0)?, number(bytes, 4)?);
    let protocol = SecurityProtocol::from_number(protocol)
        .map_err(|_| invalid(format!("there is no security protocol {protocol}")))?;
    let flags = SecurityFlags::from_bits(flags)
        .map_err(|_| invalid(format!("SecurityFlags {flags:#x} has a bit without a meaning")))?;
    SecuritySettings::new(protocol, flags)
        .map_err(|_| invalid("GUARANTEE_ENCRYPTION and ALLOW_INSECURE contradict each other"))
}

/// The three strings, one after the other, each as long in bytes as the structure declares.
struct Strings<'a> {
    user: &'a [u8],
    domain: &'a [u8],
    password: &'a [u8],
}

impl<'a> Strings<'a> {
    fn find(bytes: &'a [u8]) -> Result<Self, Failure> {
        let lengths = [length(bytes, USER)?, length(bytes, DOMAIN)?, length(bytes, PASSWORD)?];
        let declared = lengths.iter().fold(STRINGS, |sum, length| sum.saturating_add(*length));
        let too_short = || short(bytes.len(), declared);
        let mut rest = bytes.get(STRINGS..).ok_or_else(too_short)?;
        let mut next = |length: usize| -> Result<&'a [u8], Failure> {
            let (string, after) = rest.split_at_checked(length).ok_or_else(too_short)?;
            rest = after;
            Ok(string)
        };
        let [user, domain, password] = lengths;
        Ok(Self { user: next(user)?, domain: next(domain)?, password: next(password)? })
    }

    /// None of them at all means those of the host.
    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        if self.user.is_empty() && self.domain.is_empty() && self.password.is_empty() {
            return Ok(None);
        }
        if self.user.is_empty() {
            return Err(invalid("there is a domain or a password, and no user"));
        }
        let mut user = utf16::text(self.user, "user name")?;
        let mut domain = utf16::text(self.domain, "domain name")?;
        let mut password = utf16::text(self.password, "password")?;
        // Moved, not copied: no second copy of the password is left behind.
        Ok(Some(Credentials::new(
            std::mem::take(&mut *user),
            std::mem::take(&mut *domain),
            std::mem::take(&mut *password),
        )))
    }
}
