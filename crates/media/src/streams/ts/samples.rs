//! Samples of a transport stream's pictures and sound as MP4 holds them: one pass over all packets, and reading
//! one sample again.

use super::packets::{self, Layout, PesHeader, packet, unwrap_time};
use super::pictures::{Pictures, stays};
use super::sound::Sound;
use super::{ADTS, H264, MPEG_AUDIO};
use crate::h264;
use crate::model::ProbeError;
use crate::read::{ReadAt, RewriteError};
use crate::streams::remux::{Gathered, MOST_SAMPLES, Place, lossy};
use crate::streams::window::Window;
use std::ops::ControlFlow;

/// A picture is at most this large; what is larger is no picture.
const LARGEST_PICTURE: usize = 64 << 20;

/// Reads where all samples lie.
pub(crate) fn gather(
    source: &dyn ReadAt,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Gathered, RewriteError> {
    let mut window = Window::new(source, super::STEP);
    let layout = Layout::find(&mut window)?.ok_or(ProbeError::NotMedia)?;
    let heads = super::heads(&mut window, layout)?;
    let video = heads.iter().find(|head| head.is_video);
    let mut sounds = heads.iter().filter(|head| !head.is_video);
    let is_kept = |kind: u8| kind == ADTS || MPEG_AUDIO.contains(&kind);
    if let Some(head) = video
        && head.stream.kind != H264
    {
        return Err(lossy("its picture is not H.264"));
    }
    let first_sound = sounds.next();
    if first_sound.is_some_and(|head| !is_kept(head.stream.kind)) {
        return Err(lossy("its sound is neither AAC nor MP3"));
    }

    let mut pictures = video.map(|head| (Assembler::new(head.stream.pid), Pictures::default()));
    let mut sounds: Vec<Sound> = first_sound
        .into_iter()
        .chain(sounds.filter(|head| is_kept(head.stream.kind)))
        .map(|head| Sound::new(head.stream.pid, head.stream.kind == ADTS))
        .collect();
    let (mut at, mut now, mut steps) = (0, None, 0_usize);
    while let Some(packet) = packet(&mut window, layout, at)? {
        at += layout.step;
        steps += 1;
        if steps.is_multiple_of(65_536) && progress(0).is_break() {
            return Err(RewriteError::Stopped);
        }
        let payload = window
            .get(packet.data, packet.size)
            .map_err(ProbeError::Read)?;
        if let Some((assembler, pictures)) = &mut pictures
            && packet.pid == assembler.pid
        {
            scrambled(packet.scrambled)?;
            if let Some(unit) = assembler.push(&packet, payload, &mut now)? {
                pictures.push(&unit)?;
            }
        } else if let Some(sound) = sounds.iter_mut().find(|sound| sound.pid == packet.pid) {
            scrambled(packet.scrambled)?;
            sound.push(&packet, payload, &mut now)?;
        }
        if sounds.iter().map(|sound| sound.places.len()).sum::<usize>() > MOST_SAMPLES {
            return Err(lossy("it has too many samples"));
        }
    }
    if at < window.length() && window.length() - at >= layout.step {
        return Err(ProbeError::Malformed("something between its packets is none".into()).into());
    }

    let mut tracks = Vec::new();
    if let Some((mut assembler, mut pictures)) = pictures {
        if let Some(unit) = assembler.finish() {
            pictures.push(&unit)?;
        }
        tracks.push(pictures.track(layout, assembler.pid)?);
    }
    for (index, sound) in sounds.into_iter().enumerate() {
        // A track that is announced and never sent is not missed, unless it is the one that is heard.
        if index == 0 || !sound.places.is_empty() {
            tracks.push(sound.track(layout)?);
        }
    }
    Ok(Gathered {
        tracks,
        chapters: Vec::new(),
    })
}

fn scrambled(scrambled: bool) -> Result<(), RewriteError> {
    if scrambled {
        return Err(lossy("it is encrypted"));
    }
    Ok(())
}

/// What one packet of the packetized elementary stream holds.
pub(super) struct Unit {
    /// Where its bytes begin in the file.
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) pts: Option<i64>,
    pub(super) dts: Option<i64>,
}

/// Puts such packets together again.
pub(super) struct Assembler {
    pub(super) pid: u16,
    unit: Option<Unit>,
}

impl Assembler {
    pub(super) fn new(pid: u16) -> Self {
        Self { pid, unit: None }
    }

    /// Gives the packet before, where a new one begins. `now` is the last time that was read in the stream.
    pub(super) fn push(
        &mut self,
        packet: &packets::Packet,
        payload: &[u8],
        now: &mut Option<i64>,
    ) -> Result<Option<Unit>, RewriteError> {
        if !packet.begins {
            if let Some(unit) = &mut self.unit {
                if unit.bytes.is_empty() {
                    unit.at = packet.data;
                }
                unit.bytes.extend(payload);
                if unit.bytes.len() > LARGEST_PICTURE {
                    return Err(lossy("a picture of it has no end"));
                }
            }
            return Ok(None);
        }
        let (header, bytes) = split(payload)?;
        let mut unwrap = |time: u64| {
            let time = unwrap_time(time, *now);
            *now = Some(time);
            time
        };
        let unit = Unit {
            at: packet.data + header.length as u64,
            bytes: bytes.to_vec(),
            dts: header.dts.map(&mut unwrap),
            pts: header.pts.map(&mut unwrap),
        };
        Ok(self.unit.replace(unit))
    }

    pub(super) fn finish(&mut self) -> Option<Unit> {
        self.unit.take()
    }
}

pub(super) fn split(payload: &[u8]) -> Result<(PesHeader, &[u8]), RewriteError> {
    let header = PesHeader::parse(payload);
    let split = header.and_then(|header| Some((header, payload.get(header.length..)?)));
    split.ok_or_else(|| ProbeError::Malformed("a packet's header is damaged".into()).into())
}

/// Reads a sample that is spread over packets.
pub(crate) fn read_unit(
    window: &mut Window<'_>,
    layout: Layout,
    pid: u16,
    place: &Place,
    pictures: bool,
    buffer: &mut Vec<u8>,
) -> Result<(), RewriteError> {
    let mut bytes = Vec::with_capacity(place.raw as usize);
    let mut from = place.at;
    let mut at = layout.packet_of(from);
    while bytes.len() < place.raw as usize {
        let packet = packet(window, layout, at)?
            .ok_or_else(|| ProbeError::Truncated("it became shorter".into()))?;
        at += layout.step;
        if packet.pid != pid {
            continue;
        }
        let end = packet.data + packet.size as u64;
        if from == 0 {
            from = packet.data;
            if packet.begins {
                let payload = window
                    .get(packet.data, packet.size)
                    .map_err(ProbeError::Read)?;
                from += split(payload)?.0.length as u64;
            }
        }
        let count = usize::try_from(end.saturating_sub(from)).unwrap_or(0);
        let count = count.min(place.raw as usize - bytes.len());
        bytes.extend(window.get(from, count).map_err(ProbeError::Read)?);
        from = 0;
    }
    if !pictures {
        buffer.append(&mut bytes);
        return Ok(());
    }
    for unit in h264::annex_b_units(&bytes).filter(|unit| stays(unit)) {
        buffer.extend((unit.len() as u32).to_be_bytes());
        buffer.extend(unit);
    }
    Ok(())
}
