//! Replays the corpus in `corpus/<target>/` and, from it, a few thousand mutations that are the same in
//! every run. `FUZZ_MUTATIONS=100000` looks longer, `FUZZ_SEED=7` elsewhere; an input that fails is
//! written to a file, which `FUZZ_REPLAY=<file>` plays alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Mutations a target, where the environment says nothing else.
const MUTATIONS: u64 = 2000;
/// Where a target gives up.
const MAX_FAILURES: u32 = 10;
/// Mutants longer than this are cut: length alone finds nothing new.
const MAX_BYTES: usize = 8 * 1024;

macro_rules! targets {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name), fuzz::$name);
        }
    )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

targets! {
    bencode catalog channel chapters connection decoder extended front_matter handshake magnet media
    names range srt state stun torrent tracker udp_tracker ut_metadata vtt websocket_frames websocket_message
}

#[test]
fn every_target_is_fuzzed_and_has_a_corpus() {
    let listed = |folder: &str| -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(listed("corpus"), NAMES);
    assert_eq!(listed("libfuzzer/fuzz_targets"), NAMES);
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name}={text}"))
    })
}

fn replay(name: &str, target: fn(&[u8])) {
    if let Ok(file) = std::env::var("FUZZ_REPLAY") {
        return target(&std::fs::read(&file).unwrap_or_else(|e| panic!("{file}: {e}")));
    }
    let corpus = corpus(name);
    let mut failed = 0;
    for (path, input) in &corpus {
        failed += u32::from(!holds(target, input, &path.display().to_string()));
    }
    let seed = setting("FUZZ_SEED", 1);
    let mut random = XorShift::new(seed);
    for round in 0..setting("FUZZ_MUTATIONS", MUTATIONS) {
        let mut input = corpus[random.below(corpus.len())].1.clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, &corpus, &mut random);
        }
        input.truncate(MAX_BYTES);
        let origin = format!("mutation {round} of {name}, seed {seed}");
        failed += u32::from(!holds(target, &input, &origin));
        // One fault may fail half of the mutations; a few of them say enough.
        if failed >= MAX_FAILURES {
            break;
        }
    }
    assert_eq!(failed, 0, "inputs of {name} fail, see above");
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    let read = |path: PathBuf| {
        let input = std::fs::read(&path).expect("a readable file");
        (path, input)
    };
    paths.into_iter().map(read).collect()
}

/// Whether a target holds; where it doesn't, the input is kept and shown.
fn holds(target: fn(&[u8]), input: &[u8], origin: &str) -> bool {
    let held = catch_unwind(AssertUnwindSafe(|| target(input))).is_ok();
    if !held {
        let kept =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{:016x}", hash(input)));
        let _ = std::fs::write(&kept, input);
        let shown: String = input
            .escape_ascii()
            .to_string()
            .chars()
            .take(1500)
            .collect();
        eprintln!("^ {origin}; FUZZ_REPLAY={}\n{shown}\n", kept.display());
    }
    held
}

fn hash(input: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    input.iter().fold(0xcbf2_9ce4_8422_2325, fnv)
}

/// Marsaglia's xorshift: small, and the same everywhere.
struct XorShift(u64);

impl XorShift {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `n`, or 0 where there is nothing below it.
    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16) as usize % n.max(1)
    }

    fn span(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let longest = (length - start).min(64);
        start..start + self.below(longest + 1)
    }
}

/// Bytes that mean something in some format.
const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\n\r\t \"'\\/.:;,-+%&=#<>[]{}0129deil";
/// Texts that do.
const WORDS: &[&str] = &[
    "0",
    "-1",
    "00",
    "4294967295",
    "9223372036854775807",
    "18446744073709551616",
    "..",
    "/",
    "%00",
    "\u{202e}",
    "\u{feff}",
    "</script>",
    "-->",
    "+++\n",
    "ie",
    "de",
    "le",
    "0:",
    "1:e",
    "\r\n",
    "é",
];

fn mutate(input: &mut Vec<u8>, corpus: &[(PathBuf, Vec<u8>)], random: &mut XorShift) {
    let length = input.len();
    let at = random.below(length);
    match random.below(10) {
        0 | 1 if length > 0 => input[at] ^= 1 << random.below(8),
        2 if length > 0 => input[at] = TELLING[random.below(TELLING.len())],
        3 if length > 0 => input[at] = input[at].wrapping_add([1, 255][random.below(2)]),
        4 => input.truncate(random.below(length + 1)),
        5 => drop(input.drain(random.span(length))),
        6 => {
            let span = input[random.span(length)].to_vec();
            insert(input, at, &span);
        }
        7 => {
            let other = &corpus[random.below(corpus.len())].1;
            let span = other[random.span(other.len())].to_vec();
            insert(input, at, &span);
        }
        8 => insert(input, at, WORDS[random.below(WORDS.len())].as_bytes()),
        _ => {
            // Another input's end behind this one's beginning.
            let other = &corpus[random.below(corpus.len())].1;
            input.truncate(at);
            input.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}
