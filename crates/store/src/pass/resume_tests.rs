//! Passes that are called off and go on with their journal.

use super::unit::UNIT_BYTES;
use super::*;
use metainfo::{Format, PieceLength};
use std::fs::File;
use tempfile::TempDir;

const WANT: Want = Want {
    pieces: true,
    roots: true,
};

/// Two units and a bit in two files, neither of which ends with a unit, piece or leaf.
const LENGTHS: [u64; 2] = [UNIT_BYTES + 70_000, UNIT_BYTES + 5];
const TOTAL: u64 = LENGTHS[0] + LENGTHS[1];

struct Interrupted {
    folder: TempDir,
    layout: Layout,
    expected: Hashes,
}

impl Interrupted {
    /// A pass over files in a folder that is called off in the third unit.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("x")).unwrap();
        for (i, length) in LENGTHS.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..length)
                .map(|at| (at * 31 + i as u64 + at / 251) as u8)
                .collect();
            std::fs::write(folder.path().join(format!("x/{i}")), bytes).unwrap();
        }
        let files = (0..2).map(|i| (vec![i.to_string()], LENGTHS[i]));
        let piece_length = PieceLength::power_of_two(64 << 10).unwrap();
        let layout = Layout::folder("x", files, Format::V1, Some(piece_length)).unwrap();
        let expected = hash(&layout, folder.path(), WANT, 2, &Progress::default()).unwrap();
        let it = Self {
            folder,
            layout,
            expected: expected.hashes,
        };
        it.interrupt();
        it
    }

    fn interrupt(&self) {
        let progress = Progress::default();
        progress.cancel_at.store(UNIT_BYTES * 2, Ordering::Relaxed);
        let ended = self.pass(WANT, &progress);
        assert!(matches!(ended, Err(PassError::Cancelled)));
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("x/1")
    }

    fn pass(&self, want: Want, progress: &Progress) -> Result<Hashed, PassError> {
        hash_resuming(
            &self.layout,
            self.folder.path(),
            want,
            1,
            progress,
            &self.journal(),
        )
    }

    /// Goes on to the end; gives how many bytes were not read again.
    fn go_on(&self) -> u64 {
        let progress = Progress::default();
        let hashed = self.pass(WANT, &progress).unwrap();
        assert_eq!(hashed.hashes, self.expected);
        assert_eq!(progress.bytes(), TOTAL);
        assert!(!self.journal().exists(), "nothing is left to go on with");
        progress.resumed()
    }
}

#[test]
fn what_was_finished_is_not_read_again() {
    let it = Interrupted::new();
    assert_eq!(it.go_on(), UNIT_BYTES * 2);
    assert_eq!(it.go_on(), 0, "and a new pass begins at the start");
}

#[test]
fn a_journal_counts_up_to_where_it_is_right() {
    let it = Interrupted::new();
    let whole = std::fs::read(it.journal()).unwrap();
    // Its number, four pieces, sixteen leaves, and the checksum.
    let record = 8 + 4 * 20 + 16 * 32 + 32;
    let damaged = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cases = [
        (
            "cut off in the second record",
            whole[..whole.len() - 1].to_vec(),
            1,
        ),
        ("cut off in the first record", whole[..60].to_vec(), 0),
        ("cut off in the header", whole[..20].to_vec(), 0),
        ("empty", Vec::new(), 0),
        ("zeros behind it", [&whole[..], &[0; 900]].concat(), 2),
        (
            "a record twice",
            [&whole[..], &whole[48..48 + record]].concat(),
            2,
        ),
        (
            "a wrong hash in the second record",
            damaged(whole.len() - 40),
            1,
        ),
        ("a wrong checksum in the first", damaged(47 + record), 0),
        ("a unit that is not there", damaged(48), 0),
        ("a header of something else", damaged(0), 0),
        ("a key of something else", damaged(16), 0),
        ("something else", vec![b'x'; 5000], 0),
    ];
    for (what, bytes, units) in cases {
        std::fs::write(it.journal(), bytes).unwrap();
        assert_eq!(it.go_on(), UNIT_BYTES * units, "{what}");
    }
    // What goes on from a damaged one is whole again.
    std::fs::write(it.journal(), &whole[..whole.len() - 1]).unwrap();
    it.interrupt();
    assert_eq!(std::fs::read(it.journal()).unwrap(), whole);
}

#[test]
fn a_journal_of_other_files_or_hashes_does_not_count() {
    let it = Interrupted::new();
    let whole = std::fs::read(it.journal()).unwrap();
    let progress = Progress::default();
    let pieces = Want {
        roots: false,
        ..WANT
    };
    it.pass(pieces, &progress).unwrap();
    assert_eq!(progress.resumed(), 0);
    std::fs::write(it.journal(), &whole).unwrap();
    let file = File::options().write(true).open(it.file()).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(it.go_on(), 0);
}

#[cfg(unix)]
#[test]
fn another_link_to_a_file_changes_nothing() {
    let it = Interrupted::new();
    std::fs::hard_link(it.file(), it.folder.path().join("linked")).unwrap();
    assert_eq!(it.go_on(), UNIT_BYTES * 2);
}

#[test]
fn a_journal_that_can_not_be_written_is_done_without() {
    let it = Interrupted::new();
    let nowhere = it.folder.path().join("gone/journal");
    let progress = Progress::default();
    let hashed = hash_resuming(&it.layout, it.folder.path(), WANT, 1, &progress, &nowhere);
    assert_eq!(hashed.unwrap().hashes, it.expected);
    assert_eq!((progress.bytes(), progress.resumed()), (TOTAL, 0));
}
