//! Proofs: that both sides know the secret of the cluster, without saying it.
//!
//! A proof is a SipHash-2-4-128 MAC over both hellos, with the nonces in them, and a label for its direction: so none can be
//! replayed on another connection or reflected on the same one. It authenticates the two ends at the beginning; it neither encrypts
//! nor authenticates what follows. Who can change packets on the way can still change them.

use super::body_reader::BodyReader;
use super::body_writer::BodyWriter;
use super::frame::write_frame;
use super::{Frame, Kind, WireError};

use bytes::BytesMut;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::fmt;
use std::hash::Hasher;
use thiserror::Error;

/// Bytes of a proof.
pub const PROOF_BYTES: usize = 16;
/// Shortest secret, in bytes: a shorter one can be guessed from a proof that somebody overheard.
pub const SECRET_BYTES_MIN: usize = 16;
/// Longest secret, in bytes: more is some other file.
pub const SECRET_BYTES_MAX: usize = 1_024;

/// What all members and clients of a cluster know, if it has a secret.
#[derive(Clone)]
pub struct Secret {
    key: [u8; 16],
}

/// The contents of a secret file are no secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, and this one has {bytes}; \
     make one with: head -c 32 /dev/urandom | base64 > FILE"
)]
pub struct SecretError {
    /// How many bytes there are, without the white space at either end.
    pub bytes: usize,
}

impl Secret {
    /// A secret from the contents of its file; white space at either end is no part of it.
    ///
    /// # Errors
    /// It is too short or too long.
    pub fn new(contents: &[u8]) -> Result<Secret, SecretError> {
        let secret = contents.trim_ascii();
        match secret.len() {
            SECRET_BYTES_MIN..=SECRET_BYTES_MAX => Ok(Secret { key: mac(&[0; 16], &[b"henge secret\0", secret]) }),
            bytes => Err(SecretError { bytes }),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

/// Whose proof it is: the one that opened the connection, or the one that accepted it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Opened the connection; proves first.
    Dialer,
    /// Accepted it; proves only to who has proved, and thereby accepts.
    Acceptor,
}

/// The bodies of both Hello frames, byte by byte as they stood on the wire (`Hello::body`, `Frame::body`).
#[derive(Clone, Copy, Debug)]
pub struct Hellos<'a> {
    /// Of the side that opened the connection.
    pub dialer: &'a [u8],
    /// Of the side that accepted it.
    pub acceptor: &'a [u8],
}

/// The proof of one side that it knows the secret.
pub fn prove(secret: &Secret, side: Side, hellos: Hellos<'_>) -> [u8; PROOF_BYTES] {
    let label: &[u8] = match side {
        Side::Dialer => b"henge dialer\0",
        Side::Acceptor => b"henge acceptor\0",
    };
    let length = |hello: &[u8]| u32::try_from(hello.len()).expect("a hello fits a frame").to_be_bytes();
    let (dialer, acceptor) = (length(hellos.dialer), length(hellos.acceptor));
    mac(&secret.key, &[label, &dialer, hellos.dialer, &acceptor, hellos.acceptor])
}

/// True if this is the proof of that side. Takes the same time whatever bytes are wrong.
pub fn check(secret: &Secret, side: Side, hellos: Hellos<'_>, proof: &[u8; PROOF_BYTES]) -> bool {
    let expected = prove(secret, side, hellos);
    let different = expected.iter().zip(proof).fold(0, |different, (a, b)| different | (a ^ b));
    std::hint::black_box(different) == 0
}

fn mac(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_key(key);
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish128().as_bytes()
}

/// Appends a proof to a send buffer.
///
/// # Errors
/// None in fact: a proof fits any frame.
pub fn encode_proof(proof: &[u8; PROOF_BYTES], out: &mut BytesMut) -> Result<(), WireError> {
    let body = |out: &mut BytesMut| {
        BodyWriter::write(out, |out| {
            out.array(1);
            out.bytes(proof);
        });
    };
    write_frame(out, Kind::Proof, 0, 3 + PROOF_BYTES, body, &[])
}

/// Reads a proof.
///
/// # Errors
/// `UnknownKind`: it is another frame. `Malformed`.
pub fn decode_proof(frame: &Frame) -> Result<[u8; PROOF_BYTES], WireError> {
    if frame.kind() != Kind::Proof as u8 {
        return Err(WireError::UnknownKind { number: frame.kind(), expected: "proof, which is asked for" });
    }
    let malformed = || WireError::Malformed { kind: Kind::Proof, what: format!("a proof has {PROOF_BYTES} bytes and no payload") };
    if !frame.payload().is_empty() {
        return Err(malformed());
    }
    let mut body = BodyReader::new(Kind::Proof, frame.bytes(), frame.body());
    let extra = body.fields("body", 1)?;
    let proof = body.bytes("proof")?;
    body.skip(extra)?;
    body.finish()?;
    proof[..].try_into().map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_siphash_2_4_128() {
        // The first and the last vector of the reference implementation: key 00…0f, inputs of 0 and 63 bytes 00, 01, ….
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let input: [u8; 63] = std::array::from_fn(|i| i as u8);
        let hex = |bytes: [u8; 16]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(mac(&key, &[])), "a3817f04ba25a8e66df67214c7550293");
        assert_eq!(hex(mac(&key, &[&input])), "5150d1772f50834a503e069a973fbd7c");
        assert_eq!(mac(&key, &[&input[..7], &input[7..]]), mac(&key, &[&input]), "parts are one after the other");
    }

    #[test]
    fn the_proofs_in_the_protocol_page_are_right() {
        let page = include_str!("../../docs/protocol.md");
        let secret = Secret::new(b"sixteen bytes or more").unwrap();
        for side in [Side::Dialer, Side::Acceptor] {
            let proof = prove(&secret, side, Hellos { dialer: b"one", acceptor: b"two" });
            let hex: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(page.contains(&format!("`{hex}`")), "the proof of the {side:?} is {hex}");
        }
    }

    #[test]
    fn a_proof_holds_for_its_secret_side_and_hellos_alone() {
        let secret = Secret::new(b"sixteen bytes or more\n").unwrap();
        let other = Secret::new(b"sixteen bytes or mode\n").unwrap();
        let hellos = Hellos { dialer: b"one", acceptor: b"two" };
        let proof = prove(&secret, Side::Dialer, hellos);
        assert!(check(&secret, Side::Dialer, hellos, &proof));
        assert!(!check(&other, Side::Dialer, hellos, &proof), "another secret");
        assert!(!check(&secret, Side::Acceptor, hellos, &proof), "reflected");
        assert!(!check(&secret, Side::Dialer, Hellos { dialer: b"onet", acceptor: b"wo" }, &proof), "cut elsewhere");
        assert!(!check(&secret, Side::Dialer, Hellos { dialer: b"one", acceptor: b"twO" }, &proof), "another hello");
        for bit in 0..128 {
            let mut flipped = proof;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!check(&secret, Side::Dialer, hellos, &flipped), "bit {bit}");
        }
    }

    #[test]
    fn a_secret_has_sixteen_bytes_at_least_and_does_not_show_itself() {
        assert_eq!(Secret::new(b" fifteen bytes..\n").unwrap_err(), SecretError { bytes: 15 });
        assert!(Secret::new(&[b'x'; SECRET_BYTES_MAX]).is_ok());
        assert!(Secret::new(&[b'x'; SECRET_BYTES_MAX + 1]).is_err());
        assert_eq!(format!("{:?}", Secret::new(b"sixteen bytes or more").unwrap()), "Secret(not shown)");
    }
}
