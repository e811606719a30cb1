//! The parsers of a peer's bytes inside records, and what they feed, for the fuzzer alone.

use std::time::{Duration, Instant};

use crate::delivery::{Inbound, Outbound};
use crate::frame::Frame;

/// Takes plaintexts as the records of an association that has agreed on a proof. Each that is a
/// frame is written again, and must be what it was; and what they make us hold is bounded.
pub fn frames(plaintexts: &[Vec<u8>], ours: &[u8]) {
    let (mut inbound, mut outbound) = (Inbound::default(), Outbound::new(400));
    let mut now = Instant::now();
    outbound.take(ours);
    for plain in plaintexts {
        while outbound.next(now).is_some() {}
        let Some(frame) = Frame::read(plain) else { continue };
        assert_eq!(&frame.write(), plain);
        match frame {
            Frame::Ack(ack) => drop(outbound.acknowledge(ack, now)),
            Frame::Part { number, bytes } => drop(inbound.take(number, bytes)),
            Frame::Data(_) => inbound.consume(plain.len()),
            Frame::Refusal { .. } => {
                now += Duration::from_millis(500);
                outbound.handle_timeout(now);
            }
        }
        assert!(inbound.ready().len() <= 64 * 1024);
        let ack = inbound.ack();
        assert!(ack.beyond & (1 << 15) == 0, "no part is that far ahead");
    }
}

#[cfg(test)]
mod tests {
    use super::frames;

    /// A short run of what the fuzzer does for long.
    #[test]
    fn random_frames_are_read_in_peace() {
        let mut state = 7_u64;
        let mut below = |end: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((state >> 33) % end).unwrap()
        };
        for _ in 0..3000 {
            let plaintexts: Vec<Vec<u8>> = (0..below(40))
                .map(|_| {
                    let length = [0, 1, 2, 5, 7, 9, 1200][below(7)];
                    let mut plain = vec![0; length];
                    for (at, byte) in plain.iter_mut().take(9).enumerate() {
                        // Numbers that are near, mostly.
                        *byte = match (at, below(8)) {
                            (0, _) => u8::try_from(below(5)).unwrap(),
                            (_, 0) => u8::try_from(below(256)).unwrap(),
                            (4.., _) => u8::try_from(below(20)).unwrap(),
                            _ => 0,
                        };
                    }
                    plain
                })
                .collect();
            frames(&plaintexts, &vec![1; below(9000)]);
        }
    }
}
