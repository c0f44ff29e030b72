//! Hashing one torrent's files behind other work, a few pieces at a time. Blocking; whoever calls it paces it.

use super::listed::{Listed, Look, Signature};
use super::read_torrent;
use std::sync::Arc;
use store::{PassError, PieceCheck};

/// A torrent whose files are being hashed.
#[derive(Debug)]
pub struct Inspection {
    /// Which.
    pub listed: Arc<Listed>,
    /// The next piece.
    pub next: u32,
    first: u32,
    check: Option<PieceCheck>,
    start: Signature,
}

/// How an inspection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every byte looked at is the torrent's.
    Right {
        /// What the files were, before and after.
        seen: Signature,
        /// Whether every piece was looked at.
        whole: bool,
    },
    /// Something is not.
    Wrong {
        /// What.
        why: String,
        /// What the files were.
        seen: Signature,
        /// Found by reading; otherwise by `stat` alone.
        read: bool,
    },
    /// Somebody wrote while it was read.
    Unsettled(String),
}

impl Inspection {
    /// Begins with a piece.
    pub fn new(listed: Arc<Listed>, first: u32) -> Self {
        Self {
            listed,
            next: first,
            first,
            check: None,
            start: Signature::new(),
        }
    }

    /// Hashes about this many bytes, one piece at least. Returns how many it were and, at the end, the outcome.
    /// Blocking.
    pub fn advance(&mut self, bytes: u64) -> (u64, Option<Outcome>) {
        let mut check = match self.check.take() {
            Some(check) => check,
            None => match self.begin() {
                Ok(check) => check,
                Err(outcome) => return (0, Some(outcome)),
            },
        };
        let geometry = check.info().geometry();
        let mut read = 0;
        while let Some(piece) = geometry.piece(self.next) {
            if read >= bytes.max(1) {
                self.check = Some(check);
                return (read, None);
            }
            match check.is_right(piece) {
                Ok(true) => {
                    self.next += 1;
                    read += u64::from(geometry.piece_len(piece));
                }
                Ok(false) => {
                    let paths = check.paths_of(piece);
                    let names: Vec<_> = paths
                        .iter()
                        .map(|path| path.display().to_string())
                        .collect();
                    let why = format!("piece {} of {} is wrong", self.next, names.join(", "));
                    return (read, Some(self.wrong(why)));
                }
                Err(error @ PassError::Changed(_)) => {
                    return (read, Some(Outcome::Unsettled(error.to_string())));
                }
                Err(error) => return (read, Some(self.wrong(error.to_string()))),
            }
        }
        (read, Some(self.end()))
    }

    fn begin(&mut self) -> Result<PieceCheck, Outcome> {
        self.start = self.listed.signature();
        if let Look::Missing(why) = self.listed.compare(&self.start) {
            let seen = self.start.clone();
            return Err(Outcome::Wrong {
                why,
                seen,
                read: false,
            });
        }
        let torrent = read_torrent(&self.listed.torrent_path());
        let torrent = torrent.map_err(|error| self.wrong(error.to_string()))?;
        let found = torrent.info.id();
        if found != self.listed.id {
            let path = self.listed.torrent_path();
            return Err(self.wrong(format!("{} has the id {found}", path.display())));
        }
        // It may be another, shorter one since the last time.
        self.next = self.next.min(torrent.info.geometry().n_pieces());
        Ok(PieceCheck::new(torrent, &self.listed.data_path()))
    }

    fn wrong(&self, why: String) -> Outcome {
        let seen = self.start.clone();
        Outcome::Wrong {
            why,
            seen,
            read: true,
        }
    }

    fn end(&self) -> Outcome {
        let seen = self.listed.signature();
        let same = seen.iter().zip(&self.start).all(|(now, start)| {
            matches!((now, start), (Some(now), Some(start)) if start.same_content(now))
        });
        if same {
            let whole = self.first == 0;
            Outcome::Right { seen, whole }
        } else {
            Outcome::Unsettled("its files changed while they were read".to_owned())
        }
    }
}
