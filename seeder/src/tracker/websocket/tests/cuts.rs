//! Frames cut anywhere, and bytes that are no frames.

use super::*;
use proptest::prelude::*;
use std::borrow::Cow;

proptest! {
    #[test]
    fn frames_survive_any_cut(
        messages in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..4),
            1..6,
        ),
        cuts in proptest::collection::vec(1..300_usize, 1..20),
    ) {
        let mut bytes = Vec::new();
        for parts in &messages {
            for (i, part) in parts.iter().enumerate() {
                let opcode = if i == 0 { TEXT } else { CONTINUE };
                bytes.extend(frame(opcode, i + 1 == parts.len(), part));
            }
        }
        let mut frames = frames::Frames::default();
        let (mut buffer, mut read) = (Vec::new(), Vec::new());
        let mut cuts = cuts.into_iter().cycle();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            rest = after;
            buffer.extend_from_slice(piece);
            while let Some((taken, frame)) = frames.next(&mut buffer).unwrap() {
                if let frames::Frame::Message(message) = frame {
                    read.push(Cow::into_owned(message));
                }
                buffer.drain(..taken);
            }
        }
        let sent: Vec<_> = messages.iter().map(|parts| parts.concat()).collect();
        prop_assert_eq!(read, sent);
        prop_assert_eq!((buffer.len(), frames.held()), (0, 0));
    }

    #[test]
    fn no_bytes_break_the_frames(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut frames = frames::Frames::default();
        let mut bytes = bytes;
        let mut rest = &mut bytes[..];
        while let Ok(Some((taken, _))) = frames.next(rest) {
            prop_assert!(taken >= 6);
            rest = &mut rest[taken..];
        }
        prop_assert!(frames.held() <= 200);
    }
}
