//! GSS-API, made safe: each value of the library is released once, each buffer copied and freed,
//! and what a failure means is asked on the thread of the call, where alone the library knows it.

#![expect(unsafe_code, reason = "calls the C functions of ffi.rs")]

use std::ffi::c_int;
use std::ops::Deref;
use std::ptr;
use std::slice;

use countersign_core::KerberosFailure;

use super::credential::Credential;
use super::ffi::{
    Buffer, ChannelBindings, Gss, Handle, INDEFINITE, MECH_KRB5, Oid, OidDesc, Om, STATUS_OF_GSS,
    STATUS_OF_MECHANISM,
};
use super::name::Name;
use super::session::Settings;
use super::status::plain;
use super::{Call, Status};

/// Supplementary information lies in the low half of a major status; errors above
/// (RFC 2744 section 3.9.1).
pub(super) const ERRORS: Om = 0xffff_0000;
const CONTINUE_NEEDED: Om = 1;

/// Returns whether the library can be used.
///
/// # Errors
///
/// It is not there, or is another one.
pub(crate) fn is_present() -> Result<(), KerberosFailure> {
    Gss::get().map(drop)
}

/// What a context promises (RFC 2744 section 5.19, and MIT's `gssapi_ext.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u32);

impl Flags {
    pub(crate) const MUTUAL: Self = Self(0x2);
    pub(crate) const REPLAY: Self = Self(0x4);
    pub(crate) const SEQUENCE: Self = Self(0x8);
    pub(crate) const INTEGRITY: Self = Self(0x20);
    pub(crate) const ANONYMOUS: Self = Self(0x40);
    pub(crate) const CHANNEL_BOUND: Self = Self(0x800);
    pub(crate) const DELEGATE_BY_POLICY: Self = Self(0x8000);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One step of setting a context up.
#[derive(Debug)]
pub(crate) struct Step {
    /// What the peer is to be given.
    pub(crate) token: Vec<u8>,
    /// Nothing more is to come from the peer.
    pub(crate) is_complete: bool,
}

/// What the acceptor's step came to.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) step: Step,
    /// Delegated to us by the initiator.
    pub(crate) delegated: Option<Credential>,
}

/// What is true of a complete context, and who its two ends are.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) initiator: Name,
    pub(crate) acceptor: Name,
    established: Established,
}

impl Deref for Facts {
    type Target = Established;

    fn deref(&self) -> &Established {
        &self.established
    }
}

/// What is true of a complete context.
#[derive(Debug)]
pub(crate) struct Established {
    /// Seconds of validity that are left; `None` is for ever.
    pub(crate) seconds: Option<u32>,
    /// The object identifier of the mechanism, in DER without its head.
    pub(crate) mechanism: Vec<u8>,
    pub(crate) flags: Flags,
}

impl Established {
    pub(crate) fn is_krb5(&self) -> bool {
        self.mechanism == MECH_KRB5
    }

    /// Returns the mechanism's identifier in hexadecimal.
    pub(crate) fn mechanism_text(&self) -> String {
        self.mechanism.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// One conversation of the mechanism with a peer, from its first token on.
#[derive(Debug)]
pub(crate) struct Context {
    pub(super) handle: Handle,
    flags: Flags,
}

// SAFETY: the library ties nothing of a context to a thread; it may be used from one at a time,
// and is not `Sync`.
unsafe impl Send for Context {}

impl Context {
    /// A context in which nothing has happened.
    pub(crate) fn new() -> Self {
        Settings::keep();
        Self { handle: ptr::null_mut(), flags: Flags::default() }
    }

    /// Takes one step as the initiator, for which `token` is the peer's answer. This may ask a
    /// KDC, and so take long.
    pub(crate) fn initiate(
        &mut self,
        credential: &Credential,
        target: &Name,
        flags: Flags,
        binding: Option<&[u8]>,
        token: Option<&[u8]>,
    ) -> Result<Step, Call> {
        let gss = Gss::get()?;
        let bindings = binding.map(bindings);
        let token = token.map_or(Buffer::EMPTY, Buffer::of);
        let (mut mechanism, mut minor) = (OidDesc::of(MECH_KRB5), 0);
        let (mut answer, mut given) = (Buffer::EMPTY, 0);
        // SAFETY: the credential and the name are alive, and the context is or is null, which
        // makes one; bindings and token are only read; the answer is released by `take`; outputs
        // that are not wanted may be null, and so may absent bindings.
        let major = unsafe {
            (gss.gss_init_sec_context)(
                &mut minor,
                credential.0,
                &mut self.handle,
                target.0,
                &mut mechanism,
                flags.0,
                0,
                bindings.as_ref().map_or(ptr::null(), ptr::from_ref),
                &token,
                ptr::null_mut(),
                &mut answer,
                &mut given,
                ptr::null_mut(),
            )
        };
        let token = take(gss, answer);
        check(gss, major, minor)?;
        self.flags = Flags(given);
        Ok(Step { token, is_complete: major & CONTINUE_NEEDED == 0 })
    }

    /// Takes one step as the acceptor. With a failure comes what the library would tell the peer.
    pub(crate) fn accept(
        &mut self,
        credential: &Credential,
        binding: Option<&[u8]>,
        token: &[u8],
        wants_delegation: bool,
    ) -> Result<Accepted, (Call, Vec<u8>)> {
        let gss = Gss::get().map_err(|failure| (Call::from(failure), Vec::new()))?;
        let bindings = binding.map(bindings);
        let token = Buffer::of(token);
        let (mut minor, mut answer, mut given) = (0, Buffer::EMPTY, 0);
        let mut delegated = ptr::null_mut();
        let into = if wants_delegation { &raw mut delegated } else { ptr::null_mut() };
        // SAFETY: the credential is alive, and the context is or is null, which makes one;
        // bindings and token are only read; the answer is released by `take`; a delegated
        // credential becomes ours; outputs that are not wanted may be null.
        let major = unsafe {
            (gss.gss_accept_sec_context)(
                &mut minor,
                &mut self.handle,
                credential.0,
                &token,
                bindings.as_ref().map_or(ptr::null(), ptr::from_ref),
                ptr::null_mut(),
                ptr::null_mut(),
                &mut answer,
                &mut given,
                ptr::null_mut(),
                into,
            )
        };
        let delegated = Credential::of(delegated);
        // Before anything else is asked of the library, which would change its words.
        let checked = check_with(gss, major, minor, Supplement::Refuse);
        let token = take(gss, answer);
        if let Err(call) = checked {
            return Err((call, token));
        }
        self.flags = Flags(given);
        let step = Step { token, is_complete: major & CONTINUE_NEEDED == 0 };
        Ok(Accepted { step, delegated })
    }

    /// Returns what is true of it, once it is complete.
    pub(crate) fn inquire(&self) -> Result<Facts, Call> {
        let (mut initiator, mut acceptor) = (ptr::null_mut(), ptr::null_mut());
        let asked = self.ask(Some(&mut initiator), Some(&mut acceptor));
        let (initiator, acceptor) = (Name::of(initiator), Name::of(acceptor));
        let established = asked?;
        let (Some(initiator), Some(acceptor)) = (initiator, acceptor) else {
            return Err(Status::nonsense("a context without two names").into());
        };
        Ok(Facts { initiator, acceptor, established })
    }

    /// Returns the same, but for the names: the library takes long to make those.
    pub(crate) fn inquire_without_names(&self) -> Result<Established, Call> {
        self.ask(None, None)
    }

    /// Asks; names that are wanted become the caller's.
    fn ask(
        &self,
        initiator: Option<&mut Handle>,
        acceptor: Option<&mut Handle>,
    ) -> Result<Established, Call> {
        let gss = Gss::get()?;
        let mut mechanism: Oid = ptr::null_mut();
        let (mut minor, mut seconds, mut flags, mut open) = (0, 0, 0, 0);
        // SAFETY: the context is alive or null, which is an error; the names are to be written to
        // places of the caller's, or are null and not wanted; the identifier stays the library's,
        // and what else is not wanted may be null.
        let major = unsafe {
            (gss.gss_inquire_context)(
                &mut minor,
                self.handle,
                initiator.map_or(ptr::null_mut(), ptr::from_mut),
                acceptor.map_or(ptr::null_mut(), ptr::from_mut),
                &mut seconds,
                &mut mechanism,
                &mut flags,
                ptr::null_mut(),
                &mut open,
            )
        };
        check(gss, major, minor)?;
        if open == 0 {
            return Err(Status::nonsense("a context that is not complete").into());
        }
        Ok(Established {
            seconds: (seconds != INDEFINITE).then_some(seconds),
            mechanism: identifier(mechanism),
            // The channel's flag is told to the acceptor's step only.
            flags: Flags(flags).with(self.flags),
        })
    }

    /// Returns a code over the message that only the holders of the context's key can make.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Call> {
        let gss = Gss::get()?;
        let message = Buffer::of(message);
        let (mut minor, mut code) = (0, Buffer::EMPTY);
        // SAFETY: the context is alive or null, which is an error; the message is only read; the
        // code is released by `take`.
        let major = unsafe { (gss.gss_get_mic)(&mut minor, self.handle, 0, &message, &mut code) };
        let code = take(gss, code);
        check(gss, major, minor)?;
        Ok(code)
    }

    /// Checks the peer's code over the message. A code that was seen before, or comes out of
    /// turn, is an error too.
    pub(crate) fn verify(&self, message: &[u8], code: &[u8]) -> Result<(), Call> {
        let gss = Gss::get()?;
        let (message, code) = (Buffer::of(message), Buffer::of(code));
        let mut minor = 0;
        // SAFETY: the context is alive or null, which is an error; both buffers are only read; the
        // quality of protection, of which there is one, may be null.
        let major = unsafe {
            (gss.gss_verify_mic)(&mut minor, self.handle, &message, &code, ptr::null_mut())
        };
        check_with(gss, major, minor, Supplement::Refuse)?;
        match major {
            0 => Ok(()),
            _ => Err(Status::nonsense("a code that wants another").into()),
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.handle.is_null() {
            return;
        }
        let (Ok(gss), mut minor) = (Gss::get(), 0) else { return };
        // SAFETY: the handle is alive, and nobody has it after this; no last token is wanted.
        unsafe { (gss.gss_delete_sec_context)(&mut minor, &mut self.handle, ptr::null_mut()) };
    }
}

/// Bindings of application data alone: addresses are not stated, as RFC 9266 section 3 wants.
fn bindings(data: &[u8]) -> ChannelBindings {
    ChannelBindings {
        initiator_type: 0,
        initiator_address: Buffer::EMPTY,
        acceptor_type: 0,
        acceptor_address: Buffer::EMPTY,
        application_data: Buffer::of(data),
    }
}

/// Copies a buffer that the library made, and gives it back.
pub(super) fn take(gss: &Gss, mut buffer: Buffer) -> Vec<u8> {
    let bytes = if buffer.value.is_null() || buffer.length == 0 {
        Vec::new()
    } else {
        // SAFETY: the library has written so many bytes to where the buffer points.
        unsafe { slice::from_raw_parts(buffer.value.cast::<u8>(), buffer.length) }.to_vec()
    };
    let mut minor = 0;
    // SAFETY: the library made it, or it is empty, and nobody uses it after this.
    unsafe { (gss.gss_release_buffer)(&mut minor, &mut buffer) };
    bytes
}

/// Copies the bytes of an object identifier that stays the library's.
fn identifier(oid: Oid) -> Vec<u8> {
    // SAFETY: it is null, or points to one of the library's identifiers, which live for ever.
    let Some(oid) = (unsafe { oid.as_ref() }) else { return Vec::new() };
    if oid.elements.is_null() {
        return Vec::new();
    }
    // SAFETY: an identifier's elements are as many bytes as its length says.
    unsafe { slice::from_raw_parts(oid.elements.cast::<u8>(), oid.length as usize) }.to_vec()
}

/// What to make of the low half of a status, which says that a token is old or out of turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Supplement {
    Ignore,
    Refuse,
}

pub(super) fn check(gss: &Gss, major: Om, minor: Om) -> Result<(), Call> {
    check_with(gss, major, minor, Supplement::Ignore)
}

fn check_with(gss: &Gss, major: Om, minor: Om, supplement: Supplement) -> Result<(), Call> {
    let error = major & ERRORS;
    let extra = major & !ERRORS & !CONTINUE_NEEDED;
    if error == 0 && (supplement == Supplement::Ignore || extra == 0) {
        return Ok(());
    }
    let mut texts = Vec::new();
    // A failure is one of the mechanism, and the words of GSS-API for it say nothing.
    if error != Status::FAILURE || minor == 0 {
        texts.push(words(gss, major, STATUS_OF_GSS));
    }
    if minor != 0 {
        texts.push(words(gss, minor, STATUS_OF_MECHANISM));
    }
    // Where a mechanism has nothing to add, its number means this.
    texts.retain(|text| !text.is_empty() && text != "Success" && text != "Unknown error");
    let major = if error == 0 { extra } else { error };
    Err(Status { major, minor, text: texts.join("; ") }.into())
}

/// Asks what a status means. Must be called on the thread of the call that answered it.
fn words(gss: &Gss, status: Om, kind: c_int) -> String {
    /// A status is one routine error, one calling error and some bits, so it has few messages.
    const MOST: usize = 8;
    let mut krb5 = OidDesc::of(MECH_KRB5);
    let (mut more, mut texts) = (0, Vec::new());
    for _ in 0..MOST {
        let (mut minor, mut text) = (0, Buffer::EMPTY);
        // SAFETY: all pointers are to values that live through the call; the text is released by
        // `take`.
        let major = unsafe {
            (gss.gss_display_status)(&mut minor, status, kind, &mut krb5, &mut more, &mut text)
        };
        let text = take(gss, text);
        if major & ERRORS != 0 {
            break;
        }
        texts.push(plain(&text));
        if more == 0 {
            break;
        }
    }
    texts.join("; ")
}
