//! The file key, how it is wrapped, and random bytes.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use super::{Problem, derive};

/// Length of a file key. Section "File key": 128 bits.
const LENGTH: usize = 16;

/// Length of a wrapped file key: with the tag of Poly1305.
const WRAPPED: usize = LENGTH + 16;

/// The symmetric key of one file.
pub(super) struct FileKey(Zeroizing<[u8; LENGTH]>);

impl FileKey {
    pub(super) fn random() -> Self {
        Self(Zeroizing::new(random()))
    }

    /// A key for one purpose.
    pub(super) fn derive(&self, salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
        derive(&*self.0, salt, info)
    }

    /// The body of a stanza. Sections "X25519 recipient stanza" and "scrypt recipient stanza": ChaCha20-Poly1305 with a
    /// nonce of zeros, as a wrap key is used only once.
    pub(super) fn wrap(&self, wrap_key: &[u8; 32]) -> Vec<u8> {
        let mut body = self.0.to_vec();
        cipher(wrap_key)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut body)
            .expect("16 bytes are not too long");
        body
    }

    /// The reverse; none if the wrap key is another one.
    ///
    /// # Errors
    /// When the body has another length: that has to be checked before it is decrypted (same sections).
    pub(super) fn unwrap(body: &[u8], wrap_key: &[u8; 32]) -> Result<Option<Self>, Problem> {
        if body.len() != WRAPPED {
            return Err(Problem::Header("the body of a recipient has another length than 32 bytes"));
        }
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let Ok(key) = cipher(wrap_key).open_in_place(nonce, Aad::empty(), &mut body) else { return Ok(None) };
        let mut file_key = Zeroizing::new([0; LENGTH]);
        file_key.copy_from_slice(key);
        Ok(Some(Self(file_key)))
    }
}

pub(super) fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("its keys have 32 bytes"))
}

/// Bytes of the system's random number generator.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system's random number generator works");
    bytes
}
