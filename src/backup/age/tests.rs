//! The test vectors of the format (`tests/fixtures/age`, from <https://c2sp.org/CCTV/age>, without those of armor and of
//! recipients that are not implemented here), files that other programs wrote in the same notation, and round trips.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A vector: its lines `key: value`, and the encrypted file.
struct Vector {
    values: BTreeMap<String, Vec<String>>,
    file: Vec<u8>,
}

impl Vector {
    fn new(bytes: &[u8]) -> Self {
        let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap();
        let mut values = BTreeMap::<String, Vec<String>>::new();
        for line in str::from_utf8(&bytes[..end]).unwrap().lines() {
            let (key, value) = line.split_once(": ").unwrap();
            values.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        let mut file = bytes[end + 2..].to_vec();
        if values.contains_key("compressed") {
            file = miniz_oxide::inflate::decompress_to_vec_zlib(&file).unwrap();
        }
        Self { values, file }
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &String> {
        self.values.get(key).into_iter().flatten()
    }

    /// The result in the words of the vectors, and the digest of what was decrypted.
    fn decrypt(&self) -> (&'static str, Option<String>) {
        let result = |problem: Problem| match problem {
            Problem::Header(_) | Problem::Work(_) => "header failure",
            Problem::NoMatch => "no match",
            Problem::Mac => "HMAC failure",
            problem => panic!("{problem}"),
        };
        let key = match self.all("passphrase").next() {
            Some(text) => Key::Passphrase(Passphrase::new(text)),
            None => Key::Identities(self.all("identity").map(|text| text.parse().unwrap()).collect()),
        };
        let opened = Decryptor::new(&self.file[..]).and_then(|decryptor| decryptor.decrypt(&key));
        let mut reader = match opened {
            Ok(reader) => reader,
            Err(problem) => return (result(problem), None),
        };
        // In pieces that don't fit the chunks.
        let (mut text, mut piece) = (Vec::new(), [0; 1000]);
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return ("success", Some(hex(&Sha256::digest(&text)))),
                Ok(length) => text.extend_from_slice(&piece[..length]),
                Err(_) => {
                    assert!(reader.read(&mut piece).is_err(), "an error is not followed by an end");
                    return ("payload failure", Some(hex(&Sha256::digest(&text))));
                }
            }
        }
    }
}

#[test]
fn every_vector_has_the_expected_result() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/age");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let vector = Vector::new(&fs::read(&path).unwrap());
        let expected = (vector.values["expect"][0].as_str(), vector.all("payload").next().cloned());
        assert_eq!(vector.decrypt(), expected, "{}", path.display());
        count += 1;
    }
    assert!(count >= 94, "{count} vectors");
}

#[test]
fn a_recipient_is_that_of_its_identity() {
    // From the section "The X25519 recipient type".
    let text = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    let identity: Identity = text.parse().unwrap();
    let recipient = identity.recipient();
    assert_eq!(recipient, "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj");
    assert!(text.to_lowercase().parse::<Identity>().is_ok());
    let kind = |text: &str| text.parse::<Recipient>().err().unwrap();
    assert!(kind(text).contains("another kind"));
    assert!(kind(&recipient.replace('z', "Z")).contains("not Bech32"));
    assert!(kind(&recipient[..recipient.len() - 1]).contains("not Bech32"));
    let short = bech32::encode_lower::<bech32::Bech32>(bech32::Hrp::parse_unchecked("age"), &[1; 31]).unwrap();
    assert!(kind(&short).contains("32 bytes"));
    // A checksum of Bech32m, which is for other things.
    let other = bech32::encode_lower::<bech32::Bech32m>(bech32::Hrp::parse_unchecked("age"), &[1; 32]).unwrap();
    assert!(kind(&other).contains("not Bech32"));
}

#[test]
fn a_recipient_of_low_order_is_refused() {
    let zeros = bech32::encode_lower::<bech32::Bech32>(bech32::Hrp::parse_unchecked("age"), &[0; 32]).unwrap();
    let target = Target::Recipients(vec![zeros.parse().unwrap()]);
    assert!(matches!(Encryptor::new(&target), Err(Problem::Recipient)));
}

/// A new pair of keys.
fn pair() -> (Identity, Recipient) {
    let hrp = bech32::Hrp::parse_unchecked("AGE-SECRET-KEY-");
    let text = bech32::encode_upper::<bech32::Bech32>(hrp, &random::<32>()).unwrap();
    let identity: Identity = text.parse().unwrap();
    let recipient = identity.recipient().parse().unwrap();
    (identity, recipient)
}

fn encrypt(target: &Target, pieces: &[&[u8]]) -> Vec<u8> {
    let mut writer = Encryptor::new(target).unwrap().begin(Vec::new()).unwrap();
    for piece in pieces {
        writer.write_all(piece).unwrap();
    }
    writer.finish().unwrap()
}

fn decrypt(file: &[u8], key: &Key) -> io::Result<Vec<u8>> {
    let decryptor = Decryptor::new(file).map_err(|problem| io::Error::other(problem.to_string()))?;
    let mut reader = decryptor.decrypt(key).map_err(|problem| io::Error::other(problem.to_string()))?;
    let mut text = Vec::new();
    reader.read_to_end(&mut text)?;
    Ok(text)
}

#[test]
fn each_of_several_recipients_can_read_it_and_no_other() {
    let (pairs, (stranger, _)) = ([pair(), pair(), pair()], pair());
    let (identities, recipients): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let file = encrypt(&Target::Recipients(recipients), &[b"text"]);
    for identity in identities {
        assert_eq!(decrypt(&file, &Key::Identities(vec![identity])).unwrap(), b"text");
    }
    let error = decrypt(&file, &Key::Identities(vec![stranger])).unwrap_err();
    assert!(error.to_string().contains("another key"), "{error}");
    let error = decrypt(&file, &Key::Passphrase(Passphrase::new("text"))).unwrap_err();
    assert!(error.to_string().contains("another key"), "{error}");
}

#[test]
fn a_passphrase_can_read_what_it_encrypted() {
    let file = encrypt(&Target::Passphrase(Passphrase::new("open sesame")), &[b"text"]);
    assert!(Decryptor::new(&file[..]).unwrap().needs_passphrase());
    assert_eq!(decrypt(&file, &Key::Passphrase(Passphrase::new("open sesame"))).unwrap(), b"text");
}

#[test]
fn a_header_that_is_too_long_is_neither_read_nor_written() {
    let stanza = |_| Stanza { arguments: vec!["x".repeat(1000)], body: Vec::new() };
    let many: Vec<Stanza> = (0..1100).map(stanza).collect();
    assert!(matches!(header::write(&many, &FileKey::random()), Err(Problem::Header(why)) if why.contains("1 MiB")));
    let endless = io::BufReader::new(b"age-encryption.org/v1\n-> ".chain(io::repeat(b'x')));
    assert!(matches!(Decryptor::new(endless), Err(Problem::Header(why)) if why.contains("1 MiB")));
}

/// A disk that is full after some bytes, and has room again later.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.0.min(bytes.len());
        self.0 = if room == 0 { usize::MAX } else { self.0 - room };
        if room == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(room) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn after_a_failed_write_nothing_more_is_written() {
    let (_, recipient) = pair();
    let encryptor = Encryptor::new(&Target::Recipients(vec![recipient])).unwrap();
    let mut writer = encryptor.begin(Full(1000)).unwrap();
    assert_eq!(writer.write_all(&[0; 1 << 17]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(writer.write_all(b"more").is_err());
    assert!(writer.finish().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any length, also around whole chunks, written in any pieces; and no byte can be changed, added or removed.
    #[test]
    fn what_was_written_is_read_and_nothing_else(
        chunks in 0_usize..3, more in -2_isize..3, cuts in prop::collection::vec(0_usize..200_000, 0..4),
        place: prop::sample::Index, bit in 0_u32..8,
    ) {
        let length = (chunks << 16).saturating_add_signed(more);
        let text: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(length)).chain([0, length]).collect();
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|two| &text[two[0]..two[1]]).collect();
        let (identity, recipient) = pair();
        let key = Key::Identities(vec![identity]);
        let file = encrypt(&Target::Recipients(vec![recipient]), &pieces);
        prop_assert!(decrypt(&file, &key).unwrap() == text);
        let mut changed = file.clone();
        let at = place.index(file.len());
        changed[at] ^= 1 << bit;
        prop_assert!(decrypt(&changed, &key).is_err());
        prop_assert!(decrypt(&file[..at], &key).is_err());
        prop_assert!(decrypt(&[&file[..], b"x"].concat(), &key).is_err());
    }
}
