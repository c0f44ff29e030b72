//! Whatever a stranger may have done to a file: nothing panics, reads without end, or holds more than the file.

use crate::files::FILES;
use media::{ReadAt, Rewrite};
use proptest::prelude::*;
use std::cell::Cell;
use std::io;
use std::ops::ControlFlow;

/// A source that counts what is read of it.
struct Counted {
    bytes: Vec<u8>,
    read: Cell<u64>,
    largest: Cell<u64>,
}

impl ReadAt for Counted {
    fn length(&self) -> u64 {
        self.bytes.length()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let size = buffer.len() as u64;
        self.read.set(self.read.get() + size);
        self.largest.set(self.largest.get().max(size));
        self.bytes.read_exact_at(offset, buffer)
    }
}

/// Everything that can be asked of a file.
fn ask(bytes: Vec<u8>) {
    let source = Counted {
        bytes,
        read: Cell::new(0),
        largest: Cell::new(0),
    };
    let probed = media::probe(&source);
    let _ = media::complete(&source);
    for at in [0.0, 1.0, 1e300, f64::NAN] {
        let _ = media::key_frame(&source, at);
    }
    if let Ok(media) = &probed {
        let _ = media::plays(media);
        assert!(
            media
                .duration_s
                .is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0)
        );
    }
    for way in [Rewrite::ToMp4, Rewrite::ToWebm] {
        let mut calls = 0;
        let _ = media::rewrite(&source, way, &mut Vec::new(), &mut |_| {
            calls += 1;
            ControlFlow::Continue(())
        });
        assert!(calls < 100);
    }
    // Eight passes of its own, each through windows of some kilobytes that overlap.
    let most = 4096 * 1024 + source.length() * 1000;
    assert!(
        source.read.get() < most,
        "{} of {}",
        source.read.get(),
        source.length()
    );
    assert!(source.largest.get() <= source.length());
}

fn change() -> impl Strategy<Value = (prop::sample::Index, u8)> {
    // Sizes and counts are where harm is done: all ones and all noughts more often than others.
    let value = prop_oneof![Just(0_u8), Just(0xff), Just(0x7f), Just(0x80), any::<u8>()];
    (any::<prop::sample::Index>(), value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn changed_files_are_read_or_refused(
        file in prop::sample::select(FILES),
        changes in prop::collection::vec(change(), 1..12),
        near_front in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = file.1.to_vec();
        let reach = if near_front { bytes.len().min(700) } else { bytes.len() };
        for (at, value) in changes {
            bytes[at.index(reach)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        ask(bytes);
    }
}

#[test]
fn cut_files_are_read_or_refused() {
    for (_, file) in FILES {
        let cuts = (0..64).chain((64..file.len()).step_by(97));
        for cut in cuts {
            ask(file[..cut].to_vec());
        }
    }
}
