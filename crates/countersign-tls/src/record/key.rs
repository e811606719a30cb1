//! One traffic key: it protects or opens each record once, in order.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce,
    Tag, UnboundKey,
};
use countersign_core::HandshakeError;
use rustls::ConnectionTrafficSecrets;

/// The size of a tag, of all three AEADs.
pub(super) const TAG: usize = 16;

/// A key with its initialisation vector and the number of the next record (RFC 8446 section 5.3).
pub(super) struct Key {
    aead: LessSafeKey,
    vector: [u8; NONCE_LEN],
    sequence: u64,
}

impl Key {
    /// Takes over a key that has been used for `sequence` records.
    pub(super) fn new(
        sequence: u64,
        secrets: &ConnectionTrafficSecrets,
    ) -> Result<Self, HandshakeError> {
        let (algorithm, key, vector): (&Algorithm, _, _) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(ours("an unknown AEAD")),
        };
        let aead = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| ours("a key's size"))?;
        let vector = vector.as_ref().try_into().map_err(|_| ours("a vector's size"))?;
        Ok(Self { aead: LessSafeKey::new(aead), vector, sequence })
    }

    /// Returns how many records it has been used for.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Protects `plain` in place, with the record's header as additional data.
    pub(super) fn seal(&mut self, header: &[u8], plain: &mut [u8]) -> Result<Tag, HandshakeError> {
        let nonce = self.next_nonce().ok_or_else(|| ours("the number of a record"))?;
        self.aead
            .seal_in_place_separate_tag(nonce, Aad::from(header), plain)
            .map_err(|_| ours("sealing a record"))
    }

    /// Opens `sealed`, which ends with the tag, in place, and returns the plaintext; `None` if it is
    /// not what this key sealed.
    pub(super) fn open_in_place<'a>(
        &mut self,
        header: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let nonce = self.next_nonce()?;
        self.aead.open_in_place(nonce, Aad::from(header), sealed).ok()
    }

    /// Opens `sealed`, which ends with the tag, into `plain`, which must be as long as it is without
    /// the tag; returns whether it is what this key sealed. If not, `plain` holds nothing of it.
    pub(super) fn open_into(&mut self, header: &[u8], sealed: &[u8], plain: &mut [u8]) -> bool {
        let Some(nonce) = self.next_nonce() else { return false };
        let Some(split) = sealed.len().checked_sub(TAG) else { return false };
        let (text, tag) = sealed.split_at(split);
        let opened =
            self.aead.open_separate_gather(nonce, Aad::from(header), text, tag, plain).is_ok();
        if !opened {
            plain.fill(0);
        }
        opened
    }

    /// Returns the nonce of the next record: the vector XOR its number. No number is used twice.
    fn next_nonce(&mut self) -> Option<Nonce> {
        let number = self.sequence;
        self.sequence = number.checked_add(1)?;
        let mut nonce = self.vector;
        let [_, _, _, _, last @ ..] = &mut nonce;
        for (byte, number) in last.iter_mut().zip(number.to_be_bytes()) {
            *byte ^= number;
        }
        Some(Nonce::assume_unique_for_key(nonce))
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // The key itself is wiped by its library.
        zeroize::Zeroize::zeroize(&mut self.vector);
    }
}

fn ours(what: &str) -> HandshakeError {
    HandshakeError::OurSide { what: format!("the record layer could not do with {what}") }
}
