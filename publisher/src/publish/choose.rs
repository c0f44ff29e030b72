//! Which releases are to be made: what is as it was, what waits and what can't be is sorted out; the rest gets
//! its place in URLs.

use super::look::Look;
use super::{Options, Pass, Publisher, Waiting, tell};
use crate::error::ReleaseError;
use crate::folder::FoundRelease;
use crate::front_matter::FrontMatter;
use crate::ledger::Hold;
use crate::plan::{Change, Step};
use crate::probe;
use crate::slug::Slugs;
use jiff::Timestamp;

/// A release that is to be made.
pub(super) struct Work {
    pub(super) found: FoundRelease,
    pub(super) fingerprint: u64,
    pub(super) front: FrontMatter,
    pub(super) slug: String,
    /// The name it had in the last run, where that was another.
    pub(super) renamed_from: Option<String>,
    pub(super) why: &'static str,
}

impl Publisher {
    /// Sorts out what is as it was, what waits and what can't be, and names the rest.
    pub(super) fn choose(
        &self,
        look: &Look,
        pass: &mut Pass,
        now: Timestamp,
        options: &mut Options<'_>,
    ) -> Vec<Work> {
        let mut slugs = Slugs::of(&look.state);
        let mut chosen = Vec::new();
        for ((found, fingerprint), step) in look.found.iter().zip(&look.survey.steps) {
            let source = &found.source;
            let (why, renamed_from) = match step {
                Step::Unchanged => {
                    pass.keep(source, look);
                    continue;
                }
                Step::Withdrawn => {
                    self.tell_withdrawn(source, pass);
                    let mut entry = look.ledger.releases.get(source).cloned();
                    if let Some(entry) = &mut entry {
                        entry.shown = None;
                    }
                    pass.entries
                        .extend(entry.map(|entry| (source.clone(), entry)));
                    continue;
                }
                Step::New => ("it is new", None),
                Step::Changed(change) => (change.reason(), None),
                Step::Renamed { from } => {
                    slugs.rename(from, source);
                    ("it has another name", Some(from.clone()))
                }
            };
            let known_as = renamed_from.as_ref().unwrap_or(source);
            if let ([only], true) = (found.files.as_slice(), options.once)
                && only.stat.bytes == 0
            {
                let error = ReleaseError::Empty(only.location.clone());
                pass.problems.insert(source.clone(), error);
                pass.keep(known_as, look);
                continue;
            }
            let payload_is_known = !matches!(step, Step::New | Step::Changed(Change::Payload));
            if let Err(why) = ready(options, found, payload_is_known) {
                pass.keep(known_as, look);
                if options.once {
                    let path = self.clips.join(source);
                    let error = ReleaseError::NotReady { path, why };
                    pass.problems.insert(source.clone(), error);
                } else {
                    pass.waiting.push(Waiting {
                        source: source.clone(),
                        why,
                    });
                }
                continue;
            }
            let front = match probe::front_matter(found) {
                Ok(front) => front,
                Err(error) => {
                    pass.keep(known_as, look);
                    pass.problems.insert(source.clone(), error);
                    continue;
                }
            };
            let hold = match front.publish_at {
                _ if front.draft => Some(Hold::Draft),
                Some(date) if date > now => Some(Hold::Until(date)),
                _ => None,
            };
            if let Some(hold) = hold {
                pass.hold(found, *fingerprint, hold, known_as, look);
                continue;
            }
            if let Some(slug) = &front.slug {
                slugs.reserve(slug, source);
            }
            chosen.push(Work {
                found: found.clone(),
                fingerprint: *fingerprint,
                front,
                slug: String::new(),
                renamed_from,
                why,
            });
        }
        let mut named = Vec::with_capacity(chosen.len());
        for mut work in chosen {
            match self.name(&mut slugs, &work, look) {
                Ok(slug) => {
                    work.slug = slug;
                    named.push(work);
                }
                Err(error) => {
                    pass.keep(work.known_as(), look);
                    pass.problems.insert(work.found.source, error);
                }
            }
        }
        // What is quickly done is not kept waiting by what is long.
        named.sort_by_key(|work| {
            work.found
                .files
                .iter()
                .map(|file| file.stat.bytes)
                .sum::<u64>()
        });
        named
    }

    pub(super) fn tell_withdrawn(&self, source: &str, pass: &mut Pass) {
        let message = format!(
            "{}: withdrawn, and not published. Remove it, or publish it again with `publisher withdraw --undo`",
            self.clips.join(source).display()
        );
        let what = ("warning", source, message.as_str());
        tell(&mut pass.told, &self.told, &self.reporter, what);
    }

    fn name(&self, slugs: &mut Slugs, work: &Work, look: &Look) -> Result<String, ReleaseError> {
        let source = &work.found.source;
        let is_file = work.found.files.iter().any(|file| file.path.is_empty());
        let plain = if is_file {
            crate::prepare::stem(source)
        } else {
            source
        };
        // Another name is another place, unless the publisher holds on to the old one.
        let had = match &work.renamed_from {
            Some(_) => None,
            None => look.release(source).map(|release| release.slug.as_str()),
        };
        slugs
            .give(source, work.front.slug.as_deref(), had, plain)
            .map_err(|other| ReleaseError::SlugTaken {
                path: self.clips.join(source),
                slug: work.front.slug.clone().unwrap_or_default(),
                other,
            })
    }
}

impl Work {
    /// The name under which the last run knew it.
    pub(super) fn known_as(&self) -> &str {
        self.renamed_from.as_ref().unwrap_or(&self.found.source)
    }
}

/// Whether a release may be published now, or why not.
fn ready(
    options: &mut Options<'_>,
    found: &FoundRelease,
    payload_is_known: bool,
) -> Result<(), String> {
    // Who only reads or plays a clip that is published already must not hold up its new text.
    if payload_is_known {
        return Ok(());
    }
    match &mut options.ready {
        Some(ready) => ready(found),
        None => crate::watch::at_rest(found),
    }
}
