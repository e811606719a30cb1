//! Random numbers, and the ways in which bytes are altered.

use crate::records;

/// Marsaglia's xorshift64*: small, and the same everywhere.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Seeds that are near each other must not begin alike (the finalizer of splitmix64).
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((state ^ (state >> 31)).max(1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, or 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    /// One of them.
    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// A place among `length` bytes: every other time near the beginning, where most is decided.
    fn place(&mut self, length: usize) -> usize {
        if self.below(2) == 0 { self.below(length.min(256)) } else { self.below(length) }
    }

    /// A short range among `length` bytes.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.place(length);
        start..(start + 1 + self.below(40)).min(length)
    }
}

/// Alters bytes in one to three ways.
pub(crate) fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(8) / 3 {
        if bytes.is_empty() {
            return bytes;
        }
        mutate_once(&mut bytes, random);
    }
    bytes
}

/// Writes over one to four bytes what names are made of, so that lengths stay right and more is
/// read than after most other mutations.
pub(crate) fn scribble(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        bytes[at] = *random.pick(b"/@:.*\\-_ #?[]~Aa0\0\n\x7f\x80\xff");
    }
    bytes
}

fn mutate_once(bytes: &mut Vec<u8>, random: &mut Random) {
    let length = bytes.len();
    let at = random.place(length);
    match random.below(11) {
        0 | 1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = random.byte(),
        3 => bytes.truncate(random.below(length)),
        4 => {
            let count = 1 + random.below(40);
            bytes.splice(at..at, random.bytes(count));
        }
        5 => {
            let range = random.range(length);
            bytes.splice(at..at, bytes[range].to_vec());
        }
        6 => drop(bytes.drain(random.range(length))),
        7 => {
            // Lengths are what parsers trip over.
            let value = *random.pick(&[0_u16, 1, 0x7f, 0x80, 0xff, 0x100, 0x4000, 0x4001, 0xffff]);
            let end = (at + 2).min(length);
            bytes.splice(at..end, value.to_be_bytes());
        }
        8 => {
            let range = random.range(length);
            let fill = *random.pick(&[0_u8, 0xff, 0x20]);
            bytes[range].fill(fill);
        }
        _ => mutate_records(bytes, random),
    }
}

/// Drops, doubles, exchanges or retypes whole records.
fn mutate_records(bytes: &mut Vec<u8>, random: &mut Random) {
    let mut records = records::split(bytes);
    let (one, other) = (random.below(records.len()), random.below(records.len()));
    match random.below(4) {
        0 => drop(records.remove(one)),
        1 => records.insert(other, records[one].clone()),
        2 => records.swap(one, other),
        _ => records[one][0] = *random.pick(&[0x14, 0x15, 0x16, 0x17, 0x18, 0x00]),
    }
    *bytes = records.concat();
}
