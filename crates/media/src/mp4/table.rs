//! Sample tables (ISO/IEC 14496-12 §8.6, §8.7), read where they lie: a table that promises four thousand million
//! samples in twenty bytes costs nothing until somebody asks for them one by one.

use super::boxes::{Kind, find};
use super::bytes::Bytes;
use crate::model::ProbeError;

/// More samples than a track of several days has; more are not looked at one by one.
pub(crate) const MOST_SAMPLES: u64 = 16 << 20;

/// One sample of a track; times in the track's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// When it is decoded.
    pub decoded: u64,
    /// From decoding to showing.
    pub composition: i32,
    /// Until the next one is decoded.
    pub duration: u32,
    /// Whether decoding can begin here.
    pub sync: bool,
}

impl Sample {
    /// When it is shown no more.
    pub(crate) fn end(&self) -> u64 {
        let end = self.shown().saturating_add(self.duration.into());
        u64::try_from(end).unwrap_or(0)
    }

    /// When it is shown.
    pub(crate) fn shown(&self) -> i64 {
        i64::try_from(self.decoded)
            .unwrap_or(i64::MAX)
            .saturating_add(self.composition.into())
    }
}

/// A track's samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'a> {
    /// `stts`: counts and durations.
    durations: &'a [[u8; 8]],
    /// `ctts`: counts and distances.
    compositions: &'a [[u8; 8]],
    /// `stss`; without it every sample is a sync sample.
    sync: Option<&'a [[u8; 4]]>,
    /// `stsc`: first chunk, samples a chunk, sample entry.
    chunk_runs: &'a [[u8; 12]],
    sizes: Sizes<'a>,
    offsets: Offsets<'a>,
    /// Uncompressed sound has a sample for every instant; a chunk of them counts as one sample here. Bytes, and
    /// how many instants have them.
    packed: Option<(u32, u32)>,
}

#[derive(Debug, Clone, Copy)]
enum Sizes<'a> {
    Same {
        size: u32,
        count: u32,
    },
    Words(&'a [[u8; 4]]),
    Halves(&'a [[u8; 2]]),
    Bytes(&'a [u8]),
    /// Two to a byte.
    Nibbles {
        bytes: &'a [u8],
        count: u64,
    },
}

#[derive(Debug, Clone, Copy)]
enum Offsets<'a> {
    Short(&'a [[u8; 4]]),
    Long(&'a [[u8; 8]]),
}

impl Offsets<'_> {
    fn get(&self, index: usize) -> Option<u64> {
        match self {
            Self::Short(table) => table.get(index).map(|row| u32::from_be_bytes(*row).into()),
            Self::Long(table) => table.get(index).map(|row| u64::from_be_bytes(*row)),
        }
    }
}

/// Neighbouring samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk {
    pub offset: u64,
    /// Number of its first sample, from 0.
    pub first: u64,
    pub count: u64,
    /// Which sample entry, from 1.
    pub entry: u32,
}

/// The rows of a table behind version, flags and a count; no more than there are bytes for.
fn rows<const N: usize>(body: Option<&[u8]>) -> &[[u8; N]] {
    let read = |body| -> Option<_> {
        let mut bytes = Bytes(body);
        bytes.version()?;
        let count = bytes.u32()? as usize;
        let (rows, _) = bytes.0.as_chunks::<N>();
        Some(&rows[..count.min(rows.len())])
    };
    body.and_then(read).unwrap_or(&[])
}

impl Sizes<'_> {
    fn count(&self) -> u64 {
        match self {
            Self::Same { count, .. } => (*count).into(),
            Self::Words(table) => table.len() as u64,
            Self::Halves(table) => table.len() as u64,
            Self::Bytes(table) => table.len() as u64,
            Self::Nibbles { count, .. } => *count,
        }
    }

    fn get(&self, index: u64) -> u64 {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        match self {
            Self::Same { size, .. } => (*size).into(),
            Self::Words(table) => table
                .get(at)
                .map_or(0, |row| u32::from_be_bytes(*row).into()),
            Self::Halves(table) => table
                .get(at)
                .map_or(0, |row| u16::from_be_bytes(*row).into()),
            Self::Bytes(table) => table.get(at).map_or(0, |row| (*row).into()),
            Self::Nibbles { bytes, .. } => {
                let pair = bytes.get(at / 2).copied().unwrap_or(0);
                u64::from(if at.is_multiple_of(2) {
                    pair >> 4
                } else {
                    pair & 15
                })
            }
        }
    }
}

impl<'a> Table<'a> {
    /// Reads the body of `stbl`. What is missing counts as empty.
    pub(crate) fn read(body: &'a [u8], packed: Option<(u32, u32)>) -> Self {
        let table = |kind: &Kind| find(body, kind);
        let offsets = match table(b"co64") {
            Some(long) => Offsets::Long(rows(Some(long))),
            None => Offsets::Short(rows(table(b"stco"))),
        };
        Self {
            durations: rows(table(b"stts")),
            compositions: rows(table(b"ctts")),
            sync: table(b"stss").map(|body| rows(Some(body))),
            chunk_runs: rows(table(b"stsc")),
            sizes: sizes(body).unwrap_or(Sizes::Words(&[])),
            offsets,
            packed,
        }
    }

    /// How many samples it tells of.
    pub(crate) fn count(&self) -> u64 {
        self.sizes.count()
    }

    /// Samples and their time in all.
    pub(crate) fn length(&self) -> (u64, u64) {
        self.durations.iter().fold((0, 0), |(count, length), row| {
            let (run, duration) = run(row);
            (
                count + run,
                length.saturating_add(run * u64::from(duration)),
            )
        })
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = Chunk> {
        let (mut run, mut number, mut first) = (0, 0_usize, 0);
        let this = *self;
        std::iter::from_fn(move || {
            let offset = this.offsets.get(number)?;
            number += 1;
            while this
                .chunk_runs
                .get(run)
                .is_some_and(|row| chunk_run(row).0 as usize <= number)
            {
                run += 1;
            }
            let (_, count, entry) = chunk_run(this.chunk_runs.get(run.checked_sub(1)?)?);
            let count = u64::from(count).min(this.count() - first);
            let chunk = Chunk {
                offset,
                first,
                count,
                entry,
            };
            first += count;
            Some(chunk)
        })
    }

    /// Bytes of a chunk.
    pub(crate) fn chunk_size(&self, chunk: &Chunk) -> u64 {
        match (self.packed, self.sizes) {
            // Old QuickTime files tell one byte a sample, whatever a sample has.
            (Some((bytes, instants)), Sizes::Same { size: 1, .. }) => {
                chunk.count / u64::from(instants.max(1)) * u64::from(bytes)
            }
            (_, Sizes::Same { size, .. }) => chunk.count * u64::from(size),
            _ => (chunk.first..chunk.first + chunk.count)
                .map(|index| self.sizes.get(index))
                .sum(),
        }
    }

    /// Whether a chunk counts as a sample.
    fn is_packed(&self) -> bool {
        self.packed.is_some() && matches!(self.sizes, Sizes::Same { .. })
    }

    /// Every sample in decoding order.
    ///
    /// # Errors
    /// Where there are more than anybody has.
    pub(crate) fn samples(&self) -> Result<impl Iterator<Item = Sample>, ProbeError> {
        if !self.is_packed() && self.count() > MOST_SAMPLES {
            return Err(ProbeError::Malformed(format!(
                "a track has {} samples",
                self.count()
            )));
        }
        let this = *self;
        let mut durations = Runs::new(this.durations);
        let mut compositions = Runs::new(this.compositions);
        let mut sync = this.sync.map(|rows| {
            rows.iter()
                .map(|row| u64::from(u32::from_be_bytes(*row)))
                .peekable()
        });
        let mut decoded = 0_u64;
        let mut timed = move |index: u64, offset: u64, size: u64, instants: u64| {
            let duration = durations.take(instants);
            let sync = sync.as_mut().is_none_or(|sync| {
                while sync.next_if(|number| *number <= index).is_some() {}
                sync.next_if_eq(&(index + 1)).is_some()
            });
            let composition = compositions.take(1) as i32;
            let duration = u32::try_from(duration).unwrap_or(u32::MAX);
            let sample = Sample {
                offset,
                size,
                decoded,
                composition,
                duration,
                sync,
            };
            decoded = decoded.saturating_add(duration.into());
            sample
        };
        let mut chunks = self.chunks();
        // The chunk that is being read, what of it is left, and where the next of its samples begins.
        let mut open: Option<(u64, u64, u64)> = None;
        Ok(std::iter::from_fn(move || {
            loop {
                if let Some((index, left, offset)) = open.filter(|(_, left, _)| *left > 0) {
                    let size = this.sizes.get(index);
                    open = Some((index + 1, left - 1, offset.saturating_add(size)));
                    return Some(timed(index, offset, size, 1));
                }
                let chunk = chunks.next()?;
                if this.is_packed() {
                    return Some(timed(
                        chunk.first,
                        chunk.offset,
                        this.chunk_size(&chunk),
                        chunk.count,
                    ));
                }
                open = Some((chunk.first, chunk.count, chunk.offset));
            }
        }))
    }

    /// The last sample that is decoded at or before this time.
    pub(crate) fn at(&self, time: u64) -> u64 {
        let (mut index, mut decoded) = (0, 0_u64);
        for row in self.durations {
            let (run, duration) = run(row);
            let length = run * u64::from(duration);
            if duration > 0 && time.saturating_sub(decoded) < length {
                return index + time.saturating_sub(decoded) / u64::from(duration);
            }
            index += run;
            decoded = decoded.saturating_add(length);
        }
        index.saturating_sub(1)
    }

    /// The last sync sample at or before this one; the first there is where none is before it.
    pub(crate) fn sync_before(&self, index: u64) -> Option<u64> {
        let Some(sync) = self.sync else {
            return Some(index);
        };
        let numbers = sync
            .iter()
            .filter_map(|row| u64::from(u32::from_be_bytes(*row)).checked_sub(1));
        numbers
            .clone()
            .filter(|number| *number <= index)
            .max()
            .or_else(|| numbers.min())
    }

    /// One sample, by its number from 0, and its sample entry.
    pub(crate) fn sample(&self, index: u64) -> Option<(Sample, u32)> {
        let chunk = self
            .chunks()
            .find(|chunk| index < chunk.first + chunk.count)?;
        let before: u64 = (chunk.first..index)
            .map(|before| self.sizes.get(before))
            .sum();
        let (mut durations, mut compositions) =
            (Runs::new(self.durations), Runs::new(self.compositions));
        let sample = Sample {
            offset: chunk.offset.checked_add(before)?,
            size: self.sizes.get(index),
            decoded: durations.take(index),
            composition: {
                compositions.take(index);
                compositions.take(1) as i32
            },
            duration: u32::try_from(durations.take(1)).ok()?,
            sync: self.sync.is_none_or(|sync| {
                sync.iter()
                    .any(|row| u64::from(u32::from_be_bytes(*row)) == index + 1)
            }),
        };
        Some((sample, chunk.entry))
    }
}

fn sizes(body: &[u8]) -> Option<Sizes<'_>> {
    if let Some(table) = find(body, b"stsz") {
        let mut bytes = Bytes(table);
        bytes.version()?;
        let (size, count) = (bytes.u32()?, bytes.u32()?);
        if size > 0 {
            return Some(Sizes::Same { size, count });
        }
        let (rows, _) = bytes.0.as_chunks::<4>();
        return Some(Sizes::Words(&rows[..rows.len().min(count as usize)]));
    }
    let mut bytes = Bytes(find(body, b"stz2")?);
    bytes.version()?;
    let (width, count) = (bytes.u32()? & 0xff, bytes.u32()?);
    let least = |rows: usize| rows.min(count as usize);
    match width {
        16 => {
            let (rows, _) = bytes.0.as_chunks::<2>();
            Some(Sizes::Halves(&rows[..least(rows.len())]))
        }
        8 => Some(Sizes::Bytes(&bytes.0[..least(bytes.0.len())])),
        4 => Some(Sizes::Nibbles {
            bytes: bytes.0,
            count: u64::from(count).min(bytes.0.len() as u64 * 2),
        }),
        _ => None,
    }
}

/// A count, and a number that many samples share.
fn run(row: &[u8; 8]) -> (u64, u32) {
    let [count, value] =
        [0, 4].map(|at| u32::from_be_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]));
    (count.into(), value)
}

/// First chunk, samples a chunk, sample entry.
fn chunk_run(row: &[u8; 12]) -> (u32, u32, u32) {
    let [first, count, entry] =
        [0, 4, 8].map(|at| u32::from_be_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]));
    (first, count, entry)
}

/// A place in a table of runs.
struct Runs<'a> {
    rows: std::slice::Iter<'a, [u8; 8]>,
    left: u64,
    value: u32,
}

impl<'a> Runs<'a> {
    fn new(rows: &'a [[u8; 8]]) -> Self {
        Self {
            rows: rows.iter(),
            left: 0,
            value: 0,
        }
    }

    /// The sum over the next samples; wrapped to 32 bits it is a single sample's signed value too. Samples
    /// beyond the table have none.
    fn take(&mut self, mut count: u64) -> u64 {
        let mut sum = 0_u64;
        while count > 0 {
            if self.left == 0 {
                let Some(row) = self.rows.next() else {
                    return sum;
                };
                (self.left, self.value) = run(row);
                continue;
            }
            let taken = count.min(self.left);
            sum = sum.saturating_add(taken * u64::from(self.value));
            self.left -= taken;
            count -= taken;
        }
        sum
    }
}
