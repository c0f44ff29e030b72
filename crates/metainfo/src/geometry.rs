//! All piece, block and file arithmetic of the project. Nothing else multiplies a piece index or
//! compares a block with the end of a piece; a [`Block`] or [`PieceIndex`] that exists is in range.

use crate::ids::PieceIndex;
use std::ops::Range;

/// The unit of request between peers, and a leaf of a merkle tree: 16 KiB (BEP 3, BEP 52).
pub const BLOCK_LENGTH: u32 = 16 * 1024;

/// The longest piece taken from a foreign torrent. Longer ones exist in no client's defaults.
pub const MAX_PIECE_LENGTH: u32 = 256 * 1024 * 1024;

/// The length of every piece but the last, in bytes: 1 to [`MAX_PIECE_LENGTH`]. What we make is a
/// power of two of at least 16 KiB; foreign v1 torrents need not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceLength(u32);

/// A piece length that no torrent, or no v2 torrent, may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPieceLength {
    /// Zero, negative or beyond [`MAX_PIECE_LENGTH`].
    #[error("piece length {0} is not between 1 and {MAX_PIECE_LENGTH}")]
    OutOfRange(i64),
    /// BEP 52 asks for a power of two of at least 16 KiB, and so do we of what we make.
    #[error("piece length {0} is not a power of two of at least {BLOCK_LENGTH}")]
    NotPowerOfTwo(u32),
}

impl PieceLength {
    /// Takes any length a v1 torrent may have.
    pub fn new(bytes: i64) -> Result<Self, BadPieceLength> {
        match u32::try_from(bytes) {
            Ok(length @ 1..=MAX_PIECE_LENGTH) => Ok(Self(length)),
            _ => Err(BadPieceLength::OutOfRange(bytes)),
        }
    }

    /// Takes a power of two of at least 16 KiB: what we make, and what BEP 52 demands.
    pub fn power_of_two(bytes: i64) -> Result<Self, BadPieceLength> {
        let length = Self::new(bytes)?;
        if length.is_power_of_two() {
            Ok(length)
        } else {
            Err(BadPieceLength::NotPowerOfTwo(length.0))
        }
    }

    /// The length for a payload of this many bytes: 256 KiB up to 256 MiB, 512 KiB to 1 GiB, 1 MiB to
    /// 4 GiB, then doubling, at most 16 MiB. Small pieces start playing and pass on sooner.
    pub fn for_payload(bytes: u64) -> Self {
        const KIB: u32 = 1024;
        const MIB: u64 = 1024 * 1024;
        if bytes <= 256 * MIB {
            return Self(256 * KIB);
        }
        if bytes <= 1024 * MIB {
            return Self(512 * KIB);
        }
        let mut length = 1024 * KIB;
        let mut holds = 4 * 1024 * MIB;
        while bytes > holds && length < 16 * 1024 * KIB {
            length *= 2;
            holds *= 2;
        }
        Self(length)
    }

    /// The length in bytes.
    pub fn get(self) -> u32 {
        self.0
    }

    /// Whether BEP 52 allows it.
    pub fn is_power_of_two(self) -> bool {
        self.0.is_power_of_two() && self.0 >= BLOCK_LENGTH
    }
}

/// A request as a peer wrote it: three unchecked numbers (BEP 3 `request`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RawRequest {
    /// Piece index.
    pub piece: u32,
    /// Offset within the piece, in bytes.
    pub begin: u32,
    /// Length in bytes.
    pub length: u32,
}

/// Why a peer's request names no block of the torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// There is no such piece.
    #[error("piece {piece} of {pieces}")]
    NoSuchPiece {
        /// The piece asked for.
        piece: u32,
        /// How many there are.
        pieces: u32,
    },
    /// The range is empty or leaves the piece.
    #[error("bytes {begin}+{length} of a piece of {piece_length}")]
    OutsidePiece {
        /// Offset asked for.
        begin: u32,
        /// Length asked for.
        length: u32,
        /// The length of that piece.
        piece_length: u32,
    },
    /// Longer than a peer may ask for at once.
    #[error("{length} bytes asked at once, at most {max}")]
    TooLong {
        /// Length asked for.
        length: u32,
        /// The longest that is served.
        max: u32,
    },
}

/// A range of one piece that lies inside it: at most [`Block::MAX_LENGTH`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    piece: PieceIndex,
    begin: u32,
    length: u32,
}

impl Block {
    /// The longest range that is served at once. Peers ask for 16 KiB; some old ones ask for more,
    /// and 128 KiB is where every client draws the line.
    pub const MAX_LENGTH: u32 = 128 * 1024;

    /// The piece it lies in.
    pub fn piece(self) -> PieceIndex {
        self.piece
    }

    /// Offset within the piece, in bytes.
    pub fn begin(self) -> u32 {
        self.begin
    }

    /// Length in bytes.
    pub fn length(self) -> u32 {
        self.length
    }

    /// The same as plain numbers, for the wire.
    pub fn raw(self) -> RawRequest {
        RawRequest {
            piece: self.piece.0,
            begin: self.begin,
            length: self.length,
        }
    }
}

/// How a torrent's bytes fall into pieces. The bytes of all files, pads included, in order, form one
/// space that starts at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    piece_length: PieceLength,
    total_length: u64,
}

/// A payload of more pieces than an index can count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{total_length} bytes are too many for pieces of {piece_length}")]
pub struct TooManyPieces {
    total_length: u64,
    piece_length: u32,
}

impl Geometry {
    /// A payload of `total_length` bytes, pads included, in pieces of `piece_length`.
    pub fn new(piece_length: PieceLength, total_length: u64) -> Result<Self, TooManyPieces> {
        let pieces = total_length.div_ceil(u64::from(piece_length.0));
        if pieces > u64::from(i32::MAX as u32) {
            return Err(TooManyPieces {
                total_length,
                piece_length: piece_length.0,
            });
        }
        Ok(Self {
            piece_length,
            total_length,
        })
    }

    /// The length of every piece but the last.
    pub fn piece_length(&self) -> PieceLength {
        self.piece_length
    }

    /// All bytes, pads included.
    pub fn total_length(&self) -> u64 {
        self.total_length
    }

    /// How many pieces there are.
    pub fn n_pieces(&self) -> u32 {
        self.total_length.div_ceil(u64::from(self.piece_length.0)) as u32
    }

    /// Checks a raw index.
    pub fn piece(&self, index: u32) -> Option<PieceIndex> {
        (index < self.n_pieces()).then_some(PieceIndex(index))
    }

    /// All pieces in order.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = PieceIndex> + use<> {
        (0..self.n_pieces() as usize).map(|index| PieceIndex(index as u32))
    }

    /// Where a piece lies in the payload.
    pub fn piece_range(&self, piece: PieceIndex) -> Range<u64> {
        let start = u64::from(piece.0) * u64::from(self.piece_length.0);
        start
            ..self
                .total_length
                .min(start + u64::from(self.piece_length.0))
    }

    /// The length of this piece: the last may be shorter.
    pub fn piece_len(&self, piece: PieceIndex) -> u32 {
        let range = self.piece_range(piece);
        (range.end - range.start) as u32
    }

    /// Checks a peer's request: the only way to a [`Block`].
    pub fn block(&self, raw: RawRequest) -> Result<Block, BadRequest> {
        let piece = self.piece(raw.piece).ok_or(BadRequest::NoSuchPiece {
            piece: raw.piece,
            pieces: self.n_pieces(),
        })?;
        if raw.length > Block::MAX_LENGTH {
            return Err(BadRequest::TooLong {
                length: raw.length,
                max: Block::MAX_LENGTH,
            });
        }
        let piece_length = self.piece_len(piece);
        let inside = raw
            .begin
            .checked_add(raw.length)
            .is_some_and(|end| end <= piece_length);
        if raw.length == 0 || !inside {
            return Err(BadRequest::OutsidePiece {
                begin: raw.begin,
                length: raw.length,
                piece_length,
            });
        }
        Ok(Block {
            piece,
            begin: raw.begin,
            length: raw.length,
        })
    }

    /// The 16 KiB blocks of a piece in order; the last may be shorter.
    pub fn blocks(&self, piece: PieceIndex) -> impl Iterator<Item = Block> + use<> {
        let piece_length = self.piece_len(piece);
        (0..piece_length.div_ceil(BLOCK_LENGTH)).map(move |i| {
            let begin = i * BLOCK_LENGTH;
            Block {
                piece,
                begin,
                length: BLOCK_LENGTH.min(piece_length - begin),
            }
        })
    }

    /// Where a block lies in the payload.
    pub fn block_range(&self, block: Block) -> Range<u64> {
        let start =
            u64::from(block.piece.0) * u64::from(self.piece_length.0) + u64::from(block.begin);
        start..start + u64::from(block.length)
    }

    /// The pieces that hold any byte of a range of the payload, clipped to its end.
    pub fn pieces_of(&self, range: Range<u64>) -> Range<u32> {
        let end = range.end.min(self.total_length);
        if range.start >= end {
            return 0..0;
        }
        let length = u64::from(self.piece_length.0);
        (range.start / length) as u32..end.div_ceil(length) as u32
    }
}

/// The part of one file that a range of the payload covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpan {
    /// Index of the file in the torrent's list.
    pub file: usize,
    /// First byte within the file.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

/// Where each file of a torrent starts in the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMap {
    /// Start of each file, then the total: never empty.
    starts: Vec<u64>,
}

impl FileMap {
    /// Lays files of these lengths one behind the other. `None` where the sum overflows.
    pub fn new(lengths: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut starts = vec![0u64];
        let mut total = 0u64;
        for length in lengths {
            total = total.checked_add(length)?;
            starts.push(total);
        }
        Some(Self { starts })
    }

    /// All bytes of all files.
    pub fn total_length(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Where a file lies in the payload. Panics where there is no such file.
    pub fn file_range(&self, file: usize) -> Range<u64> {
        self.starts[file]..self.starts[file + 1]
    }

    /// The files under a range of the payload, in order; empty files never appear.
    pub fn spans(&self, range: Range<u64>) -> impl Iterator<Item = FileSpan> + '_ {
        let end = range.end.min(self.total_length());
        let first = self
            .starts
            .partition_point(|start| *start <= range.start)
            .saturating_sub(1);
        (first..self.starts.len() - 1)
            .take_while(move |file| self.starts[*file] < end)
            .filter_map(move |file| {
                let from = range.start.max(self.starts[file]);
                let to = end.min(self.starts[file + 1]);
                (from < to).then(|| FileSpan {
                    file,
                    offset: from - self.starts[file],
                    length: to - from,
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn piece_lengths_follow_the_payload() {
        for (payload, expected) in [
            (0, 256 * 1024),
            (256 * MIB, 256 * 1024),
            (256 * MIB + 1, 512 * 1024),
            (1024 * MIB, 512 * 1024),
            (1024 * MIB + 1, MIB),
            (4096 * MIB, MIB),
            (4096 * MIB + 1, 2 * MIB),
            (8192 * MIB, 2 * MIB),
            (8192 * MIB + 1, 4 * MIB),
            (u64::MAX, 16 * MIB),
        ] {
            assert_eq!(
                u64::from(PieceLength::for_payload(payload).get()),
                expected,
                "{payload}"
            );
        }
    }

    #[test]
    fn requests_outside_the_torrent_are_refused() {
        let geometry = Geometry::new(PieceLength::new(32768).unwrap(), 32768 + 100).unwrap();
        let check = |piece, begin, length| {
            geometry.block(RawRequest {
                piece,
                begin,
                length,
            })
        };
        assert!(check(0, 0, 16384).is_ok());
        assert!(check(0, 16384, 16384).is_ok());
        assert!(check(1, 0, 100).is_ok());
        assert!(check(0, 7, 32761).is_ok());
        assert!(matches!(
            check(2, 0, 1),
            Err(BadRequest::NoSuchPiece { .. })
        ));
        assert!(matches!(
            check(u32::MAX, 0, 1),
            Err(BadRequest::NoSuchPiece { .. })
        ));
        assert!(matches!(
            check(1, 0, 101),
            Err(BadRequest::OutsidePiece { .. })
        ));
        assert!(matches!(
            check(0, 0, 0),
            Err(BadRequest::OutsidePiece { .. })
        ));
        assert!(matches!(
            check(0, u32::MAX, 1),
            Err(BadRequest::OutsidePiece { .. })
        ));
        assert!(matches!(
            check(0, u32::MAX, 16384),
            Err(BadRequest::OutsidePiece { .. })
        ));
        assert!(matches!(
            check(0, 0, Block::MAX_LENGTH + 1),
            Err(BadRequest::TooLong { .. })
        ));
    }

    proptest! {
        #[test]
        fn blocks_tile_pieces_and_pieces_tile_the_payload(
            piece_length in 1i64..200_000, total in 0u64..3_000_000
        ) {
            let geometry = Geometry::new(PieceLength::new(piece_length).unwrap(), total).unwrap();
            let mut at = 0;
            for piece in geometry.pieces() {
                prop_assert_eq!(geometry.piece_range(piece).start, at);
                for block in geometry.blocks(piece) {
                    let range = geometry.block_range(block);
                    prop_assert_eq!(range.start, at);
                    prop_assert_eq!(geometry.block(block.raw()), Ok(block));
                    at = range.end;
                }
                prop_assert_eq!(geometry.piece_range(piece).end, at);
            }
            prop_assert_eq!(at, total);
        }

        #[test]
        fn spans_tile_any_range(
            lengths in proptest::collection::vec(0u64..50, 0..12), a in 0u64..700, b in 0u64..700
        ) {
            let map = FileMap::new(lengths.iter().copied()).unwrap();
            let range = a.min(b)..a.max(b);
            let mut at = range.start;
            for span in map.spans(range.clone()) {
                prop_assert!(span.length > 0);
                prop_assert_eq!(map.file_range(span.file).start + span.offset, at);
                prop_assert!(span.offset + span.length <= lengths[span.file]);
                at += span.length;
            }
            prop_assert_eq!(at, range.end.min(map.total_length()).max(range.start));
        }
    }
}
