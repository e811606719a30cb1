//! Messages of the handshake protocol after the handshake (RFC 8446 section 4.6).

use super::alert::Alert;

pub(super) const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE_TYPE: u8 = 24;

/// A KeyUpdate that asks for none in return.
pub(super) const KEY_UPDATE: [u8; 5] = [KEY_UPDATE_TYPE, 0, 0, 1, 0];

/// A KeyUpdate that asks for one in return.
pub(super) const KEY_UPDATE_BOTH: [u8; 5] = [KEY_UPDATE_TYPE, 0, 0, 1, 1];

/// The largest message that is waited for; tickets of servers that put certificates in them have
/// some kilobytes.
const LARGEST: usize = 1 << 16;

/// One message.
pub(super) enum Message {
    /// The peer seals with its next key from now on.
    KeyUpdate {
        /// It wants us to do so too.
        asks_for_ours: bool,
    },
    /// A ticket for another conversation: what rustls reads.
    Ticket(Vec<u8>),
}

/// The stream of messages, which records cut as they like.
#[derive(Default)]
pub(super) struct Messages {
    bytes: Vec<u8>,
}

impl Messages {
    /// Takes a piece of the stream.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<(), Alert> {
        if piece.is_empty() {
            return Err(Alert::unexpected("an empty piece of a handshake message"));
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Checks that no message is cut off: nothing else may come in between (RFC 8446 section 5.1), and
    /// no key may change in the middle.
    pub(super) fn check_whole(&self) -> Result<(), Alert> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(Alert::unexpected("something else in the middle of a handshake message"))
        }
    }

    /// Returns the next whole message.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Alert> {
        let Some((&[kind, high, middle, low], after)) = self.bytes.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        if !matches!(kind, KEY_UPDATE_TYPE | NEW_SESSION_TICKET) {
            return Err(Alert::unexpected("a handshake message that has no place here"));
        }
        if length > LARGEST {
            return Err(Alert::unexpected("a handshake message that is far too large"));
        }
        let Some(body) = after.get(..length) else { return Ok(None) };
        let message = match (kind, body) {
            (KEY_UPDATE_TYPE, [0]) => Message::KeyUpdate { asks_for_ours: false },
            (KEY_UPDATE_TYPE, [1]) => Message::KeyUpdate { asks_for_ours: true },
            (KEY_UPDATE_TYPE, [_]) => return Err(Alert::illegal("a key update of no known kind")),
            (KEY_UPDATE_TYPE, _) => return Err(Alert::malformed("a key update")),
            _ => Message::Ticket(body.to_vec()),
        };
        self.bytes.drain(..4 + length);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        Ok(Some(message))
    }
}
