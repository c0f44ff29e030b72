//! Transport packets (ISO/IEC 13818-1, 2.4.3), the tables that name streams, and headers of packetized elementary
//! streams.

use crate::model::ProbeError;
use crate::streams::window::Window;

const SYNC: u8 = 0x47;
const PACKET: usize = 188;

/// How packets follow each other: every 188 bytes, or every 192 with a time stamp of four bytes in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes from packet to packet.
    pub(crate) step: u64,
    /// Bytes in front of each packet's own.
    skip: u64,
}

impl Layout {
    /// Finds the layout by the first packets' sync bytes: at least two, as many as there are up to eight.
    pub(crate) fn find(window: &mut Window<'_>) -> Result<Option<Self>, ProbeError> {
        const LOOKED_AT: u64 = 8;
        let length = window.length();
        for (step, skip) in [(188, 0), (192, 4)] {
            let count = (length / step).min(LOOKED_AT);
            let mut all = count >= 2;
            for index in 0..count {
                all = all && window.get(index * step + skip, 1)? == [SYNC];
            }
            if all {
                return Ok(Some(Self { step, skip }));
            }
        }
        Ok(None)
    }

    /// Where the step that this byte lies in begins.
    pub(crate) fn packet_of(&self, at: u64) -> u64 {
        at - at % self.step
    }
}

/// A packet's header, and where its payload lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) pid: u16,
    /// Whether a table or an elementary stream's packet begins here.
    pub(crate) begins: bool,
    pub(crate) scrambled: bool,
    pub(crate) data: u64,
    pub(crate) size: usize,
}

/// The packet at this place, which is one that [`Layout::packet_of`] gives; `None` where the source ends or no
/// packet is.
pub(crate) fn packet(
    window: &mut Window<'_>,
    layout: Layout,
    at: u64,
) -> Result<Option<Packet>, ProbeError> {
    let at = at + layout.skip;
    let bytes = window.get(at, PACKET)?;
    let &[SYNC, second, third, fourth, fifth, ..] = bytes else {
        return Ok(None);
    };
    if bytes.len() < PACKET {
        return Ok(None);
    }
    let adaptation = match fourth >> 4 & 3 {
        1 => 0,
        3 => 1 + usize::from(fifth),
        // No payload.
        _ => PACKET,
    };
    let from = (4 + adaptation).min(PACKET);
    Ok(Some(Packet {
        pid: u16::from(second & 0x1f) << 8 | u16::from(third),
        begins: second & 0x40 != 0,
        scrambled: fourth >> 6 != 0,
        data: at + from as u64,
        size: PACKET - from,
    }))
}

/// A stream of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) pid: u16,
    /// `stream_type`.
    pub(crate) kind: u8,
    /// Descriptors, as they stand.
    pub(crate) descriptors: Vec<u8>,
}

/// The streams of the first program that has any, looked for in the first packets.
pub(crate) fn streams(window: &mut Window<'_>, layout: Layout) -> Result<Vec<Stream>, ProbeError> {
    /// Tables are sent twice a second: 4 MiB hold them at any rate that is used.
    const LOOKED_AT: u64 = 4 << 20;
    let mut programs: Vec<u16> = Vec::new();
    let mut table: Vec<u8> = Vec::new();
    let mut assembled = None;
    let mut at = 0;
    while at < LOOKED_AT {
        let Some(packet) = packet(window, layout, at)? else {
            break;
        };
        at += layout.step;
        let wanted = packet.pid == 0 || programs.contains(&packet.pid);
        if !wanted || packet.scrambled {
            continue;
        }
        let payload = window.get(packet.data, packet.size)?;
        if packet.begins {
            let Some((pointer, rest)) = payload.split_first() else {
                continue;
            };
            let section = rest.get(usize::from(*pointer)..).unwrap_or_default();
            table = section.to_vec();
            assembled = Some(packet.pid);
        } else if assembled == Some(packet.pid) && table.len() < 4096 {
            table.extend(payload);
        } else {
            continue;
        }
        let Some(section) = section(&table) else {
            continue;
        };
        match section.first() {
            Some(0) if packet.pid == 0 && programs.is_empty() => {
                let body = section.get(8..).unwrap_or_default();
                programs = body
                    .chunks_exact(4)
                    .filter(|entry| entry[..2] != [0, 0])
                    .map(|entry| pid(entry[2], entry[3]))
                    .collect();
            }
            Some(2) if packet.pid != 0 => {
                let streams = program(section);
                if !streams.is_empty() {
                    return Ok(streams);
                }
            }
            _ => {}
        }
        assembled = None;
    }
    Ok(Vec::new())
}

fn pid(high: u8, low: u8) -> u16 {
    u16::from(high & 0x1f) << 8 | u16::from(low)
}

/// A section without its checksum, once all of it is there.
fn section(table: &[u8]) -> Option<&[u8]> {
    let &[_, high, low, ..] = table else {
        return None;
    };
    let length = usize::from(high & 0xf) << 8 | usize::from(low);
    table
        .get(..(3 + length).checked_sub(4)?)
        .filter(|_| table.len() >= 3 + length)
}

fn program(section: &[u8]) -> Vec<Stream> {
    let length = |at: usize| {
        let field = section.get(at..at + 2)?;
        Some(usize::from(field[0] & 0xf) << 8 | usize::from(field[1]))
    };
    let mut streams = Vec::new();
    let Some(mut at) = length(10).map(|skip| 12 + skip) else {
        return streams;
    };
    while let (Some(&[kind, high, low, ..]), Some(size)) = (section.get(at..), length(at + 3)) {
        let descriptors = section.get(at + 5..at + 5 + size).unwrap_or_default();
        streams.push(Stream {
            pid: pid(high, low),
            kind,
            descriptors: descriptors.to_vec(),
        });
        at += 5 + size;
    }
    streams
}

/// The header of a packetized elementary stream's packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PesHeader {
    /// Bytes of the header.
    pub(crate) length: usize,
    /// When the first picture or frame that begins here is shown and decoded, in ticks of 90 kHz, 33 bits of them.
    pub(crate) pts: Option<u64>,
    pub(crate) dts: Option<u64>,
}

impl PesHeader {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[0, 0, 1, _, _, _, _, flags, length, ..] = bytes else {
            return None;
        };
        let time = |at: usize| {
            let &[a, b, c, d, e, ..] = bytes.get(at..)? else {
                return None;
            };
            let wide = u64::from;
            Some(
                (wide(a) >> 1 & 7) << 30
                    | wide(b) << 22
                    | (wide(c) >> 1) << 15
                    | wide(d) << 7
                    | wide(e) >> 1,
            )
        };
        let pts = (flags & 0x80 != 0).then(|| time(9)).flatten();
        let dts = (flags & 0xc0 == 0xc0).then(|| time(14)).flatten();
        Some(Self {
            length: 9 + usize::from(length),
            pts,
            dts: dts.or(pts),
        })
    }
}

/// Time stamps have 33 bits and begin anew every 26 hours: the reading that is nearest to the one before.
pub(crate) fn unwrap_time(time: u64, before: Option<i64>) -> i64 {
    const TURN: i64 = 1 << 33;
    let time = (time & (TURN as u64 - 1)) as i64;
    let Some(near) = before else { return time };
    let turns = (near - time + TURN / 2).div_euclid(TURN);
    time + turns * TURN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_on_when_they_begin_anew() {
        const TURN: i64 = 1 << 33;
        assert_eq!(unwrap_time(5, None), 5);
        assert_eq!(unwrap_time((TURN - 10) as u64, None), TURN - 10);
        assert_eq!(unwrap_time(10, Some(TURN - 10)), TURN + 10);
        assert_eq!(unwrap_time((TURN - 10) as u64, Some(TURN + 5)), TURN - 10);
        assert_eq!(unwrap_time(7, Some(3 * TURN)), 3 * TURN + 7);
    }

    #[test]
    fn headers_tell_both_times() {
        // As ffmpeg writes them: shown at 133,200, decoded at 126,000.
        let bytes = [
            0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10, 0x31, 0, 0x09, 0x10, 0xa1, 0x11, 0, 0x07, 0xd8,
            0x61,
        ];
        let header = PesHeader::parse(&bytes).unwrap();
        assert_eq!(
            (header.length, header.pts, header.dts),
            (19, Some(133_200), Some(126_000))
        );
        assert_eq!(PesHeader::parse(&bytes[..8]), None);
    }
}
