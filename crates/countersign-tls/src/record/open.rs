//! Records into plaintext.

use super::alert::Alert;
use super::key::{Key, TAG};
use super::{PLAIN, content};

const HEADER: usize = 5;

/// The most that one sealed record has after its header (RFC 8446 section 5.2).
const SEALED: usize = PLAIN + 256;

/// The direction from the peer to us.
pub(super) struct Opener {
    key: Key,
    /// Plaintext of a record that did not fit, which lies opened at the front of the wire, and what
    /// lies behind it and belongs to it.
    rest: Rest,
}

#[derive(Default)]
struct Rest {
    plain: usize,
    behind: usize,
}

/// One record, opened.
pub(super) enum Record<'a> {
    /// So much application data went to the caller.
    Data(usize),
    /// The body of an alert.
    Alert(&'a [u8]),
    /// A piece of the stream of handshake messages.
    Handshake(&'a [u8]),
}

/// How much of both sides was used.
pub(super) struct Moved {
    pub(super) wire: usize,
    pub(super) plain: usize,
}

impl Opener {
    pub(super) fn new(key: Key) -> Self {
        Self { key, rest: Rest::default() }
    }

    /// Goes on with another key.
    pub(super) fn replace_key(&mut self, key: Key) {
        self.key = key;
    }

    /// Returns whether a record lies opened at the front of the wire.
    pub(super) fn has_rest(&self) -> bool {
        self.rest.plain > 0
    }

    /// Hands out what is left of a record that lies opened at the front of `wire`; `None` if there
    /// is none.
    pub(super) fn take_rest(&mut self, wire: &[u8], into: &mut [u8]) -> Option<Moved> {
        if self.rest.plain == 0 || into.is_empty() {
            return None;
        }
        let count = self.rest.plain.min(into.len());
        if let (Some(from), Some(to)) = (wire.get(..count), into.get_mut(..count)) {
            to.copy_from_slice(from);
        }
        self.rest.plain -= count;
        let behind = if self.rest.plain == 0 { std::mem::take(&mut self.rest.behind) } else { 0 };
        Some(Moved { wire: count + behind, plain: count })
    }

    /// Opens the record at the front of `wire`, application data into `into`; returns how much of the wire is done with. `None` until it is whole.
    pub(super) fn next<'a>(
        &mut self,
        wire: &'a mut [u8],
        into: &'a mut [u8],
    ) -> Result<Option<(usize, Record<'a>)>, Alert> {
        // What is no record must not be waited for.
        match wire.first() {
            Some(&content::APPLICATION_DATA) => {}
            Some(&kind) => return Err(Alert::unsealed(kind)),
            None => return Ok(None),
        }
        let Some((header, after)) = wire.split_first_chunk_mut::<HEADER>() else {
            return Ok(None);
        };
        // The version counts for nothing (RFC 8446 section 5.1), but the key protects it too.
        let [_, _, _, high, low] = *header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > SEALED {
            return Err(Alert::overflow(length));
        }
        if length <= TAG {
            return Err(Alert::forged());
        }
        let Some(sealed) = after.get_mut(..length) else { return Ok(None) };
        let whole = HEADER + length;
        let inner = length - TAG;

        if into.len() >= inner {
            let room = into.get_mut(..inner).unwrap_or_default();
            if !self.key.open_into(header, sealed, room) {
                return Err(Alert::forged());
            }
            let (kind, count) = strip(room)?;
            if kind == content::APPLICATION_DATA {
                return Ok(Some((whole, Record::Data(count))));
            }
            return Ok(Some((whole, message(kind, room.get(..count).unwrap_or_default())?)));
        }

        let Some(opened) = self.key.open_in_place(header, sealed) else {
            return Err(Alert::forged());
        };
        let (kind, count) = strip(opened)?;
        let body = opened.get(..count).unwrap_or_default();
        if kind != content::APPLICATION_DATA {
            return Ok(Some((whole, message(kind, body)?)));
        }
        let fits = count.min(into.len());
        if let (Some(from), Some(to)) = (body.get(..fits), into.get_mut(..fits)) {
            to.copy_from_slice(from);
        }
        if fits == count {
            return Ok(Some((whole, Record::Data(fits))));
        }
        self.rest = Rest { plain: count - fits, behind: length - count };
        Ok(Some((HEADER + fits, Record::Data(fits))))
    }
}

/// Sorts what is not application data.
fn message(kind: u8, body: &[u8]) -> Result<Record<'_>, Alert> {
    match kind {
        content::ALERT => Ok(Record::Alert(body)),
        content::HANDSHAKE => Ok(Record::Handshake(body)),
        other => Err(Alert::unknown(other)),
    }
}

/// Finds the content type, the last byte that is not zero, and the size of what is before it
/// (RFC 8446 section 5.4).
fn strip(inner: &[u8]) -> Result<(u8, usize), Alert> {
    let Some(at) = inner.iter().rposition(|byte| *byte != 0) else {
        return Err(Alert::unexpected("a record of zeros"));
    };
    if at > PLAIN {
        return Err(Alert::overflow(at));
    }
    let kind = inner.get(at).copied().unwrap_or_default();
    Ok((kind, at))
}
