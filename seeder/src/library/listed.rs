//! One torrent of the state, not parsed: what swarms it has, what its files were, whether they are that still. Ten
//! thousand of these are a few megabytes; what they hold is opened when somebody asks for it ([`Served`]).

use super::figures::TorrentFigures;
use super::served::Served;
use super::{LoadError, read_torrent};
use crate::torrent::SwarmHandle;
use metainfo::state::{StatRecord, StateTorrent};
use metainfo::{Info, SwarmHash};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use store::PayloadError;
use swarm::tracker::P2p;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How whoever looks after the files hears that one of them is not right, or was touched.
pub type Alarm = mpsc::UnboundedSender<Arc<Listed>>;

/// What `stat` says of the torrent file, then of each payload file; `None` where there is none.
pub type Signature = Vec<Option<StatRecord>>;

/// A payload file as it was when it was hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// Path below the torrent's data.
    pub path: Box<str>,
    /// Bytes.
    pub bytes: u64,
    /// What `stat` said; where nothing is recorded, the length alone is guarded.
    pub stat: Option<StatRecord>,
}

/// Where a torrent and its files lie, and what they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What the other two are below.
    pub base: Arc<Path>,
    /// The torrent file.
    pub torrent: Box<Path>,
    /// The folder that holds the file or folder of the torrent's name.
    pub data: Box<str>,
    /// The payload files, without pads.
    pub files: Box<[ListedFile]>,
}

/// One torrent of the library.
pub struct Listed {
    /// What folders and URLs call it.
    pub id: String,
    /// The release it belongs to; empty where it belongs to none.
    pub slug: String,
    /// What people call it.
    pub title: String,
    /// Cancelled when it is in the library no longer.
    pub gone: CancellationToken,
    pub(super) place: Place,
    swarms: Box<[SwarmHash]>,
    sound: AtomicBool,
    standing: Mutex<Standing>,
    p2p: Mutex<P2p>,
    opened: Mutex<Weak<Served>>,
    lasting: OnceLock<(Arc<SwarmHandle>, Arc<TorrentFigures>)>,
    alarm: Alarm,
}

#[derive(Default)]
struct Standing {
    condition: Condition,
    /// What the payload files were when they were last hashed here: as good as what the state has recorded.
    accepted: Option<Box<[Option<StatRecord>]>>,
}

/// Whether a torrent's files are what was published, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// They are.
    #[default]
    Sound,
    /// Withdrawn until they have been hashed.
    Suspect {
        /// What was found.
        why: String,
    },
    /// Withdrawn: something is missing or wrong.
    Faulty {
        /// What.
        why: String,
        /// What the files were then: while they stay so, there is no point in hashing them again.
        seen: Signature,
        /// Found by reading the torrent or its files; otherwise by `stat` alone.
        read: bool,
    },
}

/// What a look at the files by `stat` gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// They are what they were.
    Same,
    /// Links, names or rights have changed, not size, time or inode.
    Touched,
    /// They may hold something else now.
    Changed(String),
    /// One is missing or has another length.
    Missing(String),
}

impl Listed {
    /// A torrent of the state in this folder. `accepted` is what its files were when an earlier run hashed them.
    pub(super) fn from_entry(
        out: &Arc<Path>,
        entry: StateTorrent,
        accepted: Option<Box<[Option<StatRecord>]>>,
        alarm: &Alarm,
    ) -> Result<Self, LoadError> {
        let id: SwarmHash = entry
            .id
            .parse()
            .map_err(|_| LoadError::Id(entry.id.clone()))?;
        let v1 = entry.info_hash_v1.map(SwarmHash::from);
        let v2 = entry.info_hash_v2.map(|hash| hash.truncated());
        let mut swarms = vec![id];
        swarms.extend(v1.into_iter().chain(v2).filter(|swarm| *swarm != id));
        let place = Place {
            base: out.clone(),
            torrent: PathBuf::from(entry.torrent).into(),
            data: entry.data.into(),
            files: files_of(entry.files),
        };
        let mut listed = Self::new(entry.id, entry.title, swarms.into(), place, alarm);
        listed.slug = entry.slug;
        listed.standing().accepted = accepted;
        Ok(listed)
    }

    /// A torrent that is served for what it is, not for a state's sake.
    pub(super) fn of_info(info: &Info, place: Place, alarm: &Alarm) -> Self {
        let swarms = info.swarm_hashes().into();
        Self::new(info.id(), info.name().to_owned(), swarms, place, alarm)
    }

    fn new(
        id: String,
        title: String,
        swarms: Box<[SwarmHash]>,
        place: Place,
        alarm: &Alarm,
    ) -> Self {
        Self {
            id,
            slug: String::new(),
            title,
            gone: CancellationToken::new(),
            place,
            swarms,
            sound: AtomicBool::new(true),
            standing: Mutex::default(),
            p2p: Mutex::default(),
            opened: Mutex::default(),
            lasting: OnceLock::new(),
            alarm: alarm.clone(),
        }
    }

    /// What trackers and handshakes know it by.
    pub fn swarms(&self) -> &[SwarmHash] {
        &self.swarms
    }

    /// When its viewers are introduced to each other.
    pub fn p2p(&self) -> P2p {
        *lock(&self.p2p)
    }

    /// Takes that from the state's word for it; what it doesn't know is the default.
    pub(super) fn set_p2p(&self, word: Option<&str>) {
        *lock(&self.p2p) = match word {
            Some("always") => P2p::Always,
            Some("off") => P2p::Off,
            _ => P2p::UnderLoad,
        };
    }

    /// Whether its torrent and files lie where they stay, and are looked after. What is being fetched isn't.
    pub(super) fn is_on_disk(&self) -> bool {
        !self.place.torrent.as_os_str().is_empty()
    }

    /// Payload bytes, as the state has them.
    pub fn bytes(&self) -> u64 {
        self.place.files.iter().map(|file| file.bytes).sum()
    }

    /// Whether its files are what was published, as far as is known.
    pub fn is_sound(&self) -> bool {
        self.sound.load(Ordering::Relaxed)
    }

    /// What is known of its files.
    pub fn condition(&self) -> Condition {
        self.standing().condition.clone()
    }

    /// Why it isn't served, where it isn't.
    pub fn why(&self) -> Option<String> {
        match &self.standing().condition {
            Condition::Sound => None,
            Condition::Suspect { why } => Some(format!("{why}; its files are being hashed")),
            Condition::Faulty { why, .. } => Some(why.clone()),
        }
    }

    /// Its figures, once somebody has opened it.
    pub fn figures(&self) -> Option<&Arc<TorrentFigures>> {
        self.lasting.get().map(|(_, figures)| figures)
    }

    /// Its parsed form, where somebody has it open.
    pub fn opened(&self) -> Option<Arc<Served>> {
        lock(&self.opened).upgrade()
    }

    /// Parses it, unless somebody has it open. One that can't be parsed is served no longer. Blocking.
    pub fn open(self: &Arc<Self>) -> Result<Arc<Served>, LoadError> {
        let mut opened = lock(&self.opened);
        if let Some(served) = opened.upgrade() {
            return Ok(served);
        }
        let parsed = read_torrent(&self.torrent_path()).and_then(|torrent| {
            let found = torrent.info.id();
            if found != self.id {
                return Err(LoadError::OtherId {
                    path: self.torrent_path(),
                    found,
                    expected: self.id.clone(),
                });
            }
            Ok(torrent)
        });
        match parsed {
            Ok(torrent) => {
                let served = Arc::new(Served::new(torrent, self.clone(), &self.data_path()));
                *opened = Arc::downgrade(&served);
                Ok(served)
            }
            Err(error) => {
                drop(opened);
                self.condemn(error.to_string(), self.signature(), true);
                let _ = self.alarm.send(self.clone());
                Err(error)
            }
        }
    }

    /// Makes its parsed form known that was made elsewhere.
    pub(super) fn set_opened(&self, served: &Arc<Served>) {
        *lock(&self.opened) = Arc::downgrade(served);
    }

    /// What outlives the parsed form: the way to its swarm, and its figures.
    pub(super) fn lasting(&self, info: &Info) -> (Arc<SwarmHandle>, Arc<TorrentFigures>) {
        let make = || {
            let figures = TorrentFigures::new(info.payload_bytes());
            (Arc::default(), Arc::new(figures))
        };
        self.lasting.get_or_init(make).clone()
    }

    /// What its payload files were when they were hashed, here or by the publisher, in the order of the state.
    pub(super) fn recorded(&self) -> Vec<Option<StatRecord>> {
        let standing = self.standing();
        let files = self.place.files.iter().enumerate();
        files
            .map(|(n, file)| accepted(&standing, n).or(file.stat))
            .collect()
    }

    /// What was hashed here and is not what the state has recorded: worth remembering.
    pub(super) fn accepted(&self) -> Option<Box<[Option<StatRecord>]>> {
        self.standing().accepted.clone()
    }

    /// Its torrent file.
    pub fn torrent_path(&self) -> PathBuf {
        self.place.base.join(&self.place.torrent)
    }

    /// The folder that holds the file or folder of its name.
    pub fn data_path(&self) -> PathBuf {
        self.place.base.join(&*self.place.data)
    }

    /// What `stat` says of the torrent file and the payload files. Blocking.
    pub fn signature(&self) -> Signature {
        let data = self.data_path();
        let files = self.place.files.iter();
        let files = files.map(|file| store::stat_record(&data.join(&*file.path)).ok());
        let torrent = store::stat_record(&self.torrent_path()).ok();
        std::iter::once(torrent).chain(files).collect()
    }

    /// Compares a signature with what is recorded.
    pub fn compare(&self, signature: &Signature) -> Look {
        let mut now = signature.iter();
        if now.next().is_none_or(Option::is_none) {
            return Look::Missing(format!("{} is missing", self.torrent_path().display()));
        }
        let standing = self.standing();
        let mut look = Look::Same;
        for (n, (file, now)) in self.place.files.iter().zip(now).enumerate() {
            let name = || self.data_path().join(&*file.path).display().to_string();
            let Some(now) = now else {
                return Look::Missing(format!("{} is missing", name()));
            };
            if now.bytes != file.bytes {
                let (was, is) = (file.bytes, now.bytes);
                return Look::Missing(format!("{} has {is} bytes, not {was}", name()));
            }
            let known = [accepted(&standing, n), file.stat];
            let known = || known.iter().flatten();
            if known().next().is_none() || known().any(|stat| stat == now) {
                continue;
            }
            if !known().any(|stat| stat.same_content(now)) {
                let what = "is not the file that was published (time or inode differ)";
                look = Look::Changed(format!("{} {what}", name()));
            } else if look == Look::Same {
                look = Look::Touched;
            }
        }
        look
    }

    /// A read has failed: withdrawn at once, until its files have been hashed. Whoever has its parsed form open
    /// lets go.
    pub fn report(self: &Arc<Self>, error: &PayloadError) {
        self.suspect(error.to_string());
    }

    /// Withdraws it until its files have been hashed.
    pub(super) fn suspect(self: &Arc<Self>, why: String) {
        if self.set(Condition::Suspect { why }) {
            let _ = self.alarm.send(self.clone());
        }
    }

    /// Withdraws it until its files have changed. Says whether it was in another condition before.
    pub(super) fn condemn(&self, why: String, seen: Signature, read: bool) -> bool {
        self.set(Condition::Faulty { why, seen, read })
    }

    /// It is served: its files are what they were, or have been hashed. `accepted` is what they were then. Says
    /// whether it was in another condition before.
    pub(super) fn acquit(&self, hashed: Option<&Signature>) -> bool {
        if let Some(signature) = hashed {
            let files = signature.iter().skip(1).copied().collect();
            self.standing().accepted = Some(files);
        }
        self.set(Condition::Sound)
    }

    fn set(&self, condition: Condition) -> bool {
        let mut standing = self.standing();
        let before = std::mem::replace(&mut standing.condition, condition);
        let sound = standing.condition == Condition::Sound;
        self.sound.store(sound, Ordering::Relaxed);
        if before == standing.condition {
            return false;
        }
        match &standing.condition {
            Condition::Sound => tracing::info!("{} is served again", self.title),
            Condition::Suspect { why } => {
                tracing::warn!(
                    "{} is not served until its files are hashed: {why}",
                    self.title
                );
            }
            Condition::Faulty { why, .. } => {
                tracing::warn!("{} is not served for now: {why}", self.title);
            }
        }
        drop(standing);
        if !sound && let Some(served) = self.opened() {
            served.close();
            *lock(&self.opened) = Weak::new();
        }
        true
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        lock(&self.standing)
    }

    /// Whether the state still says the same of what is read and sent. A title or a status may change.
    pub(super) fn is_the_same(&self, entry: &StateTorrent) -> bool {
        let files = self.place.files.iter().zip(&entry.files);
        *self.place.data == *entry.data
            && self.place.files.len() == entry.files.len()
            && files.into_iter().all(|(known, now)| {
                (&*known.path, known.bytes, known.stat) == (&*now.path, now.bytes, now.stat)
            })
    }
}

fn accepted(standing: &Standing, n: usize) -> Option<StatRecord> {
    *standing.accepted.as_ref()?.get(n)?
}

fn files_of(files: Vec<metainfo::state::StateFile>) -> Box<[ListedFile]> {
    let files = files.into_iter().map(|file| ListedFile {
        path: file.path.into(),
        bytes: file.bytes,
        stat: file.stat,
    });
    files.collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Listed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listed({}, {})", self.id, self.title)
    }
}
