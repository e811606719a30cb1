//! What the records of an association hold that has agreed on a proof.
//!
//! The first byte of each says which, from the first record to the last: a part of the proof that
//! comes late or twice can so never be taken for a datagram of the application, nor the other way
//! round. Numbers are big endian.
//!
//! | first byte | then |
//! | --- | --- |
//! | 0, data | a datagram, at least one byte |
//! | 1, part | its number (4 bytes), and bytes of the proof, at least one |
//! | 2, acknowledgement | the number of the first part that is missing (4 bytes), and which of the 16 after that have arrived (2 bytes, the lowest bit for the first) |
//! | 3, refusal | an alert (1 byte, RFC 5246 section 7.2): the proof, or what it has proved, does not do |

/// One record's plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// Which parts have arrived.
    Ack(Ack),
    /// A datagram of the application.
    Data(&'a [u8]),
    /// Bytes of the proof.
    Part { number: u32, bytes: &'a [u8] },
    /// The sender has broken off.
    Refusal { alert: u8 },
}

/// Which parts have arrived: all before `next`, which has not, and those after it whose bit is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) next: u32,
    pub(crate) beyond: u16,
}

/// What makes a datagram of the application one: its first byte.
pub(crate) const DATA: u8 = 0;
const PART: u8 = 1;
const ACK: u8 = 2;
const REFUSAL: u8 = 3;

/// What a part has before its bytes.
pub(crate) const PART_HEAD: usize = 1 + 4;

impl<'a> Frame<'a> {
    /// Reads one; none if it is none of these.
    pub(crate) fn read(plain: &'a [u8]) -> Option<Self> {
        match plain {
            [DATA, datagram @ ..] if !datagram.is_empty() => Some(Self::Data(datagram)),
            [PART, a, b, c, d, bytes @ ..] if !bytes.is_empty() => {
                Some(Self::Part { number: u32::from_be_bytes([*a, *b, *c, *d]), bytes })
            }
            [ACK, a, b, c, d, e, f] => Some(Self::Ack(Ack {
                next: u32::from_be_bytes([*a, *b, *c, *d]),
                beyond: u16::from_be_bytes([*e, *f]),
            })),
            [REFUSAL, alert] => Some(Self::Refusal { alert: *alert }),
            _ => None,
        }
    }

    /// Returns it as it is sent.
    pub(crate) fn write(&self) -> Vec<u8> {
        match self {
            Self::Ack(Ack { next, beyond }) => {
                [&[ACK][..], &next.to_be_bytes(), &beyond.to_be_bytes()].concat()
            }
            Self::Data(datagram) => [&[DATA], *datagram].concat(),
            Self::Part { number, bytes } => [&[PART][..], &number.to_be_bytes(), bytes].concat(),
            Self::Refusal { alert } => vec![REFUSAL, *alert],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ack, Frame};

    #[test]
    fn frames_come_out_as_they_went_in() {
        for frame in [
            Frame::Data(b"x"),
            Frame::Data(&[1, 0, 0, 0, 7, 1]),
            Frame::Part { number: 0, bytes: b"part" },
            Frame::Part { number: u32::MAX, bytes: &[0] },
            Frame::Ack(Ack { next: 0x0102_0304, beyond: 0x8001 }),
            Frame::Refusal { alert: 49 },
        ] {
            assert_eq!(Frame::read(&frame.write()), Some(frame));
        }
    }

    #[test]
    fn what_is_too_short_too_long_or_unknown_is_none() {
        let check = |plain: &[u8]| assert_eq!(Frame::read(plain), None, "{plain:?}");
        check(&[]);
        check(&[0]);
        for end in 1..6 {
            check(&[1, 0, 0, 0, 0, 0][..end.min(5)]);
        }
        check(&[2, 0, 0, 0, 0, 0]);
        check(&[2, 0, 0, 0, 0, 0, 0, 0]);
        check(&[3]);
        check(&[3, 40, 0]);
        for kind in 4..=255 {
            check(&[kind, 0, 0, 0, 0, 0, 0]);
        }
    }
}
