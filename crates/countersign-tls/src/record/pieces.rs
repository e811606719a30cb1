//! Plaintext in one slice or in several.

use std::io::IoSlice;

/// What is to be sealed: the caller's slices, as far as they have not been.
pub(crate) struct Pieces<'a> {
    first: &'a [u8],
    rest: &'a [IoSlice<'a>],
}

impl<'a> Pieces<'a> {
    pub(crate) fn one(plain: &'a [u8]) -> Self {
        Self { first: plain, rest: &[] }
    }

    pub(crate) fn of(slices: &'a [IoSlice<'a>]) -> Self {
        match slices.split_first() {
            Some((first, rest)) => Self { first, rest },
            None => Self::one(&[]),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len_up_to(1) == 0
    }

    /// Returns how many bytes are left, counting no further than `most`.
    pub(super) fn len_up_to(&self, most: usize) -> usize {
        let mut length = self.first.len();
        for slice in self.rest {
            if length >= most {
                break;
            }
            length += slice.len();
        }
        length.min(most)
    }

    /// Moves so many bytes behind those in `into`.
    pub(super) fn move_into(&mut self, mut count: usize, into: &mut Vec<u8>) {
        // Most have one slice.
        if let Some((part, left)) = self.first.split_at_checked(count) {
            into.extend_from_slice(part);
            self.first = left;
            return;
        }
        loop {
            let (part, left) = self.first.split_at(count.min(self.first.len()));
            into.extend_from_slice(part);
            self.first = left;
            count -= part.len();
            match self.rest.split_first() {
                Some((next, rest)) if count > 0 => (self.first, self.rest) = (next, rest),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::Pieces;

    #[test]
    fn slices_are_one_text_wherever_it_is_cut() {
        let slices = [&b"so"[..], b"", b"me", b"", b" text", b""].map(IoSlice::new);
        for step in 1..11 {
            let (mut pieces, mut text) = (Pieces::of(&slices), Vec::new());
            loop {
                let count = pieces.len_up_to(step);
                if count == 0 {
                    break;
                }
                pieces.move_into(count, &mut text);
            }
            assert_eq!(text, b"some text", "{step} at once");
        }
        assert_eq!(Pieces::one(b"abc").len_up_to(2), 2);
        assert_eq!(Pieces::one(b"").len_up_to(2), 0);
    }
}
