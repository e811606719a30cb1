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
