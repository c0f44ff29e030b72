//! What a release wants to have derived behind its publication, and what of that is there already. Asking
//! costs a few `stat`s; making it is [`crate::derive`]'s, behind the run.

use crate::channel::Channel;
use crate::derive::{self, Derived, Found, Job, Made, Picture, Recipe, Thumbnails};
use crate::folder::{FoundFile, Kind};
use crate::ledger::Asked;
use crate::present::shown_size;
use crate::probe::ProbedRelease;
use media::Plays;
use metainfo::state::StatRecord;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What pages show of a release beyond its files and words.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// Sizes of its poster.
    pub pictures: Vec<SizedPicture>,
    /// Small frames along its timeline, and the picture that holds them.
    pub thumbnails: Option<(Thumbnails, Vec<u8>)>,
    /// SHA-256 of whole files, by the id of the torrent.
    pub sha256: BTreeMap<String, [u8; 32]>,
    /// Why it is less than it could be: a sentence.
    pub note: Option<String>,
}

/// One size of a poster.
#[derive(Debug, Clone)]
pub struct SizedPicture {
    /// What it is.
    pub picture: Picture,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// For those who take no other.
    pub fallback: bool,
}

/// The longest file whose SHA-256 is made while its release is: a hundredth of a second's work, less than a job and
/// a second look at its pages would cost.
const SHORT: u64 = 16 << 20;

/// Asks for one release, and remembers what was asked for.
pub struct Wishes<'a> {
    derived: &'a Derived,
    /// What was asked for.
    pub asked: Vec<Asked>,
    /// What the publisher should know, one line each.
    pub warnings: Vec<String>,
}

/// A form of a clip that is to be made by encoding.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedRendition {
    /// `720p` …
    pub name: String,
    /// How it is made.
    pub job: Job,
}

impl<'a> Wishes<'a> {
    /// Of a release of which nothing was asked for yet.
    pub fn new(derived: &'a Derived) -> Self {
        Self {
            derived,
            asked: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Asks for one thing.
    pub fn ask(&mut self, job: Job) -> Found {
        let found = self.derived.look(&job);
        let open = found == Found::Missing;
        self.asked.push(Asked { job, open });
        found
    }

    /// Keeps what was made for as long as the release wants it, without asking whether it is there.
    pub fn keep(&mut self, job: Job) {
        self.asked.push(Asked { job, open: false });
    }

    /// Sizes of the poster: of the picture beside the release, else of the one inside it, else of a frame.
    pub fn pictures(&mut self, probed: &ProbedRelease) -> Vec<SizedPicture> {
        for job in poster_jobs(probed) {
            match self.ask(job) {
                Found::Made(Made::Pictures(pictures)) => return sized(&pictures),
                // The next way is tried when this one has failed, not before.
                Found::Missing => return Vec::new(),
                _ => {}
            }
        }
        Vec::new()
    }

    /// Small frames along the timeline.
    pub fn thumbnails(&mut self, probed: &ProbedRelease) -> Option<(Thumbnails, Vec<u8>)> {
        let clip = video(probed)?;
        let duration_s = probed.duration_s?;
        match self.ask(job(probed, clip, Recipe::Thumbnails { duration_s })) {
            Found::Made(Made::Thumbnails(thumbnails)) => {
                let bytes = std::fs::read(&thumbnails.sprite).ok()?;
                Some((thumbnails, bytes))
            }
            _ => None,
        }
    }

    /// SHA-256 of a whole payload file: of a small one at once, of a large one when it is made.
    pub fn sha256(&mut self, path: PathBuf, stat: StatRecord, name: &str) -> Option<[u8; 32]> {
        if stat.bytes <= SHORT {
            // It has just been hashed for its torrent, so it is in memory; one that is gone has no hash.
            return store::sha256_file(&path, &store::pass::Progress::default()).ok();
        }
        let job = Job {
            source: path,
            stat,
            recipe: Recipe::Sha256,
            name: name.to_owned(),
        };
        match self.ask(job) {
            Found::Made(Made::Sha256(hash)) => Some(hash),
            _ => None,
        }
    }

    /// The file of a form that is made by encoding, once it is there.
    pub fn rendition(&mut self, wanted: &WantedRendition) -> Result<PathBuf, Absent> {
        match self.ask(wanted.job.clone()) {
            Found::Made(Made::File(path)) => Ok(path),
            Found::Missing | Found::Made(_) => Err(Absent::Coming),
            // Whoever tried it has told why.
            Found::Failed(_) => Err(Absent::Never),
            Found::Impossible(why) => {
                self.warnings.push(format!(
                    "{}: no {} version: {why}",
                    wanted.job.source.display(),
                    wanted.name
                ));
                Err(Absent::Never)
            }
        }
    }
}

/// Why a form that is wanted is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// It is to be made.
    Coming,
    /// It can't be made.
    Never,
}

/// The forms that a clip is to have beside the publisher's own file, the tallest first: one that plays where
/// that one doesn't, and the smaller ones that channel or front matter ask for.
pub fn renditions(probed: &ProbedRelease, channel: &Channel) -> Vec<WantedRendition> {
    let (Kind::Clip, [file], [track]) = (
        probed.kind,
        probed.found.files.as_slice(),
        probed.tracks.as_slice(),
    ) else {
        return Vec::new();
    };
    let picture = track.media.as_ref().and_then(|media| media.video.as_ref());
    let shorter = picture.map(|picture| {
        let (width, height) = shown_size(picture);
        width.min(height)
    });
    let mut wanted = Vec::new();
    if matches!(track.plays, Some(Plays::Transcode { .. })) {
        wanted.push((
            shorter.map_or("aac".into(), |height| format!("{height}p")),
            Recipe::Playable,
        ));
    }
    let heights = probed.front.renditions.as_ref();
    let heights = heights.unwrap_or(&channel.renditions).iter().copied();
    wanted.extend(
        heights
            .filter(|height| shorter.is_some_and(|shorter| *height < shorter))
            .map(|height| (format!("{height}p"), Recipe::Rendition { height })),
    );
    wanted
        .into_iter()
        .map(|(name, recipe)| WantedRendition {
            name,
            job: job(probed, file, recipe),
        })
        .collect()
}

/// Why a clip doesn't play, for its page; `None` where it does.
pub fn note(probed: &ProbedRelease, playable: Option<Absent>) -> Option<String> {
    let Some(Plays::Transcode { why }) = probed.tracks.first()?.plays.as_ref() else {
        return None;
    };
    match (probed.kind, playable) {
        (Kind::Clip, Some(Absent::Coming)) => Some(format!(
            "A version that plays in every browser is being made. Until then this is a download, because {why}."
        )),
        (Kind::Clip, Some(Absent::Never)) => Some(format!("This is a download, because {why}.")),
        _ => None,
    }
}

fn job(probed: &ProbedRelease, file: &FoundFile, recipe: Recipe) -> Job {
    let name = file.path.last().unwrap_or(&probed.found.source);
    Job {
        source: file.location.clone(),
        stat: file.stat,
        recipe,
        name: name.clone(),
    }
}

/// The file of a clip that has a picture.
fn video(probed: &ProbedRelease) -> Option<&FoundFile> {
    let ([file], [track], Kind::Clip) = (
        probed.found.files.as_slice(),
        probed.tracks.as_slice(),
        probed.kind,
    ) else {
        return None;
    };
    let media = track.media.as_ref()?;
    media.video.as_ref().map(|_| file)
}

/// The ways to a poster, the best first.
fn poster_jobs(probed: &ProbedRelease) -> Vec<Job> {
    let mut jobs = Vec::new();
    if let Some(poster) = &probed.poster {
        let stat = probed.found.sidecars.stats.get(&poster.path).copied();
        let inside = probed.found.files.iter();
        let stat = stat.or_else(|| {
            inside
                .filter(|file| file.location == poster.path)
                .map(|file| file.stat)
                .next()
        });
        jobs.extend(stat.map(|stat| Job {
            source: poster.path.clone(),
            stat,
            recipe: Recipe::Pictures,
            name: file_name(&poster.path),
        }));
        return jobs;
    }
    if probed.kind == Kind::Download {
        return jobs;
    }
    let mut tracks = probed.found.files.iter().zip(&probed.tracks);
    if let Some((file, _)) = tracks.find(|(_, track)| track.picture) {
        jobs.push(job(probed, file, Recipe::EmbeddedPicture));
    }
    jobs.extend(video(probed).map(|file| job(probed, file, Recipe::KeyFramePicture)));
    jobs
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The pictures with their bytes; none at all where one of them can't be read.
fn sized(pictures: &[Picture]) -> Vec<SizedPicture> {
    let fallback = derive::fallback(pictures).cloned();
    let read = pictures.iter().map(|picture| {
        std::fs::read(&picture.path).map(|bytes| SizedPicture {
            picture: picture.clone(),
            bytes,
            fallback: Some(picture) == fallback.as_ref(),
        })
    });
    let read: std::io::Result<Vec<_>> = read.collect();
    read.ok().filter(|_| fallback.is_some()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front_matter::FrontMatter;
    use crate::probe::probe;
    use std::path::Path;

    fn example() -> ProbedRelease {
        let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/test-drive");
        let listing = crate::folder::list(&clips, &["logo.png"]).unwrap();
        let found = listing.releases.into_iter().next().unwrap();
        probe(found, FrontMatter::default()).unwrap()
    }

    fn names(probed: &ProbedRelease, channel: &Channel) -> Vec<String> {
        let wanted = renditions(probed, channel).into_iter();
        wanted.map(|wanted| wanted.name).collect()
    }

    #[test]
    fn only_what_is_smaller_is_wanted_and_what_can_not_play_is_made_to() {
        let folder = tempfile::tempdir().unwrap();
        let mut channel = Channel::read(folder.path()).unwrap();
        let mut probed = example();
        let picture = probed.tracks[0].media.as_ref().unwrap().video.as_ref();
        let (width, height) = shown_size(picture.unwrap());
        let own = width.min(height);
        assert!(names(&probed, &channel).is_empty());
        channel.renditions = vec![own + 2, own, own - 2, 144];
        let smaller = [format!("{}p", own - 2), "144p".to_owned()];
        assert_eq!(names(&probed, &channel), smaller);
        probed.front.renditions = Some(Vec::new());
        assert!(names(&probed, &channel).is_empty());
        assert_eq!(note(&probed, Some(Absent::Never)), None);

        probed.tracks[0].plays = Some(Plays::Transcode {
            why: "its picture is unheard of".into(),
        });
        assert_eq!(names(&probed, &channel), [format!("{own}p")]);
        for absent in [Absent::Coming, Absent::Never] {
            let note = note(&probed, Some(absent)).unwrap();
            assert!(
                note.contains("because its picture is unheard of."),
                "{note}"
            );
        }
        assert_eq!(note(&probed, None), None);
    }

    #[test]
    fn the_next_way_to_a_poster_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let derived = Derived::open(folder.path(), derive::Tools::default());
        let mut probed = example();
        let mut wishes = Wishes::new(&derived);
        assert!(wishes.pictures(&probed).is_empty());
        let recipes = |wishes: &Wishes<'_>| {
            let asked = wishes.asked.iter();
            asked.map(|asked| asked.job.recipe).collect::<Vec<_>>()
        };
        assert_eq!(recipes(&wishes), [Recipe::Pictures]);
        assert!(wishes.asked[0].open);
        probed.poster = None;
        probed.tracks[0].picture = true;
        let mut wishes = Wishes::new(&derived);
        wishes.pictures(&probed);
        assert_eq!(recipes(&wishes), [Recipe::EmbeddedPicture]);
    }
}
