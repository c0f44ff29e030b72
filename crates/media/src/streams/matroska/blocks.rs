//! A pass over clusters: where each frame lies, when it is shown, whether it needs others. Frames themselves are
//! stepped over.

use super::ebml;
use super::header::{self, CLUSTER};
use crate::model::ProbeError;
use crate::streams::window::Window;
use std::ops::ControlFlow;

/// A frame in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The track's number.
    pub(crate) track: u64,
    /// When the block is shown, in ticks.
    pub(crate) time: i64,
    /// Which of the block's frames this is: only the first one's time is told.
    pub(crate) lace: u16,
    /// Where it lies in the file.
    pub(crate) at: u64,
    pub(crate) size: u32,
    pub(crate) key: bool,
    /// How long the block is shown, in ticks.
    pub(crate) duration: Option<u64>,
}

/// Where a pass over clusters ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// At the end of what was to be read.
    Whole,
    /// Where an element is larger than what is left.
    Cut,
    /// Where nothing begins that is known.
    Lost,
    /// Where the caller had enough.
    Stopped,
}

/// Hears of every frame from the cluster (or another child of the segment) at `from` to `end`.
pub(crate) fn walk(
    window: &mut Window<'_>,
    from: u64,
    end: u64,
    each: &mut dyn FnMut(&Frame) -> ControlFlow<()>,
) -> Result<End, ProbeError> {
    let limit = end.min(window.length());
    let mut at = from;
    while at < limit {
        let Some(element) = ebml::element(window, at)? else {
            return Ok(lost(limit - at));
        };
        if !header::is_top(element.id) {
            return Ok(End::Lost);
        }
        let ends = element.end(limit);
        if element.id == CLUSTER {
            match cluster(
                window,
                element.data,
                ends,
                limit,
                element.size.is_none(),
                each,
            )? {
                Walked::To(next) => at = next,
                Walked::Ended(how) => return Ok(how),
            }
            continue;
        }
        if element.size.is_none() {
            return Ok(End::Lost);
        }
        if ends > limit {
            return Ok(End::Cut);
        }
        at = ends;
    }
    // A source that is shorter than the segment says ends before its end.
    Ok(if at == limit && limit >= end {
        End::Whole
    } else {
        End::Cut
    })
}

fn lost(left: u64) -> End {
    if left < 12 { End::Cut } else { End::Lost }
}

enum Walked {
    To(u64),
    Ended(End),
}

fn cluster(
    window: &mut Window<'_>,
    from: u64,
    ends: u64,
    limit: u64,
    open: bool,
    each: &mut dyn FnMut(&Frame) -> ControlFlow<()>,
) -> Result<Walked, ProbeError> {
    let mut time = 0_i64;
    let mut at = from;
    while at < ends.min(limit) {
        let Some(element) = ebml::element(window, at)? else {
            return Ok(Walked::Ended(lost(limit - at)));
        };
        if open && header::is_top(element.id) && ![0xec, 0xbf].contains(&element.id) {
            return Ok(Walked::To(at));
        }
        let Some(size) = element.size else {
            return Ok(Walked::Ended(End::Lost));
        };
        let next = element.end(limit);
        if next > limit {
            return Ok(Walked::Ended(End::Cut));
        }
        if next > ends {
            return Ok(Walked::Ended(End::Lost));
        }
        let flow = match element.id {
            0xe7 => {
                let value = ebml::unsigned(window.get(element.data, clamp(size, 8))?);
                time = i64::try_from(value).unwrap_or(0);
                ControlFlow::Continue(())
            }
            0xa3 => block(window, element.data, size, time, None, each)?,
            0xa0 => group(window, element.data, next, time, each)?,
            _ => ControlFlow::Continue(()),
        };
        if flow.is_break() {
            return Ok(Walked::Ended(End::Stopped));
        }
        at = next;
    }
    Ok(if ends > limit {
        Walked::Ended(End::Cut)
    } else {
        Walked::To(ends)
    })
}

fn clamp(size: u64, most: usize) -> usize {
    usize::try_from(size).unwrap_or(most).min(most)
}

/// What a block group says beside its block.
struct Group {
    key: bool,
    duration: Option<u64>,
}

fn group(
    window: &mut Window<'_>,
    from: u64,
    ends: u64,
    time: i64,
    each: &mut dyn FnMut(&Frame) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ProbeError> {
    let mut told = Group {
        key: true,
        duration: None,
    };
    let mut found = None;
    let mut at = from;
    while at < ends {
        let Some(element) = ebml::element(window, at)? else {
            break;
        };
        let (Some(size), next) = (element.size, element.end(ends)) else {
            break;
        };
        if next > ends {
            break;
        }
        match element.id {
            0xa1 => found = Some((element.data, size)),
            0x9b => {
                let value = ebml::unsigned(window.get(element.data, clamp(size, 8))?);
                told.duration = Some(value);
            }
            0xfb => told.key = false,
            _ => {}
        }
        at = next;
    }
    match found {
        Some((at, size)) => block(window, at, size, time, Some(&told), each),
        None => Ok(ControlFlow::Continue(())),
    }
}

/// Sizes of laced frames lie in front of them: 255 of them, each of few bytes.
const LACE_HEADER: usize = 16 << 10;

fn block(
    window: &mut Window<'_>,
    at: u64,
    size: u64,
    cluster_time: i64,
    group: Option<&Group>,
    each: &mut dyn FnMut(&Frame) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ProbeError> {
    let Ok(size) = u32::try_from(size) else {
        return Err(ProbeError::Malformed("a block is too large".into()));
    };
    let head = window.get(at, clamp(size.into(), 12))?;
    let Some((Some(track), number_length)) = ebml::number(head) else {
        return Ok(ControlFlow::Continue(()));
    };
    let Some(&[high, low, flags]) = head.get(number_length..number_length + 3) else {
        return Ok(ControlFlow::Continue(()));
    };
    let mut header_length = number_length + 3;
    let sizes = match flags >> 1 & 3 {
        0 => vec![size - header_length as u32],
        lacing => {
            let payload = window.get(at, clamp(size.into(), LACE_HEADER))?;
            let Some((sizes, length)) = laced(
                lacing,
                &payload[header_length..],
                size as usize - header_length,
            ) else {
                return Err(ProbeError::Malformed("a block's lacing is wrong".into()));
            };
            header_length += length;
            sizes
        }
    };

    let time = i64::from(i16::from_be_bytes([high, low]));
    let mut at = at + header_length as u64;
    for (lace, size) in (0..).zip(sizes) {
        let frame = Frame {
            track,
            time: cluster_time.saturating_add(time),
            lace,
            at,
            size,
            key: group.map_or(flags & 0x80 != 0, |group| group.key),
            duration: group.and_then(|group| group.duration),
        };
        if size > 0 && each(&frame).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        at += u64::from(size);
    }
    Ok(ControlFlow::Continue(()))
}

/// Sizes of a block's frames and the length of the header that tells them (RFC 9559, 10.3). `left` bytes of the
/// block follow the block's own header; `payload` holds as many of them as matter.
fn laced(lacing: u8, payload: &[u8], left: usize) -> Option<(Vec<u32>, usize)> {
    let count = usize::from(*payload.first()?) + 1;
    let mut at = 1;
    let mut sizes: Vec<u32> = Vec::with_capacity(count);
    match lacing {
        // Xiph: each size a sum of bytes, the last of them below 255.
        1 => {
            for _ in 1..count {
                let mut size = 0_u32;
                loop {
                    let byte = *payload.get(at)?;
                    at += 1;
                    size = size.checked_add(byte.into())?;
                    if byte < 255 {
                        break;
                    }
                }
                sizes.push(size);
            }
        }
        // EBML: the first size, then differences.
        3 => {
            for index in 1..count {
                let (value, length) = ebml::number(payload.get(at..)?)?;
                at += length;
                let value = i64::try_from(value?).ok()?;
                let size = match index {
                    1 => value,
                    _ => {
                        let bias = (1_i64 << (7 * length - 1)) - 1;
                        i64::from(*sizes.last()?) + value - bias
                    }
                };
                sizes.push(u32::try_from(size).ok()?);
            }
        }
        // Fixed: all the same.
        _ => {
            let each = (left - 1) / count;
            sizes.resize(count - 1, u32::try_from(each).ok()?);
        }
    }
    let told = sizes
        .iter()
        .try_fold(at as u64, |sum, size| sum.checked_add(u64::from(*size)))?;
    let last = (left as u64).checked_sub(told)?;
    sizes.push(u32::try_from(last).ok()?);
    Some((sizes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laces_are_taken_apart() {
        let check = |lacing, payload: &[u8], left, expected: Option<(&[u32], usize)>| {
            let found = laced(lacing, payload, left);
            let found = found.as_ref().map(|(sizes, at)| (sizes.as_slice(), *at));
            assert_eq!(found, expected, "{lacing} {payload:?}");
        };
        // RFC 9559, 10.3.2 and 10.3.3: frames of 800, 500 and 1000 bytes.
        let xiph = [2, 255, 255, 255, 35, 255, 245];
        check(1, &xiph, 2307, Some((&[800, 500, 1000], 7)));
        let ebml = [2, 0x43, 0x20, 0x5e, 0xd3];
        check(3, &ebml, 2305, Some((&[800, 500, 1000], 5)));
        check(2, &[2], 2401, Some((&[800, 800, 800], 1)));
        check(1, &xiph, 1000, None);
        check(3, &[2, 0x43], 1000, None);
        check(1, &[], 0, None);
    }
}
