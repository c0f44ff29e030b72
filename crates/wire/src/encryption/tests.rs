//! An asking side, and what it makes of the answering one.

use super::keys::{Cipher, Keys, Secret};
use super::*;
use proptest::prelude::*;

const SWARM: SwarmHash = SwarmHash([7; 20]);

fn responder(policy: Policy) -> Responder {
    Responder::new(policy, [3; PRIVATE_KEY], vec![9; 100])
}

/// What the asking side says after the keys are exchanged, and its streams.
fn request(keys: &Keys, padding: &[u8], provide: u32, early: &[u8]) -> (Vec<u8>, Cipher) {
    let mut cipher = keys.ciphers_of_asker(&SWARM);
    let mut bytes = padding.to_vec();
    bytes.extend(keys.mark());
    bytes.extend(keys.hide(&SWARM));
    let mut secret = VC.to_vec();
    secret.extend(provide.to_be_bytes());
    secret.extend([0, 3, 1, 2, 3]);
    secret.extend(u16::try_from(early.len()).unwrap().to_be_bytes());
    secret.extend(early);
    cipher.encrypt(&mut secret);
    bytes.extend(secret);
    (bytes, cipher)
}

/// Feeds in parts; gives the bytes to send and how it ended.
fn feed(responder: &mut Responder, bytes: &[u8], part: usize) -> (Vec<u8>, Option<Step>) {
    let mut sent = Vec::new();
    for part in bytes.chunks(part) {
        let mut step = responder.handle_bytes(part);
        loop {
            step = match step {
                Step::Wait => break,
                Step::Send(bytes) => {
                    sent.extend(bytes);
                    responder.handle_bytes(&[])
                }
                Step::Identify(digest) => {
                    let known = digest == request_digest(&SWARM);
                    responder.identify(known.then_some(SWARM));
                    responder.handle_bytes(&[])
                }
                end => return (sent, Some(end)),
            };
        }
        assert!(responder.bytes.len() <= LONGEST);
    }
    (sent, None)
}

/// One negotiation in parts of this size; gives what the answering side agreed to and both streams.
fn negotiate(
    policy: Policy,
    provide: u32,
    part: usize,
    padding: usize,
) -> Result<(Open, Cipher), EncryptionError> {
    let mut responder = responder(policy);
    let secret = Secret::new([5; PRIVATE_KEY]);
    let (sent, end) = feed(&mut responder, &secret.public(), part);
    assert!(end.is_none());
    assert_eq!(sent.len(), PUBLIC_KEY + 100, "key and padding");
    let keys = secret.agree(sent.first_chunk().unwrap()).unwrap();
    let (bytes, mut cipher) = request(&keys, &vec![1; padding], provide, b"the handshake");
    let (_, end) = feed(&mut responder, &bytes, part);
    match end.expect("an end") {
        Step::Open(mut open) => {
            cipher.decrypt(&mut open.reply);
            Ok((*open, cipher))
        }
        Step::Fail(error) => Err(error),
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_sides_agree_in_parts_of_any_size() {
    for part in [1, 7, 64, 10_000] {
        for padding in [0, 1, MAX_PADDING] {
            let (open, mut cipher) = negotiate(Policy::Offered, RC4, part, padding).unwrap();
            assert_eq!(open.reply, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0]);
            assert_eq!(open.received, b"the handshake");
            let mut ours = open.cipher.expect("it stays encrypted");
            let mut answer = b"an answer".to_vec();
            ours.encrypt(&mut answer);
            assert_ne!(answer, b"an answer");
            cipher.decrypt(&mut answer);
            assert_eq!(answer, b"an answer");
            let mut more = b"more".to_vec();
            cipher.encrypt(&mut more);
            ours.decrypt(&mut more);
            assert_eq!(more, b"more");
        }
    }
}

#[test]
fn the_policy_decides_how_it_goes_on() {
    let selected = |policy, provide| {
        negotiate(policy, provide, 100, 10).map(|(open, _)| (open.reply[11], open.cipher.is_some()))
    };
    assert_eq!(selected(Policy::Offered, PLAINTEXT | RC4), Ok((1, false)));
    assert_eq!(selected(Policy::Offered, PLAINTEXT), Ok((1, false)));
    assert_eq!(selected(Policy::Offered, RC4), Ok((2, true)));
    assert_eq!(selected(Policy::Required, PLAINTEXT | RC4), Ok((2, true)));
    assert_eq!(
        selected(Policy::Required, PLAINTEXT),
        Err(EncryptionError::NoMethod)
    );
    assert_eq!(selected(Policy::Offered, 4), Err(EncryptionError::NoMethod));
}

#[test]
fn a_plain_handshake_goes_through_unless_encryption_is_required() {
    let mut bytes = handshake::PROTOCOL.to_vec();
    bytes.extend([0; 48]);
    for part in [1, 68] {
        for policy in [Policy::Off, Policy::Offered] {
            let mut responder = responder(policy);
            let (sent, end) = feed(&mut responder, &bytes, part);
            assert!(sent.is_empty());
            let Some(Step::Plain(first)) = end else {
                panic!("{end:?}");
            };
            assert!(bytes.starts_with(&first) && first.len() >= 20);
        }
    }
    let (_, end) = feed(&mut responder(Policy::Required), &bytes, 5);
    assert!(matches!(end, Some(Step::Fail(EncryptionError::Plain))));
    let (_, end) = feed(&mut responder(Policy::Off), &[1; 96], 5);
    assert!(matches!(end, Some(Step::Fail(EncryptionError::Encrypted))));
}

#[test]
fn keys_that_give_everything_away_are_refused() {
    let mut group = [0xff; PUBLIC_KEY];
    group.copy_from_slice(&{
        // The group's order plus one, minus one: -1.
        let mut minus_one = Vec::new();
        let hex = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090562";
        for pair in hex.as_bytes().chunks(2) {
            minus_one.push(u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
        }
        minus_one
    });
    let mut one = [0; PUBLIC_KEY];
    one[PUBLIC_KEY - 1] = 1;
    for theirs in [[0; PUBLIC_KEY], one, group] {
        let (_, end) = feed(&mut responder(Policy::Offered), &theirs, 96);
        assert!(
            matches!(end, Some(Step::Fail(EncryptionError::Nonsense))),
            "{theirs:?}"
        );
    }
}

#[test]
fn a_swarm_that_is_not_ours_is_refused() {
    let mut responder = responder(Policy::Offered);
    let secret = Secret::new([5; PRIVATE_KEY]);
    let (sent, _) = feed(&mut responder, &secret.public(), 96);
    let keys = secret.agree(sent.first_chunk().unwrap()).unwrap();
    let mut bytes = keys.mark().to_vec();
    bytes.extend(keys.hide(&SwarmHash([8; 20])));
    let (_, end) = feed(&mut responder, &bytes, 100);
    assert!(matches!(end, Some(Step::Fail(EncryptionError::NotServed))));
}

/// One negotiation of both sides, in parts of this size; gives what each of them agreed to.
fn both(
    asking: Policy,
    answering: Policy,
    part: usize,
    padding: usize,
) -> Result<(Open, Open), EncryptionError> {
    let mut initiator = Initiator::new(asking, SWARM, [5; PRIVATE_KEY], b"the handshake".to_vec());
    let mut responder = Responder::new(answering, [3; PRIVATE_KEY], vec![9; padding]);
    let mut to_responder = initiator.opening(&vec![8; padding]);
    let mut agreed = None;
    for _ in 0..4 {
        let (mut sent, end) = feed(&mut responder, &std::mem::take(&mut to_responder), part);
        match end {
            Some(Step::Open(open)) => {
                sent.extend(&open.reply);
                agreed = Some(*open);
            }
            Some(Step::Fail(error)) => return Err(error),
            Some(other) => panic!("{other:?}"),
            None => {}
        }
        for part in sent.chunks(part) {
            let mut step = initiator.handle_bytes(part);
            loop {
                assert!(initiator.bytes.len() <= LONGEST + part.len());
                step = match step {
                    Step::Wait => break,
                    Step::Send(bytes) => {
                        to_responder.extend(bytes);
                        initiator.handle_bytes(&[])
                    }
                    Step::Open(open) => return Ok((*open, agreed.expect("both agree"))),
                    Step::Fail(error) => return Err(error),
                    other => panic!("{other:?}"),
                };
            }
        }
    }
    panic!("no end")
}

#[test]
fn our_two_sides_agree() {
    let check = |asking, answering, encrypted: Result<bool, EncryptionError>| {
        for (part, padding) in [(1, 3), (7, 0), (10_000, MAX_PADDING)] {
            let outcome = both(asking, answering, part, padding);
            let is_encrypted = outcome.as_ref().map(|(ours, theirs)| {
                assert_eq!(ours.cipher.is_some(), theirs.cipher.is_some());
                assert_eq!(theirs.received, b"the handshake");
                ours.cipher.is_some()
            });
            assert_eq!(is_encrypted.map_err(|error| *error), encrypted);
            if let Ok((
                Open {
                    cipher: Some(mut ours),
                    ..
                },
                Open {
                    cipher: Some(mut theirs),
                    ..
                },
            )) = outcome
            {
                let mut text = *b"there and";
                ours.encrypt(&mut text);
                theirs.decrypt(&mut text);
                theirs.encrypt(&mut text);
                ours.decrypt(&mut text);
                assert_eq!(&text, b"there and");
            }
        }
    };
    check(Policy::Offered, Policy::Offered, Ok(false));
    check(Policy::Required, Policy::Offered, Ok(true));
    check(Policy::Offered, Policy::Required, Ok(true));
    check(
        Policy::Offered,
        Policy::Off,
        Err(EncryptionError::Encrypted),
    );
}

#[test]
fn an_answer_that_was_not_offered_is_refused() {
    let answer = |select: u32, padding: u16| {
        let theirs = Secret::new([3; PRIVATE_KEY]);
        let mut initiator = Initiator::new(Policy::Required, SWARM, [5; PRIVATE_KEY], Vec::new());
        let keys = theirs
            .agree(initiator.opening(&[]).first_chunk().unwrap())
            .unwrap();
        let Step::Send(_) = initiator.handle_bytes(&theirs.public()) else {
            panic!("no request");
        };
        let mut answer = VC.to_vec();
        answer.extend(select.to_be_bytes());
        answer.extend(padding.to_be_bytes());
        keys.ciphers(&SWARM).encrypt(&mut answer);
        initiator.handle_bytes(&answer)
    };
    assert!(matches!(answer(RC4, 0), Step::Open(_)));
    assert!(matches!(
        answer(PLAINTEXT, 0),
        Step::Fail(EncryptionError::NoMethod)
    ));
    assert!(matches!(
        answer(3, 0),
        Step::Fail(EncryptionError::NoMethod)
    ));
    assert!(matches!(
        answer(RC4, 513),
        Step::Fail(EncryptionError::Nonsense)
    ));
    assert!(matches!(answer(RC4, 5), Step::Wait));
}

proptest! {
    #[test]
    fn an_answer_may_be_anything(bytes in proptest::collection::vec(any::<u8>(), 0..2000), part in 1usize..500) {
        let mut initiator = Initiator::new(Policy::Offered, SWARM, [5; PRIVATE_KEY], vec![1; 68]);
        'all: for part in bytes.chunks(part) {
            let mut step = initiator.handle_bytes(part);
            loop {
                prop_assert!(initiator.bytes.len() <= LONGEST + part.len());
                step = match step {
                    Step::Send(_) => initiator.handle_bytes(&[]),
                    Step::Wait => break,
                    _ => break 'all,
                };
            }
        }
    }

    #[test]
    fn a_stranger_fills_no_memory(bytes in proptest::collection::vec(any::<u8>(), 0..4000), part in 1usize..500) {
        // `feed` looks at what is held.
        feed(&mut responder(Policy::Offered), &bytes, part);
    }

    #[test]
    fn what_follows_the_keys_may_be_anything(noise in proptest::collection::vec(any::<u8>(), 0..3000), at in 0usize..3000) {
        let mut responder = responder(Policy::Offered);
        let secret = Secret::new([5; PRIVATE_KEY]);
        let (sent, _) = feed(&mut responder, &secret.public(), 96);
        let keys = secret.agree(sent.first_chunk().unwrap()).unwrap();
        let (mut bytes, _) = request(&keys, b"", RC4, b"x");
        for (n, noise) in noise.iter().enumerate() {
            if let Some(byte) = bytes.get_mut(at + n) {
                *byte ^= noise;
            }
        }
        feed(&mut responder, &bytes, 64);
    }
}
