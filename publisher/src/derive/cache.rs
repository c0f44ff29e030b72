//! The cache: one folder a job, named after source and recipe. `made.json` lists what was made and is written
//! last, so that what a kill leaves behind counts for nothing; `failed.txt` says why a job is not worth trying
//! again.

use super::recipe::{self, Output};
use super::{Cancel, DeriveError, Found, Job, Made, Picture, Recipe, Thumbnails, Tools};
use crate::report::Reporter;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rises when a recipe gives something else than before: everything is made anew.
const VERSION: u32 = 1;

const MADE: &str = "made.json";
const FAILED: &str = "failed.txt";

/// Derived files by what they are made of.
#[derive(Debug)]
pub struct Derived {
    root: PathBuf,
    tools: Tools,
}

/// [`Made`] as it stands in `made.json`: names without their folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Record {
    Pictures(Vec<PictureRecord>),
    Thumbnails {
        sprite: String,
        width: u32,
        height: u32,
        columns: u32,
        times_s: Vec<f64>,
    },
    File(String),
    Sha256(String),
}

/// One size of a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PictureRecord {
    pub file: String,
    pub width: u32,
    pub height: u32,
}

impl Derived {
    /// The cache in this folder, which need not exist.
    pub fn open(root: &Path, tools: Tools) -> Self {
        Self {
            root: root.to_owned(),
            tools,
        }
    }

    /// The programs it works with.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// What is there for a job: two small reads at most.
    pub fn look(&self, job: &Job) -> Found {
        let folder = self.folder(job);
        if let Some(made) = read_made(&folder) {
            return Found::Made(made);
        }
        if job.recipe.needs_ffmpeg() && self.tools.ffmpeg.is_none() {
            return Found::Impossible("ffmpeg is not installed".to_owned());
        }
        match fs::read_to_string(folder.join(FAILED)) {
            Ok(text) => match failure(&text, self.tools.ffmpeg.is_some()) {
                Some(reason) => Found::Failed(reason),
                None => Found::Missing,
            },
            Err(_) => Found::Missing,
        }
    }

    /// Makes it, unless it is there. A failure is remembered; see [`DeriveError`] for what is not.
    ///
    /// # Errors
    /// See [`DeriveError`].
    pub fn make(&self, job: &Job, reporter: &Reporter, cancel: &Cancel) -> Result<(), DeriveError> {
        match self.look(job) {
            Found::Made(_) => return Ok(()),
            Found::Failed(reason) | Found::Impossible(reason) => {
                return Err(DeriveError::Failed(reason));
            }
            Found::Missing => {}
        }
        self.check_source(job)?;
        let folder = self.folder(job);
        fs::create_dir_all(&folder)
            .map_err(|source| DeriveError::cache("make", &folder, source))?;
        remove_temporary(&folder);
        let made = recipe::make(job, &folder, &self.tools, reporter, cancel);
        // What was read while the source changed is neither made nor failed.
        self.check_source(job)?;
        match made {
            Ok(output) => keep(&folder, output),
            Err(DeriveError::Failed(reason)) => {
                let with = if self.tools.ffmpeg.is_some() {
                    "with"
                } else {
                    "without"
                };
                let reason = crate::report::one_line(reason.trim());
                let text = format!("{reason}\n{with} ffmpeg\n");
                write(&folder.join(FAILED), text.as_bytes())?;
                // Parts of a rendition that can't be made are of no use to anybody.
                let _ = fs::remove_dir_all(folder.join(recipe::PARTS));
                Err(DeriveError::Failed(reason))
            }
            Err(error) => Err(error),
        }
    }

    /// Removes what none of these jobs is about: pass all that present releases want, made ones too.
    pub fn keep_only(&self, jobs: &[Job]) {
        let kept: BTreeSet<String> = jobs.iter().map(key).collect();
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_none_or(|name| !kept.contains(name)) {
                // What can't be removed now is tried again at the next run.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn folder(&self, job: &Job) -> PathBuf {
        self.root.join(key(job))
    }

    fn check_source(&self, job: &Job) -> Result<(), DeriveError> {
        match store::stat_record(&job.source) {
            Ok(now) if now.same_content(&job.stat) => Ok(()),
            _ => Err(DeriveError::Stopped),
        }
    }
}

/// The name of a job's folder.
fn key(job: &Job) -> String {
    let stat = &job.stat;
    let text = format!(
        "{VERSION} {} {} {} {} {}",
        stat.device,
        stat.inode,
        stat.bytes,
        stat.mtime_ns,
        recipe_key(job.recipe)
    );
    HEXLOWER.encode(&Sha256::digest(text.as_bytes())[..20])
}

fn recipe_key(recipe: Recipe) -> String {
    match recipe {
        Recipe::Pictures => "pictures".to_owned(),
        Recipe::EmbeddedPicture => "embedded-picture".to_owned(),
        Recipe::KeyFramePicture => "key-frame-picture".to_owned(),
        Recipe::Thumbnails { duration_s } => format!("thumbnails {:x}", duration_s.to_bits()),
        Recipe::Sha256 => "sha256".to_owned(),
        Recipe::Playable => "playable".to_owned(),
        Recipe::Rendition { height } => format!("rendition {height}"),
    }
}

/// The reason in a failure marker, unless it was written without ffmpeg and there is one now.
fn failure(text: &str, has_ffmpeg: bool) -> Option<String> {
    let (reason, tools) = text.split_once('\n')?;
    let is_out_of_date = tools.trim() == "without ffmpeg" && has_ffmpeg;
    (!is_out_of_date).then(|| reason.to_owned())
}

fn keep(folder: &Path, output: Output) -> Result<(), DeriveError> {
    for (name, bytes) in &output.files {
        write(&folder.join(name), bytes)?;
    }
    let record = serde_json::to_vec(&output.record).expect("a record always serialises");
    write(&folder.join(MADE), &record)?;
    let _ = fs::remove_file(folder.join(FAILED));
    let _ = fs::remove_dir_all(folder.join(recipe::PARTS));
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), DeriveError> {
    store::write_atomic(path, bytes).map_err(DeriveError::Write)
}

fn read_made(folder: &Path) -> Option<Made> {
    let bytes = fs::read(folder.join(MADE)).ok()?;
    let record: Record = serde_json::from_slice(&bytes).ok()?;
    let path = |name: &str| folder.join(name);
    Some(match record {
        Record::Pictures(pictures) => Made::Pictures(
            pictures
                .into_iter()
                .map(|picture| Picture {
                    path: path(&picture.file),
                    mime: crate::file_type::media_type(&picture.file).mime,
                    width: picture.width,
                    height: picture.height,
                })
                .collect(),
        ),
        Record::Thumbnails {
            sprite,
            width,
            height,
            columns,
            times_s,
        } => Made::Thumbnails(Thumbnails {
            sprite: path(&sprite),
            width,
            height,
            columns,
            times_s,
        }),
        Record::File(name) => Made::File(path(&name)),
        Record::Sha256(hex) => {
            let bytes = HEXLOWER.decode(hex.as_bytes()).ok()?;
            Made::Sha256(bytes.try_into().ok()?)
        }
    })
}

/// Takes away what a kill left half-written: one job is worked on at a time.
fn remove_temporary(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') && name.ends_with(".tmp") {
            // What stays takes room and nothing else.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Mode;

    fn job(source: &Path, recipe: Recipe) -> Job {
        Job {
            source: source.to_owned(),
            stat: store::stat_record(source).unwrap(),
            recipe,
            name: "clip.mp4".to_owned(),
        }
    }

    fn make(derived: &Derived, job: &Job) -> Result<(), DeriveError> {
        derived.make(job, &Reporter::new(Mode::Quiet), &Cancel::default())
    }

    #[test]
    fn what_was_made_is_found_until_the_source_changes() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a.bin");
        fs::write(&source, b"abc").unwrap();
        let derived = Derived::open(&folder.path().join("derived"), Tools::default());
        let first = job(&source, Recipe::Sha256);
        assert_eq!(derived.look(&first), Found::Missing);
        make(&derived, &first).unwrap();
        let Found::Made(Made::Sha256(hash)) = derived.look(&first) else {
            panic!("{:?}", derived.look(&first));
        };
        assert_eq!(hash[..], Sha256::digest(b"abc")[..]);

        fs::write(&source, b"abcd").unwrap();
        let second = job(&source, Recipe::Sha256);
        assert_eq!(derived.look(&second), Found::Missing);
        assert!(matches!(derived.look(&first), Found::Made(_)));
        derived.keep_only(std::slice::from_ref(&second));
        assert_eq!(derived.look(&first), Found::Missing);
        assert!(
            matches!(make(&derived, &first), Err(DeriveError::Stopped)),
            "the file is another one now"
        );
    }

    #[test]
    fn a_failure_is_remembered_until_ffmpeg_appears() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a.jpg");
        fs::write(&source, b"no picture").unwrap();
        let root = folder.path().join("derived");
        let derived = Derived::open(&root, Tools::default());
        let job = job(&source, Recipe::Pictures);
        let Err(DeriveError::Failed(reason)) = make(&derived, &job) else {
            panic!("a picture out of nothing");
        };
        assert_eq!(derived.look(&job), Found::Failed(reason));
        let ffmpeg = Some(PathBuf::from("/nowhere/ffmpeg"));
        let with = Derived::open(
            &root,
            Tools {
                ffmpeg,
                decoder: None,
            },
        );
        assert_eq!(with.look(&job), Found::Missing);
    }

    #[test]
    fn without_ffmpeg_a_rendition_is_impossible_unless_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a.mov");
        fs::write(&source, b"x").unwrap();
        let derived = Derived::open(folder.path(), Tools::default());
        let job = job(&source, Recipe::Rendition { height: 720 });
        assert!(matches!(derived.look(&job), Found::Impossible(_)));
        let made = derived.folder(&job);
        fs::create_dir_all(&made).unwrap();
        fs::write(made.join(MADE), br#"{"file":"rendition.mp4"}"#).unwrap();
        assert_eq!(
            derived.look(&job),
            Found::Made(Made::File(made.join("rendition.mp4")))
        );
    }

    #[test]
    fn keys_tell_sources_and_recipes_apart() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a");
        fs::write(&source, b"x").unwrap();
        let recipes = [
            Recipe::Pictures,
            Recipe::EmbeddedPicture,
            Recipe::KeyFramePicture,
            Recipe::Thumbnails { duration_s: 1.0 },
            Recipe::Thumbnails { duration_s: 2.0 },
            Recipe::Sha256,
            Recipe::Playable,
            Recipe::Rendition { height: 480 },
            Recipe::Rendition { height: 720 },
        ];
        let mut keys: BTreeSet<String> = recipes.iter().map(|r| key(&job(&source, *r))).collect();
        let mut other = job(&source, Recipe::Pictures);
        other.stat.mtime_ns += 1;
        keys.insert(key(&other));
        assert_eq!(keys.len(), recipes.len() + 1);
        // A link more is the same content.
        let mut linked = job(&source, Recipe::Pictures);
        linked.stat.ctime_ns += 1;
        assert!(keys.contains(&key(&linked)));
    }
}
