//! The asking side of an encrypted connection: for connections that we open.

use super::keys::{Cipher, Keys, PUBLIC_KEY, Secret};
use super::{EncryptionError, MAX_PADDING, Open, PLAINTEXT, PRIVATE_KEY, Policy, RC4, Step, VC};
use metainfo::ids::SwarmHash;

/// The asking side of one connection. The shell sends [`Self::opening`], gives every byte that comes to
/// [`Self::handle_bytes`] and carries out what it says; after [`Step::Open`] the connection's first bytes have gone
/// out already.
#[derive(Debug)]
pub struct Initiator {
    policy: Policy,
    swarm: SwarmHash,
    stage: Stage,
    /// What the connection says first: it goes out with the request.
    early: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    /// Their key is coming in.
    Key { secret: Secret },
    /// Our request is sent; the end of their padding is looked for.
    Find {
        cipher: Box<Cipher>,
        mark: [u8; VC.len()],
    },
    /// Their answer is coming in.
    Answer { cipher: Box<Cipher>, plain: Vec<u8> },
    /// Over, well or not.
    Done,
}

impl Initiator {
    /// `private` is random and of this connection alone. `early` is what [`crate::connection::Connection`] hands out
    /// first, its handshake: at most 1024 bytes of it can go along. Under [`Policy::Required`] the peer must stay
    /// encrypted; else it may choose.
    pub fn new(
        policy: Policy,
        swarm: SwarmHash,
        private: [u8; PRIVATE_KEY],
        early: Vec<u8>,
    ) -> Self {
        Self {
            policy,
            swarm,
            stage: Stage::Key {
                secret: Secret::new(private),
            },
            early,
            bytes: Vec::new(),
        }
    }

    /// What is sent first. `padding` is random, at most [`MAX_PADDING`] bytes of it are used.
    pub fn opening(&self, padding: &[u8]) -> Vec<u8> {
        let Stage::Key { secret } = &self.stage else {
            return Vec::new();
        };
        let mut opening = secret.public().to_vec();
        opening.extend_from_slice(&padding[..padding.len().min(MAX_PADDING)]);
        opening
    }

    /// Bytes came. To be called again, without bytes, until it says to wait. Never says [`Step::Plain`] or
    /// [`Step::Identify`].
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Step {
        self.bytes.extend_from_slice(bytes);
        self.step().unwrap_or_else(|error| {
            self.stage = Stage::Done;
            Step::Fail(error)
        })
    }

    fn step(&mut self) -> Result<Step, EncryptionError> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Key { secret } => {
                let Some(theirs) = self.bytes.first_chunk::<PUBLIC_KEY>() else {
                    self.stage = Stage::Key { secret };
                    return Ok(Step::Wait);
                };
                let keys = secret.agree(theirs).ok_or(EncryptionError::Nonsense)?;
                self.bytes.drain(..PUBLIC_KEY);
                let (request, mut cipher) = self.request(&keys);
                // Zeros, decrypted, are what zeros look like when they come encrypted.
                let mut mark = VC;
                cipher.decrypt(&mut mark);
                self.stage = Stage::Find { cipher, mark };
                Ok(Step::Send(request))
            }
            Stage::Find { cipher, mark } => {
                let found = self
                    .bytes
                    .windows(mark.len())
                    .take(MAX_PADDING + 1)
                    .position(|window| window == mark);
                match found {
                    Some(at) => {
                        self.bytes.drain(..at + mark.len());
                        self.stage = Stage::Answer {
                            cipher,
                            plain: Vec::new(),
                        };
                        self.step()
                    }
                    None if self.bytes.len() >= MAX_PADDING + mark.len() => {
                        Err(EncryptionError::Nonsense)
                    }
                    None => {
                        self.stage = Stage::Find { cipher, mark };
                        Ok(Step::Wait)
                    }
                }
            }
            Stage::Answer { cipher, plain } => self.answer(cipher, plain),
            Stage::Done => Err(EncryptionError::Nonsense),
        }
    }

    /// HASH('req1', S), HASH('req2', SKEY) xor HASH('req3', S), ENCRYPT(VC, crypto_provide, len(PadC), len(IA), IA).
    fn request(&mut self, keys: &Keys) -> (Vec<u8>, Box<Cipher>) {
        let mut cipher = Box::new(keys.ciphers_of_asker(&self.swarm));
        let mut request = keys.mark().to_vec();
        request.extend(keys.hide(&self.swarm));
        let provide = match self.policy {
            Policy::Required => RC4,
            Policy::Off | Policy::Offered => RC4 | PLAINTEXT,
        };
        let early = std::mem::take(&mut self.early);
        let from = request.len();
        request.extend(VC);
        request.extend(provide.to_be_bytes());
        // No padding: what follows is as unlike as it gets.
        request.extend([0, 0]);
        request.extend((early.len() as u16).to_be_bytes());
        request.extend(early);
        cipher.encrypt(&mut request[from..]);
        (request, cipher)
    }

    /// crypto_select, len(padD), padD; `plain` is what of it is decrypted.
    fn answer(
        &mut self,
        mut cipher: Box<Cipher>,
        mut plain: Vec<u8>,
    ) -> Result<Step, EncryptionError> {
        const HEAD: usize = 4 + 2;
        let mut length = HEAD;
        if super::decrypt_until(&mut self.bytes, &mut cipher, &mut plain, length) {
            let padding = usize::from(u16::from_be_bytes([plain[4], plain[5]]));
            if padding > MAX_PADDING {
                return Err(EncryptionError::Nonsense);
            }
            length += padding;
        }
        if !super::decrypt_until(&mut self.bytes, &mut cipher, &mut plain, length) {
            self.stage = Stage::Answer { cipher, plain };
            return Ok(Step::Wait);
        }
        let mut received = std::mem::take(&mut self.bytes);
        let cipher = match u32::from_be_bytes([plain[0], plain[1], plain[2], plain[3]]) {
            RC4 => {
                cipher.decrypt(&mut received);
                Some(cipher)
            }
            PLAINTEXT if self.policy != Policy::Required => None,
            _ => return Err(EncryptionError::NoMethod),
        };
        Ok(Step::Open(Box::new(Open {
            reply: Vec::new(),
            received,
            cipher,
        })))
    }
}
