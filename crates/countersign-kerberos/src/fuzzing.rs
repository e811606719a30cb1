//! The parsers of a peer's bytes, for the fuzzer alone.

use countersign_core::Sid;

use crate::frame::{Decoder, FrameError};
use crate::{pac, request};

/// Takes bytes in pieces of some length, as messages of the proof. Each that is one is written
/// again, and must be what it was.
pub fn messages(bytes: &[u8], piece: usize) {
    let (mut decoder, mut at, mut begun) = (Decoder::default(), 0, 0);
    while at < bytes.len() {
        let end = bytes.len().min(at + piece.max(1));
        let Ok((used, frame)) = decoder.take(&bytes[at..end]) else { return };
        assert!(used <= end - at);
        at += used;
        if let Some(frame) = frame {
            let mut again = Vec::new();
            match frame.encode(&mut again) {
                Ok(()) => {}
                Err(error) => assert_eq!(error, FrameError::Length),
            }
            // A reason without a number of its own is written as none.
            if bytes[begun + 4] != b'E' {
                assert_eq!(again, bytes[begun..at]);
            }
            begun = at;
        } else {
            assert!(used > 0);
        }
    }
}

/// Reads bytes as a client's token, and returns the numbers of the two kinds of keys in it.
pub fn kinds(bytes: &[u8]) -> Option<[i32; 2]> {
    request::read(bytes).map(|it| [it.ticket.number(), it.session_key.number()])
}

/// Reads bytes as what a domain controller knows of a user.
pub fn groups(bytes: &[u8]) -> Option<Vec<Sid>> {
    pac::groups_of(bytes)
}
