//! What a file is by its name: its MIME type and whether browsers play it. Looking inside comes later
//! in the pipeline; a name is enough to sort a folder.

/// What a release, or one file of it, is to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// Moving pictures.
    Video,
    /// Sound.
    Audio,
    /// A still picture.
    Image,
    /// Anything else.
    Other,
}

/// A file's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType {
    /// What it is to people.
    pub kind: MediaKind,
    /// MIME type.
    pub mime: &'static str,
    /// Whether every current browser plays it as it is.
    pub playable: bool,
}

/// The type of a file of this name.
pub fn media_type(name: &str) -> MediaType {
    use MediaKind::{Audio, Image, Other, Video};
    let extension = name
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension)
        .to_ascii_lowercase();
    let (kind, mime, playable) = match extension.as_str() {
        "mp4" | "m4v" => (Video, "video/mp4", true),
        "webm" => (Video, "video/webm", true),
        "mov" => (Video, "video/quicktime", false),
        "mkv" => (Video, "video/x-matroska", false),
        "avi" => (Video, "video/x-msvideo", false),
        "ts" | "m2ts" => (Video, "video/mp2t", false),
        "ogv" => (Video, "video/ogg", false),
        "mp3" => (Audio, "audio/mpeg", true),
        "m4a" => (Audio, "audio/mp4", true),
        "flac" => (Audio, "audio/flac", true),
        "opus" | "ogg" | "oga" => (Audio, "audio/ogg", true),
        "wav" => (Audio, "audio/wav", true),
        "aac" => (Audio, "audio/aac", true),
        "aif" | "aiff" => (Audio, "audio/aiff", false),
        "wma" => (Audio, "audio/x-ms-wma", false),
        "jpg" | "jpeg" => (Image, "image/jpeg", false),
        "png" => (Image, "image/png", false),
        "webp" => (Image, "image/webp", false),
        "gif" => (Image, "image/gif", false),
        "pdf" => (Other, "application/pdf", false),
        "zip" => (Other, "application/zip", false),
        "gz" | "tgz" => (Other, "application/gzip", false),
        "xz" => (Other, "application/x-xz", false),
        "iso" => (Other, "application/x-iso9660-image", false),
        "txt" | "md" => (Other, "text/plain", false),
        "json" => (Other, "application/json", false),
        "html" | "htm" => (Other, "text/html", false),
        _ => (Other, "application/octet-stream", false),
    };
    MediaType {
        kind,
        mime,
        playable,
    }
}

impl MediaType {
    /// Whether it has a place on a time line.
    pub fn is_timed(self) -> bool {
        matches!(self.kind, MediaKind::Video | MediaKind::Audio)
    }
}

/// Whether a file of this name is not finished or not meant: hidden, or a partial download's name.
pub fn is_passed_over(name: &str) -> bool {
    const ENDINGS: [&str; 12] = [
        ".part",
        ".partial",
        ".crdownload",
        ".download",
        ".tmp",
        ".temp",
        ".filepart",
        ".aria2",
        ".!qb",
        ".swp",
        ".!ut",
        "~",
    ];
    const NAMES: [&str; 2] = ["thumbs.db", "desktop.ini"];
    let lower = name.to_lowercase();
    name.starts_with('.')
        || ENDINGS.iter().any(|ending| lower.ends_with(ending))
        || NAMES.contains(&lower.as_str())
}
