//! What a pass has hashed so far, on disk, so that a kill in the middle of a large payload costs only what
//! was under way.
//!
//! A header says whose journal it is; then a record a unit, in the order in which they were finished. Each
//! carries a checksum over its content and the header: a record that was cut off, or that belongs to other
//! files, ends the journal. It is a help and never a must: one that can't be read or written is done without.

use super::{Found, LEAF, Want, unit::Unit, unit::leaves_in, unit::pieces_in};
use metainfo::state::StatRecord;
use metainfo::{Layout, MerkleHash, PieceHash};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 16] = *b"groundswell/hash";

/// A journal that is open for more records.
pub(super) struct Journal {
    path: PathBuf,
    /// `None` once a record could not be written.
    file: Option<File>,
    key: [u8; 32],
}

impl Journal {
    /// Opens the journal at this path and reads what it knows of these units. One of other files, or of
    /// none, is begun anew.
    pub(super) fn open(
        path: &Path,
        layout: &Layout,
        want: Want,
        stats: &[Option<StatRecord>],
        units: &[Unit],
    ) -> (Self, Vec<Found>) {
        let key = key(layout, want, stats);
        let mut found = Vec::new();
        let file = Self::read(path, layout, want, units, &key, &mut found).ok();
        let path = path.to_owned();
        (Self { path, file, key }, found)
    }

    fn read(
        path: &Path,
        layout: &Layout,
        want: Want,
        units: &[Unit],
        key: &[u8; 32],
        found: &mut Vec<Found>,
    ) -> io::Result<File> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut reader = BufReader::with_capacity(1 << 20, &file);
        let mut header = [0; 48];
        let mut end = 0;
        if reader.read_exact(&mut header).is_ok() && header[..16] == MAGIC && header[16..] == *key {
            end = header.len() as u64;
            let mut seen = vec![false; units.len()];
            while let Some((one, length)) = record(&mut reader, layout, want, units, key) {
                end += length;
                if !std::mem::replace(&mut seen[one.unit], true) {
                    found.push(one);
                }
            }
        }
        file.set_len(end)?;
        file.seek(SeekFrom::End(0))?;
        if end == 0 {
            file.write_all(&MAGIC)?;
            file.write_all(key)?;
        }
        Ok(file)
    }

    /// Adds what a unit gave.
    pub(super) fn add(&mut self, found: &Found) {
        let Some(file) = &mut self.file else {
            return;
        };
        let mut bytes = (found.unit as u64).to_be_bytes().to_vec();
        found.pieces.iter().for_each(|piece| bytes.extend(piece.0));
        found.leaves.iter().for_each(|leaf| bytes.extend(leaf.0));
        bytes.extend(checksum(&self.key, &bytes));
        // In one call: a kill leaves at most this record cut off.
        if file.write_all(&bytes).is_err() {
            self.file = None;
        }
    }

    /// Takes the journal away: everything is hashed, or nothing of it counts any more.
    pub(super) fn remove(self) {
        drop(self.file);
        let _ = std::fs::remove_file(self.path);
    }
}

/// The next record, if there is a whole and right one, and its length.
fn record(
    reader: &mut impl Read,
    layout: &Layout,
    want: Want,
    units: &[Unit],
    key: &[u8; 32],
) -> Option<(Found, u64)> {
    let mut index = [0; 8];
    reader.read_exact(&mut index).ok()?;
    let unit = units.get(usize::try_from(u64::from_be_bytes(index)).ok()?)?;
    // The layout says how long the record is, whatever stands in the file.
    let pieces = pieces_in(layout, want, &unit.range) * 20;
    let leaves = leaves_in(layout, want, &unit.range) * 32;
    let mut bytes = index.to_vec();
    bytes.resize(8 + pieces + leaves, 0);
    reader.read_exact(&mut bytes[8..]).ok()?;
    let mut sum = [0; 32];
    reader.read_exact(&mut sum).ok()?;
    if sum != checksum(key, &bytes) {
        return None;
    }
    let (pieces, leaves) = bytes[8..].split_at(pieces);
    let found = Found {
        unit: unit.index,
        pieces: pieces
            .as_chunks()
            .0
            .iter()
            .copied()
            .map(PieceHash)
            .collect(),
        leaves: leaves
            .as_chunks()
            .0
            .iter()
            .copied()
            .map(MerkleHash)
            .collect(),
    };
    Some((found, bytes.len() as u64 + 32))
}

fn checksum(key: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(key)
        .chain_update(bytes)
        .finalize()
        .into()
}

/// What the hashes depend on: the files as they are, how they are laid out, and what is made of them. The
/// change time is left out: a link to the file changes it and nothing else.
fn key(layout: &Layout, want: Want, stats: &[Option<StatRecord>]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    add(&MAGIC);
    add(&LEAF.to_be_bytes());
    add(&super::unit::UNIT_BYTES.to_be_bytes());
    add(&layout.geometry().piece_length().get().to_be_bytes());
    add(&[u8::from(want.pieces), u8::from(want.roots)]);
    for (file, stat) in layout.files().iter().zip(stats) {
        add(layout.stored_path(file).as_bytes());
        add(&file.length.to_be_bytes());
        add(&[u8::from(file.pad)]);
        if let Some(stat) = stat {
            let numbers = [stat.device, stat.inode, stat.bytes, stat.mtime_ns as u64];
            numbers.iter().for_each(|number| add(&number.to_be_bytes()));
        }
    }
    hasher.finalize().into()
}
