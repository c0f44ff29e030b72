//! Sound in a transport stream: AAC with ADTS headers and MPEG layer III.

use super::packets::{self, Layout, unwrap_time};
use super::samples::split;
use crate::mp4::entries;
use crate::mp4::write::OutKind;
use crate::read::RewriteError;
use crate::streams::mpeg_audio::{AdtsFrame, Mp3Frame};
use crate::streams::remux::{Fetch, Place, Track, lossy};
use crate::streams::timing::Counted;

/// Sound may stray this far from what the stream's times tell.
const TOLERANCE_S: f64 = 0.02;

/// Sound in frames that stand for themselves, which needn't begin where packets do.
pub(super) struct Sound {
    pub(super) pid: u16,
    adts: bool,
    /// What is not yet taken apart, where its stretches lie in the file, and what times they were given.
    bytes: Vec<u8>,
    stretches: Vec<(usize, u64)>,
    times: Vec<(usize, i64)>,
    begun: bool,
    first: Option<First>,
    counted: Option<Counted>,
    pub(super) places: Vec<Place>,
}

/// The first frame: the others must go with it.
#[derive(Clone, Copy)]
enum First {
    Adts(AdtsFrame),
    Mp3(Mp3Frame),
}

/// A frame: header, whole size, samples.
struct Found {
    kind: First,
    header: usize,
    size: usize,
    samples: u32,
}

impl Sound {
    pub(super) fn new(pid: u16, adts: bool) -> Self {
        Self {
            pid,
            adts,
            bytes: Vec::new(),
            stretches: Vec::new(),
            times: Vec::new(),
            begun: false,
            first: None,
            counted: None,
            places: Vec::new(),
        }
    }

    pub(super) fn push(
        &mut self,
        packet: &packets::Packet,
        payload: &[u8],
        now: &mut Option<i64>,
    ) -> Result<(), RewriteError> {
        let (mut at, mut bytes) = (packet.data, payload);
        if packet.begins {
            let (header, rest) = split(payload)?;
            self.begun = true;
            (at, bytes) = (at + header.length as u64, rest);
            if let Some(pts) = header.pts {
                let time = unwrap_time(pts, *now);
                *now = Some(time);
                self.times.push((self.bytes.len(), time));
            }
        }
        if !self.begun {
            return Ok(());
        }
        if !bytes.is_empty() {
            self.stretches.push((self.bytes.len(), at));
            self.bytes.extend(bytes);
        }
        self.take_frames()
    }

    fn parse(&self, bytes: &[u8]) -> Option<Found> {
        if self.adts {
            let frame = AdtsFrame::parse(bytes)?;
            Some(Found {
                kind: First::Adts(frame),
                header: frame.header as usize,
                size: frame.size as usize,
                samples: frame.blocks * 1024,
            })
        } else {
            let frame = Mp3Frame::parse(bytes)?;
            Some(Found {
                kind: First::Mp3(frame),
                header: 0,
                size: frame.size as usize,
                samples: frame.samples(),
            })
        }
    }

    fn take_frames(&mut self) -> Result<(), RewriteError> {
        let mut at = 0;
        while self.bytes.len() - at >= 8 {
            let Some(found) = self.parse(&self.bytes[at..]) else {
                // Something was lost: frames go on where the next header is.
                at += 1;
                continue;
            };
            if self.bytes.len() - at < found.size {
                break;
            }
            self.take(at, &found)?;
            at += found.size;
        }
        self.bytes.drain(..at);
        let stretch = self
            .stretches
            .partition_point(|(from, _)| *from <= at)
            .saturating_sub(1);
        self.stretches.drain(..stretch);
        for (from, place) in &mut self.stretches {
            *place += at.saturating_sub(*from) as u64;
            *from = from.saturating_sub(at);
        }
        for (from, _) in &mut self.times {
            *from = from.saturating_sub(at);
        }
        Ok(())
    }

    fn take(&mut self, at: usize, found: &Found) -> Result<(), RewriteError> {
        let fits = match (self.first.get_or_insert(found.kind), &found.kind) {
            (First::Adts(first), First::Adts(frame)) => first.fits(frame) && frame.blocks == 1,
            (First::Mp3(first), First::Mp3(frame)) => {
                first.fits(frame) && first.channels == frame.channels
            }
            _ => false,
        };
        if !fits {
            return Err(lossy("its sound changes in the middle"));
        }
        let from = at + found.header;
        let stretch = self
            .stretches
            .iter()
            .rev()
            .find(|(begin, _)| *begin <= from);
        let (begin, place) = *stretch.ok_or_else(|| lossy("its sound is damaged"))?;
        let size = (found.size - found.header) as u32;
        self.places.push(Place {
            at: place + (from - begin) as u64,
            raw: size,
            size,
            sync: true,
        });
        // The last time that was given at or before this frame is its own; earlier ones had none.
        let given = self.times.partition_point(|(begin, _)| *begin <= at);
        let time = self.times.drain(..given).next_back().map(|(_, time)| time);
        let rate = match found.kind {
            First::Adts(frame) => frame.sample_rate,
            First::Mp3(frame) => frame.sample_rate,
        };
        let counted = self
            .counted
            .get_or_insert_with(|| Counted::new(rate, TOLERANCE_S));
        counted.push(time.map(|time| time as f64 / 90_000.0), found.samples);
        Ok(())
    }

    pub(super) fn track(self, layout: Layout) -> Result<Track, RewriteError> {
        let entry = match self.first {
            Some(First::Adts(frame)) => {
                let audio = frame.audio();
                entries::mp4a(audio.channels, audio.sample_rate, &frame.configuration())
            }
            Some(First::Mp3(frame)) => entries::mp3(frame.channels, frame.sample_rate),
            None => return Err(lossy("its sound has no frame")),
        };
        let counted = self
            .counted
            .ok_or_else(|| lossy("its sound has no frame"))?;
        Ok(Track {
            kind: OutKind::Audio,
            entry,
            language: *b"und",
            places: self.places,
            timing: counted.finish()?,
            fetch: Fetch::Packets {
                layout,
                pid: self.pid,
                pictures: false,
            },
        })
    }
}
