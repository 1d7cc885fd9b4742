//! Recipients and identities of X25519, `age1…` and `AGE-SECRET-KEY-1…`. Section "The X25519 recipient type".

use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};
use zeroize::Zeroizing;

use super::header::{self, Stanza};
use super::keys::{FileKey, random};
use super::{Problem, derive};

/// First argument of the stanza.
const KIND: &str = "X25519";

/// Info of the wrap key.
const LABEL: &[u8] = b"age-encryption.org/v1/X25519";

const PUBLIC: &str = "age";
const SECRET: &str = "age-secret-key-";

/// A public key that a file is encrypted to.
pub(in crate::backup) struct Recipient(PublicKey);

/// A secret key.
pub(in crate::backup) struct Identity {
    secret: StaticSecret,
    public: PublicKey,
}

impl FromStr for Recipient {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(PublicKey::from(*key(text, PUBLIC)?)))
    }
}

impl FromStr for Identity {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let secret = StaticSecret::from(*key(text, SECRET)?);
        Ok(Self { public: PublicKey::from(&secret), secret })
    }
}

/// 32 bytes of Bech32 (BIP 173) with this prefix, in upper or in lower case.
fn key(text: &str, prefix: &str) -> Result<Zeroizing<[u8; 32]>, &'static str> {
    let decoded = CheckedHrpstring::new::<Bech32>(text).map_err(|_| "it is not Bech32, or was mistyped")?;
    let expected = Hrp::parse_unchecked(prefix);
    if decoded.hrp() != expected {
        return Err("it is a key of another kind");
    }
    let bytes = Zeroizing::new(decoded.byte_iter().collect::<Vec<u8>>());
    let mut key = Zeroizing::new([0; 32]);
    if bytes.len() != key.len() {
        return Err("it does not have 32 bytes");
    }
    key.copy_from_slice(&bytes);
    // The bits that fill the last character have to be zero.
    let canonical = Zeroizing::new(bech32::encode_lower::<Bech32>(expected, &*key).unwrap_or_default());
    if canonical.eq_ignore_ascii_case(text) { Ok(key) } else { Err("it is not canonical Bech32") }
}

impl Recipient {
    /// The stanza for this recipient. Section "X25519 recipient stanza".
    ///
    /// # Errors
    /// When the recipient is a point of low order.
    pub(super) fn wrap(&self, file_key: &FileKey) -> Result<Stanza, Problem> {
        let ephemeral = StaticSecret::from(*Zeroizing::new(random::<32>()));
        let share = PublicKey::from(&ephemeral);
        let wrap_key = wrap_key(&ephemeral.diffie_hellman(&self.0), &share, &self.0).ok_or(Problem::Recipient)?;
        Ok(Stanza {
            arguments: vec![KIND.to_owned(), header::encode(share.as_bytes())],
            body: file_key.wrap(&wrap_key),
        })
    }
}

impl Identity {
    /// The recipient to this identity.
    #[cfg(test)]
    pub(super) fn recipient(&self) -> String {
        bech32::encode_lower::<Bech32>(Hrp::parse_unchecked(PUBLIC), self.public.as_bytes()).expect("short")
    }

    /// The file key in a stanza; none if the stanza is for another recipient, or of another kind. Section "X25519
    /// recipient stanza".
    ///
    /// # Errors
    /// When it is of this kind, but invalid.
    pub(super) fn unwrap(&self, stanza: &Stanza) -> Result<Option<FileKey>, Problem> {
        let Some(arguments) = stanza.arguments_of(KIND) else { return Ok(None) };
        let [share] = arguments else { return Err(Problem::Header("an X25519 recipient has two arguments")) };
        let share = header::decode(share).ok_or(Problem::Header("a share of X25519 is not 32 bytes of base64"))?;
        let share = PublicKey::from(share);
        let wrap_key = wrap_key(&self.secret.diffie_hellman(&share), &share, &self.public)
            .ok_or(Problem::Header("a share of X25519 is a point of low order"))?;
        FileKey::unwrap(&stanza.body, &wrap_key)
    }
}

/// None if the shared secret is all zeros.
fn wrap_key(shared: &SharedSecret, share: &PublicKey, to: &PublicKey) -> Option<Zeroizing<[u8; 32]>> {
    let salt = [*share.as_bytes(), *to.as_bytes()].concat();
    shared.was_contributory().then(|| derive(shared.as_bytes(), &salt, LABEL))
}
