//! The arithmetic: a Diffie-Hellman exchange over the specification's 768-bit group, SHA-1 for keys, RC4 without its
//! first kilobyte for the stream. Weak by today's measure, and fixed by what clients speak.

use crypto_bigint::modular::ConstMontyForm;
use crypto_bigint::{U192, U768, const_monty_params};
use metainfo::ids::SwarmHash;
use rc4::{KeyInit, Rc4, StreamCipher};
use sha1::{Digest, Sha1};

const_monty_params!(
    Group,
    U768,
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090563"
);

type Element = ConstMontyForm<Group, { U768::LIMBS }>;

/// Bytes of a private key: 160 bits, as the specification has it.
pub const PRIVATE_KEY: usize = 20;
/// Bytes of a public key.
pub(super) const PUBLIC_KEY: usize = 96;
/// The first bytes of RC4's stream tell of its key: they are left out.
const DISCARDED: usize = 1024;

fn digest(parts: &[&[u8]]) -> [u8; 20] {
    let mut hasher = Sha1::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// What a peer shows of the swarm it wants: SHA-1 of `req2` and its hash.
pub fn request_digest(swarm: &SwarmHash) -> [u8; 20] {
    digest(&[b"req2", &swarm.0])
}

/// Our half of the exchange.
pub(super) struct Secret {
    private: U192,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub(super) fn new(private: [u8; PRIVATE_KEY]) -> Self {
        let mut wide = [0; 24];
        wide[24 - PRIVATE_KEY..].copy_from_slice(&private);
        Self {
            private: U192::from_be_slice(&wide),
        }
    }

    fn power(&self, base: &U768) -> [u8; PUBLIC_KEY] {
        let power = Element::new(base).pow_bounded_exp(&self.private, 8 * PRIVATE_KEY as u32);
        let mut bytes = [0; PUBLIC_KEY];
        bytes.copy_from_slice(power.retrieve().to_be_bytes().as_ref());
        bytes
    }

    /// 2 to our power.
    pub(super) fn public(&self) -> [u8; PUBLIC_KEY] {
        self.power(&U768::from_u8(2))
    }

    /// What both sides know now. `None` for keys that would make it known to everybody: 0, 1 and their negatives.
    pub(super) fn agree(&self, theirs: &[u8; PUBLIC_KEY]) -> Option<Keys> {
        let theirs = U768::from_be_slice(theirs);
        let shared = self.power(&theirs);
        let first = shared[..PUBLIC_KEY - 1].iter().all(|byte| *byte == 0);
        let negative = Element::ONE.neg().retrieve();
        let known =
            first && shared[PUBLIC_KEY - 1] <= 1 || shared[..] == *negative.to_be_bytes().as_ref();
        (!known).then_some(Keys { shared })
    }
}

/// What both sides know and nobody else.
pub(super) struct Keys {
    shared: [u8; PUBLIC_KEY],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// What ends the asking side's padding.
    pub(super) fn mark(&self) -> [u8; 20] {
        digest(&[b"req1", &self.shared])
    }

    /// The digest of the swarm that is asked for.
    pub(super) fn uncover(&self, hidden: &[u8; 20]) -> [u8; 20] {
        let mask = digest(&[b"req3", &self.shared]);
        std::array::from_fn(|n| hidden[n] ^ mask[n])
    }

    /// The streams of the answering side.
    pub(super) fn ciphers(&self, swarm: &SwarmHash) -> Cipher {
        let key = |name: &[u8]| digest(&[name, &self.shared, &swarm.0]);
        Cipher::new(&key(b"keyB"), &key(b"keyA"))
    }

    /// The streams of the asking side.
    pub(super) fn ciphers_of_asker(&self, swarm: &SwarmHash) -> Cipher {
        let key = |name: &[u8]| digest(&[name, &self.shared, &swarm.0]);
        Cipher::new(&key(b"keyA"), &key(b"keyB"))
    }

    /// The digest of the swarm that we ask for, covered.
    pub(super) fn hide(&self, swarm: &SwarmHash) -> [u8; 20] {
        // The same mask covers and uncovers.
        self.uncover(&request_digest(swarm))
    }
}

/// The two streams of an encrypted connection.
pub struct Cipher {
    sent: Rc4,
    received: Rc4,
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher")
    }
}

impl Cipher {
    fn new(sent: &[u8; 20], received: &[u8; 20]) -> Self {
        let stream = |key: &[u8; 20]| {
            let mut stream = Rc4::new_from_slice(key).expect("RC4 takes keys of 1 to 256 bytes");
            stream.apply_keystream(&mut [0; DISCARDED]);
            stream
        };
        Self {
            sent: stream(sent),
            received: stream(received),
        }
    }

    /// Encrypts what is sent next, in place.
    pub fn encrypt(&mut self, bytes: &mut [u8]) {
        self.sent.apply_keystream(bytes);
    }

    /// Decrypts what was received next, in place.
    pub fn decrypt(&mut self, bytes: &mut [u8]) {
        self.received.apply_keystream(bytes);
    }
}
