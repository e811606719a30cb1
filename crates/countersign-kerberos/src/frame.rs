//! The messages of the proof on the wire.
//!
//! Each is a length (four bytes, big endian, of the body alone), one byte that says which it is,
//! and the body. Two of them hold two things: there the length of the first, two bytes, begins the
//! body.

use countersign_core::KerberosRefusal;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The client's confirmation.
    Confirmation(Vec<u8>),
    /// Either side breaks off, with what its Kerberos library would say.
    Refusal { reason: KerberosRefusal, token: Vec<u8> },
    /// The server's answer: its confirmation, and an AP-REP.
    Reply { confirmation: Vec<u8>, token: Vec<u8> },
    /// The client's first message: the service as it asks for it, with its realm, and an AP-REQ.
    Request { asked: Vec<u8>, token: Vec<u8> },
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// No message begins like this.
    Kind,
    /// It is longer than any may be.
    Length,
    /// Its parts do not fit into it.
    Parts,
}

impl FrameError {
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Kind => "it sent an unknown message",
            Self::Length => "it announced a message longer than any may be",
            Self::Parts => "it sent a message whose parts do not fit",
        }
    }
}

/// Length and kind.
const HEAD: usize = 5;
/// Tickets of Active Directory can be as long as 64 KiB, and more with claims.
const LONGEST_WITH_TICKET: usize = 128 * 1024;
/// A MIC of Kerberos has 28 bytes (RFC 4121 section 4.2.6.1).
const LONGEST_CONFIRMATION: usize = 1024;
/// A KRB-ERROR has about a hundred bytes.
const LONGEST_REFUSAL: usize = 4096;

impl Frame {
    /// Appends it as it is sent. A refusal's token that would be too long is left out.
    ///
    /// # Errors
    ///
    /// It is longer than a peer would take.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) -> Result<(), FrameError> {
        let (kind, longest, parts): (u8, usize, Vec<u8>) = match self {
            Self::Confirmation(code) => (b'M', LONGEST_CONFIRMATION, code.clone()),
            Self::Refusal { reason, token } => {
                let token = if token.len() < LONGEST_REFUSAL { token.as_slice() } else { &[] };
                (b'E', LONGEST_REFUSAL, [&[reason.number()], token].concat())
            }
            Self::Reply { confirmation, token } => {
                (b'R', LONGEST_WITH_TICKET, two(confirmation, token)?)
            }
            Self::Request { asked, token } => (b'T', LONGEST_WITH_TICKET, two(asked, token)?),
        };
        let length = u32::try_from(parts.len()).map_err(|_| FrameError::Length)?;
        if parts.len() > longest {
            return Err(FrameError::Length);
        }
        into.extend(length.to_be_bytes());
        into.push(kind);
        into.extend(parts);
        Ok(())
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Self, FrameError> {
        let parts = || {
            let (length, rest) = body.split_first_chunk::<2>().ok_or(FrameError::Parts)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (first, second) = rest.split_at_checked(length).ok_or(FrameError::Parts)?;
            Ok((first.to_vec(), second.to_vec()))
        };
        match kind {
            b'E' => {
                let (reason, token) = body.split_first().ok_or(FrameError::Parts)?;
                let reason = KerberosRefusal::from_number(*reason);
                Ok(Self::Refusal { reason, token: token.to_vec() })
            }
            b'M' => Ok(Self::Confirmation(body.to_vec())),
            b'R' => parts().map(|(confirmation, token)| Self::Reply { confirmation, token }),
            b'T' => parts().map(|(asked, token)| Self::Request { asked, token }),
            _ => Err(FrameError::Kind),
        }
    }
}

fn two(first: &[u8], second: &[u8]) -> Result<Vec<u8>, FrameError> {
    let length = u16::try_from(first.len()).map_err(|_| FrameError::Length)?;
    Ok([&length.to_be_bytes(), first, second].concat())
}

/// Puts one message together from pieces as they come. It holds no more than has come.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    held: Vec<u8>,
}

impl Decoder {
    /// Takes what belongs to the next message, and returns how many bytes these were, and the
    /// message if it is whole. What follows it is left.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Frame>), FrameError> {
        let head = HEAD.saturating_sub(self.held.len()).min(bytes.len());
        let (start, rest) = bytes.split_at_checked(head).unwrap_or((bytes, &[]));
        self.held.extend_from_slice(start);
        let Some(([a, b, c, d, kind], body)) = self.held.split_first_chunk::<HEAD>() else {
            return Ok((head, None));
        };
        let kind = *kind;
        let length = u32::from_be_bytes([*a, *b, *c, *d]);
        let longest = match kind {
            b'E' => LONGEST_REFUSAL,
            b'M' => LONGEST_CONFIRMATION,
            b'R' | b'T' => LONGEST_WITH_TICKET,
            _ => return Err(FrameError::Kind),
        };
        let length = usize::try_from(length).map_err(|_| FrameError::Length)?;
        if length > longest {
            return Err(FrameError::Length);
        }
        let missing = length.saturating_sub(body.len()).min(rest.len());
        let (part, _) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
        self.held.extend_from_slice(part);
        let taken = head + part.len();
        if self.held.len() < HEAD + length {
            return Ok((taken, None));
        }
        let whole = std::mem::take(&mut self.held);
        Frame::decode(kind, whole.get(HEAD..).unwrap_or_default()).map(|frame| (taken, Some(frame)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoder, Frame, FrameError};
    use countersign_core::KerberosRefusal;

    fn frames() -> Vec<Frame> {
        vec![
            Frame::Request { asked: b"host/a".to_vec(), token: vec![1; 700] },
            Frame::Reply { confirmation: vec![2; 28], token: vec![3; 150] },
            Frame::Confirmation(vec![4; 28]),
            Frame::Refusal { reason: KerberosRefusal::ClockSkew, token: vec![5; 100] },
            Frame::Refusal { reason: KerberosRefusal::Other, token: Vec::new() },
        ]
    }

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut() {
        for frame in frames() {
            let mut wire = Vec::new();
            frame.encode(&mut wire).unwrap();
            let whole = wire.len();
            wire.extend(b"plaintext of the application");
            for size in [1, 2, 3, 5, 7, 64, wire.len()] {
                let (mut decoder, mut taken, mut out) = (Decoder::default(), 0, None);
                while out.is_none() {
                    let end = wire.len().min(taken + size);
                    let (used, frame) = decoder.take(&wire[taken..end]).unwrap();
                    assert!(used > 0);
                    (taken, out) = (taken + used, frame);
                }
                assert_eq!((out.unwrap(), taken), (frame.clone(), whole));
            }
        }
    }

    #[test]
    fn what_is_too_long_is_refused_by_its_head() {
        let check = |wire: &[u8], error| assert_eq!(Decoder::default().take(wire), Err(error));
        check(&[0, 2, 0, 1, b'T'], FrameError::Length);
        check(&[0xff, 0xff, 0xff, 0xff, b'R'], FrameError::Length);
        check(&[0, 0, 4, 1, b'M'], FrameError::Length);
        check(&[0, 0, 16, 1, b'E'], FrameError::Length);
        check(&[0, 0, 0, 1, b'X'], FrameError::Kind);
        check(b"GET / HTTP/1.1\r\n", FrameError::Kind);
        check(&[0, 0, 0, 0, b'E'], FrameError::Parts);
        check(&[0, 0, 0, 1, b'T', 0], FrameError::Parts);
        check(&[0, 0, 0, 4, b'T', 0, 3, b'a', b'b'], FrameError::Parts);
        let long = Frame::Request { asked: Vec::new(), token: vec![0; 128 * 1024] };
        assert_eq!(long.encode(&mut Vec::new()), Err(FrameError::Length));
        let long = Frame::Request { asked: vec![0; 70_000], token: Vec::new() };
        assert_eq!(long.encode(&mut Vec::new()), Err(FrameError::Length));
    }

    #[test]
    fn nothing_is_allocated_for_what_has_not_come() {
        let mut decoder = Decoder::default();
        decoder.take(&[0, 1, 0xff, 0xff, b'T']).unwrap();
        assert!(decoder.held.capacity() < 64);
    }
}
