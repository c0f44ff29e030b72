//! Message stream encryption, both sides, without a socket: what clients say before the handshake when they want a
//! connection that middle boxes don't recognise (Azureus' specification "Message Stream Encryption").
//! It hides the protocol from those who look for patterns. It is no secrecy: whoever knows the info-hash and sits
//! in between reads along.
//!
//! The shell gives every byte that comes to [`Responder::handle_bytes`], or to [`Initiator::handle_bytes`] where it
//! has opened the connection itself, carries out what it says, and goes on with
//! [`crate::connection`] once it says [`Step::Open`] or [`Step::Plain`]. What a stranger can make it hold is bounded
//! by [`LONGEST`].

mod initiator;
mod keys;

#[cfg(test)]
mod tests;

pub use initiator::Initiator;
pub use keys::{Cipher, PRIVATE_KEY, request_digest};

use crate::handshake;
use keys::{Keys, PUBLIC_KEY, Secret};
use metainfo::ids::SwarmHash;

/// The longest padding either side may send.
pub const MAX_PADDING: usize = 512;

/// The most of the first message that may come with the negotiation. Clients put their 68-byte handshake there.
const MAX_EARLY: usize = 1024;

/// The most bytes that are held besides those of the last call: until the hash that follows the padding has come, and then the rest of that message.
pub const LONGEST: usize =
    PUBLIC_KEY + MAX_PADDING + 20 + 20 + VC.len() + 4 + 2 + MAX_PADDING + 2 + MAX_EARLY;

/// Eight zeros by which a receiver finds where encryption starts.
const VC: [u8; 8] = [0; 8];
const PLAINTEXT: u32 = 1;
const RC4: u32 = 2;

/// Whether encrypted connections are taken, and others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Only plain ones.
    Off,
    /// Both. Who offers to go on in the clear after the handshake is taken at its word: it costs less.
    #[default]
    Offered,
    /// Only those that stay encrypted.
    Required,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Wait for more bytes.
    Wait,
    /// An ordinary handshake: these bytes, and whatever follows, belong to the connection.
    Plain(Vec<u8>),
    /// Send these bytes, then wait for more.
    Send(Vec<u8>),
    /// Find the swarm whose [`request_digest`] this is, and tell it by [`Responder::identify`].
    Identify([u8; 20]),
    /// Agreed: see [`Open`].
    Open(Box<Open>),
    /// Close the connection.
    Fail(EncryptionError),
}

/// What was agreed on.
#[derive(Debug)]
pub struct Open {
    /// To send first, as it is.
    pub reply: Vec<u8>,
    /// What has come for the connection so far, in the clear.
    pub received: Vec<u8>,
    /// How to go on: encrypted, or in the clear.
    pub cipher: Option<Box<Cipher>>,
}

/// Why no connection came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// Neither a handshake nor a negotiation is allowed to look like this.
    #[error("neither a handshake nor an encrypted one")]
    Nonsense,
    /// Plain connections aren't taken.
    #[error("not encrypted, which is required here")]
    Plain,
    /// Encrypted connections aren't taken.
    #[error("encrypted, which is switched off here")]
    Encrypted,
    /// The swarm isn't one of ours.
    #[error("no such torrent here")]
    NotServed,
    /// No way of going on that both know.
    #[error("no encryption that both sides know")]
    NoMethod,
}

/// The answering side of one connection.
#[derive(Debug)]
pub struct Responder {
    policy: Policy,
    stage: Stage,
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    /// It isn't clear yet what this is.
    Begin { secret: Secret, padding: Vec<u8> },
    /// Our key is sent; the hash that follows their padding is looked for.
    Find { keys: Keys },
    /// The shell looks for the swarm.
    Identify { keys: Keys },
    /// Their offer is coming in.
    Offer { cipher: Box<Cipher>, plain: Vec<u8> },
    /// Over, well or not.
    Done,
}

impl Responder {
    /// `private` and `padding` (at most [`MAX_PADDING`] bytes) are random and of this connection alone.
    pub fn new(policy: Policy, private: [u8; PRIVATE_KEY], mut padding: Vec<u8>) -> Self {
        padding.truncate(MAX_PADDING);
        Self {
            policy,
            stage: Stage::Begin {
                secret: Secret::new(private),
                padding,
            },
            bytes: Vec::new(),
        }
    }

    /// Bytes came. To be called again, without bytes, until it says to wait.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Step {
        self.bytes.extend_from_slice(bytes);
        self.step().unwrap_or_else(|error| {
            self.stage = Stage::Done;
            Step::Fail(error)
        })
    }

    /// The answer to [`Step::Identify`]. Go on with [`Self::handle_bytes`], without bytes.
    pub fn identify(&mut self, swarm: Option<SwarmHash>) {
        let Stage::Identify { keys } = std::mem::replace(&mut self.stage, Stage::Done) else {
            return;
        };
        if let Some(swarm) = swarm {
            self.stage = Stage::Offer {
                cipher: Box::new(keys.ciphers(&swarm)),
                plain: Vec::new(),
            };
        }
    }

    fn step(&mut self) -> Result<Step, EncryptionError> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Begin { secret, padding } => self.begin(secret, padding),
            Stage::Find { keys } => self.find(keys),
            Stage::Identify { keys } => {
                self.stage = Stage::Identify { keys };
                Ok(Step::Wait)
            }
            Stage::Offer { cipher, plain } => self.offer(cipher, plain),
            Stage::Done => Err(EncryptionError::NotServed),
        }
    }

    fn begin(&mut self, secret: Secret, padding: Vec<u8>) -> Result<Step, EncryptionError> {
        if handshake::may_begin(&self.bytes) {
            // A public key starts like this once in 2^160.
            if self.bytes.len() < handshake::PROTOCOL.len() {
                self.stage = Stage::Begin { secret, padding };
                return Ok(Step::Wait);
            }
            return match self.policy {
                Policy::Required => Err(EncryptionError::Plain),
                Policy::Off | Policy::Offered => Ok(Step::Plain(std::mem::take(&mut self.bytes))),
            };
        }
        if self.policy == Policy::Off {
            return Err(EncryptionError::Encrypted);
        }
        let Some(theirs) = self.bytes.first_chunk::<PUBLIC_KEY>() else {
            self.stage = Stage::Begin { secret, padding };
            return Ok(Step::Wait);
        };
        let keys = secret.agree(theirs).ok_or(EncryptionError::Nonsense)?;
        self.bytes.drain(..PUBLIC_KEY);
        let mut reply = secret.public().to_vec();
        reply.extend_from_slice(&padding);
        self.stage = Stage::Find { keys };
        Ok(Step::Send(reply))
    }

    fn find(&mut self, keys: Keys) -> Result<Step, EncryptionError> {
        let mark = keys.mark();
        let at = self
            .bytes
            .windows(mark.len())
            .take(MAX_PADDING + 1)
            .position(|window| window == mark);
        let Some(at) = at else {
            if self.bytes.len() >= MAX_PADDING + mark.len() {
                return Err(EncryptionError::Nonsense);
            }
            self.stage = Stage::Find { keys };
            return Ok(Step::Wait);
        };
        let after = at + mark.len();
        let Some(hidden) = self.bytes[after..].first_chunk::<20>() else {
            self.stage = Stage::Find { keys };
            return Ok(Step::Wait);
        };
        let digest = keys.uncover(hidden);
        self.bytes.drain(..after + hidden.len());
        self.stage = Stage::Identify { keys };
        Ok(Step::Identify(digest))
    }

    /// ENCRYPT(VC, crypto_provide, len(PadC), PadC, len(IA)), ENCRYPT(IA). `plain` is what of it is decrypted.
    fn offer(
        &mut self,
        mut cipher: Box<Cipher>,
        mut plain: Vec<u8>,
    ) -> Result<Step, EncryptionError> {
        let wait = |this: &mut Self, cipher, plain| {
            this.stage = Stage::Offer { cipher, plain };
            Ok(Step::Wait)
        };
        const HEAD: usize = VC.len() + 4 + 2;
        if !decrypt_until(&mut self.bytes, &mut cipher, &mut plain, HEAD) {
            return wait(self, cipher, plain);
        }
        let number = |at: usize| usize::from(u16::from_be_bytes([plain[at], plain[at + 1]]));
        let padding = number(VC.len() + 4);
        if plain[..VC.len()] != VC || padding > MAX_PADDING {
            return Err(EncryptionError::Nonsense);
        }
        let early_at = HEAD + padding + 2;
        if !decrypt_until(&mut self.bytes, &mut cipher, &mut plain, early_at) {
            return wait(self, cipher, plain);
        }
        let number = |at: usize| usize::from(u16::from_be_bytes([plain[at], plain[at + 1]]));
        let early = number(early_at - 2);
        if early > MAX_EARLY {
            return Err(EncryptionError::Nonsense);
        }
        if !decrypt_until(&mut self.bytes, &mut cipher, &mut plain, early_at + early) {
            return wait(self, cipher, plain);
        }
        let offered = u32::from_be_bytes([plain[8], plain[9], plain[10], plain[11]]);
        let select = match self.policy {
            Policy::Offered if offered & PLAINTEXT != 0 => PLAINTEXT,
            _ if offered & RC4 != 0 => RC4,
            _ => return Err(EncryptionError::NoMethod),
        };
        // ENCRYPT(VC, crypto_select, len(padD), padD): no padding, what follows is as unlike as it gets.
        let mut reply = VC.to_vec();
        reply.extend(select.to_be_bytes());
        reply.extend([0, 0]);
        cipher.encrypt(&mut reply);
        let mut received = plain.split_off(early_at);
        let mut rest = std::mem::take(&mut self.bytes);
        let cipher = if select == RC4 {
            cipher.decrypt(&mut rest);
            Some(cipher)
        } else {
            None
        };
        received.append(&mut rest);
        Ok(Step::Open(Box::new(Open {
            reply,
            received,
            cipher,
        })))
    }
}

/// Decrypts until `plain` is so long; says whether it is. Never further: what follows the early bytes may be in
/// the clear.
fn decrypt_until(
    bytes: &mut Vec<u8>,
    cipher: &mut Cipher,
    plain: &mut Vec<u8>,
    length: usize,
) -> bool {
    let wanted = length.saturating_sub(plain.len()).min(bytes.len());
    let from = plain.len();
    plain.extend(bytes.drain(..wanted));
    cipher.decrypt(&mut plain[from..]);
    plain.len() >= length
}
