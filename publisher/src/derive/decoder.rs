//! H.264 key frames → pictures, in a child process of our own program: a decoder is the part of a program that
//! strangers' bytes go deepest into, so it runs where it can open no file, start no process, take little memory
//! and little time, and where its end harms nothing.
//!
//! A request is a header of 12 bytes (length, matrix, range, two spare bytes, largest side wanted; big-endian) and
//! that many bytes of Annex B; the answer is width and height (big-endian) and the pixels as RGB, or 0 × 0.

use super::picture::scaled;
use super::{Cancel, DeriveError};
use image::{DynamicImage, RgbImage};
use rust_h264::decoder::{Frame, OrderedDecoder};
use rust_h264::nal::parse_annex_b;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer pictures are no honest key frames.
const MAX_REQUEST: usize = 64 << 20;
/// Level 6.2 ends at 139,264 macroblocks of 256 pixels.
const MAX_PIXELS: u64 = 139_264 * 256;
/// One frame takes a quarter of a second at 4K; a machine may be slow and busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A key frame and how to show it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    /// Byte stream with parameter sets in front.
    pub annex_b: Vec<u8>,
    /// Matrix coefficients (ITU-T H.273), where the stream names them.
    pub matrix: Option<u8>,
    /// Whether samples use all 256 values.
    pub full_range: bool,
    /// The longer side is made at most this long.
    pub side: Option<u32>,
}

/// The child, seen from the parent.
pub(super) struct Decoder {
    child: Child,
    requests: Option<SyncSender<Request>>,
    answers: Receiver<io::Result<Option<RgbImage>>>,
    talker: Option<JoinHandle<()>>,
    cancel: Cancel,
}

impl Decoder {
    /// Starts it.
    pub fn start(program: &Path, cancel: &Cancel) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg("decode-key-frame")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let (requests, wanted) = sync_channel::<Request>(0);
        let (given, answers) = sync_channel(1);
        let talker = std::thread::spawn(move || talk(stdin, stdout, &wanted, &given));
        Ok(Self {
            child,
            requests: Some(requests),
            answers,
            talker: Some(talker),
            cancel: cancel.clone(),
        })
    }

    /// Decodes one. `Ok(None)`: it can't be decoded; an `Err` other than `Stopped` means that the child is gone.
    pub fn decode(&mut self, request: Request) -> Result<Option<RgbImage>, DeriveError> {
        let gone = || DeriveError::Failed("its key frame can't be decoded".to_owned());
        let sent = self
            .requests
            .as_ref()
            .is_some_and(|to| to.send(request).is_ok());
        if !sent {
            return Err(gone());
        }
        let started = Instant::now();
        loop {
            match self.answers.recv_timeout(Duration::from_millis(50)) {
                Ok(answer) => return answer.map_err(|_| gone()),
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
                Err(RecvTimeoutError::Timeout) if self.cancel.is_cancelled() => {
                    return Err(DeriveError::Stopped);
                }
                Err(RecvTimeoutError::Timeout) if started.elapsed() > PATIENCE => {
                    let _ = self.child.kill();
                    return Err(gone());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // Nothing is lost with it; a killed child ends the talker's reads.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.requests = None;
        if let Some(talker) = self.talker.take() {
            let _ = talker.join();
        }
    }
}

fn talk(
    mut stdin: ChildStdin,
    mut stdout: ChildStdout,
    wanted: &Receiver<Request>,
    given: &SyncSender<io::Result<Option<RgbImage>>>,
) {
    for request in wanted {
        let answer = ask(&mut stdin, &request).and_then(|()| read_answer(&mut stdout));
        let is_over = answer.is_err();
        if given.send(answer).is_err() || is_over {
            return;
        }
    }
}

fn ask(to: &mut impl Write, request: &Request) -> io::Result<()> {
    let length = u32::try_from(request.annex_b.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut header = [0; 12];
    header[..4].copy_from_slice(&length.to_be_bytes());
    // 2 is the standard's word for unknown.
    header[4] = request.matrix.unwrap_or(2);
    header[5] = u8::from(request.full_range);
    header[8..].copy_from_slice(&request.side.unwrap_or(0).to_be_bytes());
    to.write_all(&header)?;
    to.write_all(&request.annex_b)?;
    to.flush()
}

fn read_answer(from: &mut impl Read) -> io::Result<Option<RgbImage>> {
    let mut header = [0; 8];
    from.read_exact(&mut header)?;
    let (width, height) = (number(&header[..4]), number(&header[4..]));
    if width == 0 || height == 0 {
        return Ok(None);
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut pixels = vec![0; width as usize * height as usize * 3];
    from.read_exact(&mut pixels)?;
    Ok(RgbImage::from_raw(width, height, pixels))
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
}

/// The child: confines itself, then answers until its standard input ends.
///
/// # Errors
/// Where a pipe breaks.
pub fn serve() -> io::Result<()> {
    confine()?;
    // What a decoder stumbles over is no news to anybody.
    std::panic::set_hook(Box::new(|_| {}));
    answer(&mut io::stdin().lock(), &mut io::stdout().lock())
}

/// Nothing may be opened, written, started or dumped from here on.
#[cfg(unix)]
fn confine() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limits = [
        (Resource::As, 1 << 30),
        (Resource::Core, 0),
        (Resource::Cpu, 120),
        (Resource::Fsize, 0),
        (Resource::Nofile, 0),
        #[cfg(target_os = "linux")]
        (Resource::Nproc, 0),
    ];
    for (resource, most) in limits {
        let most = Some(most);
        setrlimit(
            resource,
            Rlimit {
                current: most,
                maximum: most,
            },
        )?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn confine() -> io::Result<()> {
    Ok(())
}

fn answer(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    loop {
        let mut header = [0; 12];
        match from.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let length = number(&header[..4]) as usize;
        if length > MAX_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut annex_b = vec![0; length];
        from.read_exact(&mut annex_b)?;
        let side = number(&header[8..]);
        let request = Request {
            annex_b,
            matrix: Some(header[4]).filter(|matrix| *matrix != 2),
            full_range: header[5] != 0,
            side: Some(side).filter(|side| *side != 0),
        };
        let picture = std::panic::catch_unwind(|| decode(&request)).ok().flatten();
        let (width, height) = picture.as_ref().map_or((0, 0), RgbImage::dimensions);
        to.write_all(&width.to_be_bytes())?;
        to.write_all(&height.to_be_bytes())?;
        if let Some(picture) = picture {
            to.write_all(&picture)?;
        }
        to.flush()?;
    }
}

fn decode(request: &Request) -> Option<RgbImage> {
    let mut decoder = OrderedDecoder::new();
    let mut first = None;
    for nal in &parse_annex_b(&request.annex_b) {
        if let Ok(frames) = decoder.decode_nal(nal) {
            first = first.or(frames.into_iter().next());
        }
    }
    let frame = first.or_else(|| decoder.flush().into_iter().next())?;
    let picture = rgb(&frame, request.matrix, request.full_range)?;
    let longest = picture.width().max(picture.height());
    Some(match request.side {
        Some(side) if side < longest => {
            let width = scaled(picture.width(), side, longest);
            let height = scaled(picture.height(), side, longest);
            DynamicImage::ImageRgb8(picture)
                .thumbnail_exact(width, height)
                .into_rgb8()
        }
        _ => picture,
    })
}

/// Brightness and colour differences → red, green, blue, by the matrix of BT.709 or BT.601.
fn rgb(frame: &Frame, matrix: Option<u8>, full_range: bool) -> Option<RgbImage> {
    let (width, height) = (frame.width as usize, frame.height as usize);
    let pixels = u64::from(frame.width) * u64::from(frame.height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return None;
    }
    let chroma_width = frame.chroma_width() as usize;
    let chroma_height = frame.chroma_height() as usize;
    if frame.y.len() < width * height * frame.bytes_per_sample()
        || frame.u.len().min(frame.v.len())
            < chroma_width * chroma_height * frame.bytes_per_sample()
        || chroma_width == 0
        || chroma_height == 0
    {
        return None;
    }
    // Unnamed, high definition is BT.709 and the rest BT.601, as all players take it.
    let is_709 = match matrix {
        Some(5 | 6) => false,
        Some(1) => true,
        _ => height.min(width) >= 720,
    };
    let (kr, kb) = if is_709 {
        (0.2126, 0.0722)
    } else {
        (0.299, 0.114)
    };
    let (floor, luma, chroma) = if full_range {
        (0.0, 1.0, 1.0)
    } else {
        (16.0, 255.0 / 219.0, 255.0 / 224.0)
    };
    // Sixteen fractional bits.
    let fixed = |factor: f64| (factor * 65536.0).round() as i32;
    let (cy, floor) = (fixed(luma), floor as i32);
    let (cr, cb) = (
        fixed(2.0 * (1.0 - kr) * chroma),
        fixed(2.0 * (1.0 - kb) * chroma),
    );
    let kg = 1.0 - kr - kb;
    let (gr, gb) = (
        fixed(2.0 * (1.0 - kr) * kr / kg * chroma),
        fixed(2.0 * (1.0 - kb) * kb / kg * chroma),
    );
    let shift = frame.bit_depth.saturating_sub(8);
    let sample = |plane: &[u8], index: usize| i32::from(frame.sample(plane, index) >> shift);
    let tall = height.div_ceil(chroma_height);
    let mut out = Vec::with_capacity(width * height * 3);
    for row in 0..height {
        let chroma_row = (row / tall).min(chroma_height - 1) * chroma_width;
        for column in 0..width {
            let at = chroma_row + (column / 2).min(chroma_width - 1);
            let y = (sample(&frame.y, row * width + column) - floor) * cy + 32768;
            let (u, v) = (sample(&frame.u, at) - 128, sample(&frame.v, at) - 128);
            for value in [y + cr * v, y - gr * v - gb * u, y + cb * u] {
                // Clamped to a byte.
                out.push((value >> 16).clamp(0, 255) as u8);
            }
        }
    }
    RgbImage::from_raw(frame.width, frame.height, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTERS: &[u8] = include_bytes!("files/quarters.h264");

    fn request(annex_b: &[u8], side: Option<u32>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let request = Request {
            annex_b: annex_b.to_vec(),
            matrix: None,
            full_range: false,
            side,
        };
        ask(&mut bytes, &request).unwrap();
        bytes
    }

    fn answers(requests: &[u8], count: usize) -> Vec<Option<RgbImage>> {
        let mut bytes = Vec::new();
        answer(&mut &*requests, &mut bytes).unwrap();
        let mut bytes = &*bytes;
        let answers = (0..count)
            .map(|_| read_answer(&mut bytes).unwrap())
            .collect();
        assert!(bytes.is_empty());
        answers
    }

    #[test]
    fn colours_come_out_as_they_went_in() {
        let requests = [request(QUARTERS, None), request(QUARTERS, Some(32))].concat();
        let pictures: Vec<RgbImage> = answers(&requests, 2).into_iter().flatten().collect();
        assert_eq!(pictures[0].dimensions(), (64, 48));
        assert_eq!(pictures[1].dimensions(), (32, 24));
        for picture in &pictures {
            let (width, height) = picture.dimensions();
            for (x, y, expected) in [
                (1, 1, [255, 0, 0]),
                (3, 1, [0, 255, 0]),
                (1, 3, [0, 0, 255]),
                (3, 3, [255, 255, 255]),
            ] {
                let pixel = picture.get_pixel(width * x / 4, height * y / 4).0;
                let is_near = pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 8);
                assert!(is_near, "{pixel:?} for {expected:?}");
            }
        }
    }

    #[test]
    fn what_is_no_picture_gives_none_and_the_next_one_comes() {
        let mut damaged = QUARTERS.to_vec();
        damaged.truncate(QUARTERS.len() / 3);
        let requests = [
            request(b"", None),
            request(b"no stream at all", None),
            request(&damaged[..20], None),
            request(QUARTERS, None),
        ];
        let answers = answers(&requests.concat(), 4);
        assert!(answers[..3].iter().all(Option::is_none));
        assert!(answers[3].is_some());
    }

    #[test]
    fn a_request_beyond_all_measure_ends_it() {
        let mut header = [0xff; 12];
        assert!(answer(&mut &header[..], &mut Vec::new()).is_err());
        header[..4].copy_from_slice(&100u32.to_be_bytes());
        assert!(
            answer(&mut &header[..], &mut Vec::new()).is_err(),
            "cut off"
        );
    }

    #[test]
    fn an_answer_beyond_all_measure_is_not_believed() {
        let answer = [0xff; 8];
        assert!(read_answer(&mut &answer[..]).is_err());
    }
}
