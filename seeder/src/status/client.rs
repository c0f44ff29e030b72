//! Asks a running seeder on this machine: finds its control socket, sends one request, reads one answer.

use super::history;
use super::report::{Report, VERSION};
use crate::control::places;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a seeder may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER: u64 = 64 << 20;

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// None runs, or none that this user may ask.
    #[error(
        "no seeder was found that you may ask; is one running as this user? Otherwise name its control socket or address"
    )]
    None,
    /// Several run.
    #[error("several seeders run here; name one: {}", list(.0))]
    Several(Vec<PathBuf>),
    /// The one named can't be asked.
    #[error("ask {place}: {source}")]
    Ask {
        /// Its socket or address.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// It answers something else.
    #[error("{0} doesn't answer as a seeder of this version; use the `seeder` that runs there")]
    Answer(String),
    /// It doesn't know the release.
    #[error(
        "no release `{0}` had an audience; name one by its slug, as in its page's address, or by its torrent's id"
    )]
    Release(String),
    /// The terminal can't be written to, or signals can't be waited for.
    #[error("show the status: {0}")]
    Show(io::Error),
}

fn list(paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| format!("`{}`", path.display()));
    paths.collect::<Vec<_>>().join(", ")
}

/// Where a seeder is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Its control socket, or the file that names its address.
    Path(PathBuf),
    /// Its address.
    Address(SocketAddr),
}

impl Place {
    /// What was typed; otherwise the one seeder that runs.
    pub fn find(given: Option<&str>) -> Result<Self, StatusError> {
        if let Some(given) = given {
            return Ok(given
                .parse()
                .map_or_else(|_| Self::Path(given.into()), Self::Address));
        }
        for mut found in places::sockets() {
            found.retain(|path| connect(path).is_ok());
            match found.len() {
                0 => {}
                1 => return Ok(Self::Path(found.remove(0))),
                _ => return Err(StatusError::Several(found)),
            }
        }
        Err(StatusError::None)
    }

    /// What the seeder says now.
    pub fn ask(&self) -> Result<Report, StatusError> {
        let answer = self.get("/status")?;
        let report = answer.document(200).filter(is_known);
        report.ok_or_else(|| StatusError::Answer(self.to_string()))
    }

    /// The audience over time: of everything, or of one release.
    pub fn history(&self, release: Option<&str>) -> Result<history::Document, StatusError> {
        let path = match release {
            None => "/history".to_owned(),
            Some(release) => {
                let name = utf8_percent_encode(release, NON_ALPHANUMERIC);
                format!("/history?release={name}")
            }
        };
        let answer = self.get(&path)?;
        if let (404, Some(release)) = (answer.status, release) {
            return Err(StatusError::Release(release.to_owned()));
        }
        let document: Option<history::Document> = answer.document(200);
        let document = document.filter(|document| document.version == history::VERSION);
        document.ok_or_else(|| StatusError::Answer(self.to_string()))
    }

    fn get(&self, path: &str) -> Result<Answer, StatusError> {
        let stream: io::Result<Box<dyn ReadWrite>> = match self {
            Self::Path(path) => connect(path),
            Self::Address(address) => tcp(*address),
        };
        // HTTP/1.0: the answer ends with the connection.
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        let bytes = stream.and_then(|mut stream| {
            stream.write_all(request.as_bytes())?;
            let mut bytes = Vec::new();
            stream.take(ANSWER).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        let bytes = bytes.map_err(|source| StatusError::Ask {
            place: self.to_string(),
            source,
        })?;
        Answer::parse(&bytes).ok_or_else(|| StatusError::Answer(self.to_string()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// What came back.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let status = bytes.split(|byte| *byte == b' ').nth(1)?;
        Some(Self {
            status: std::str::from_utf8(status).ok()?.parse().ok()?,
            body: bytes[end + 4..].to_vec(),
        })
    }

    fn document<D: DeserializeOwned>(&self, status: u16) -> Option<D> {
        let document = serde_json::from_slice(&self.body).ok();
        document.filter(|_| self.status == status)
    }
}

fn is_known(report: &Report) -> bool {
    report.version == VERSION
}

trait ReadWrite: Read + Write {}

impl<S: Read + Write> ReadWrite for S {}

fn tcp(address: SocketAddr) -> io::Result<Box<dyn ReadWrite>> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(Box::new(stream))
}

#[cfg(unix)]
fn connect(path: &Path) -> io::Result<Box<dyn ReadWrite>> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(Box::new(stream))
}

/// The file holds the address.
#[cfg(not(unix))]
fn connect(path: &Path) -> io::Result<Box<dyn ReadWrite>> {
    let address = std::fs::read_to_string(path)?;
    let address = address.trim().parse().map_err(io::Error::other)?;
    tcp(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_seeders_answer_is_taken() {
        let report = Report {
            version: VERSION,
            ..Report::default()
        };
        let body = serde_json::to_string(&report).unwrap();
        let parse = |bytes: &[u8]| -> Option<Report> {
            let answer = Answer::parse(bytes)?;
            answer.document(200).filter(is_known)
        };
        let answer = |status: u16| format!("HTTP/1.0 {status} X\r\na: b\r\n\r\n{body}");
        assert_eq!(parse(answer(200).as_bytes()), Some(report));
        assert_eq!(parse(answer(403).as_bytes()), None);
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\n\r\n{\"version\":9}"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn an_address_is_no_path() {
        let address = Place::find(Some("127.0.0.1:9100")).unwrap();
        assert_eq!(address, Place::Address("127.0.0.1:9100".parse().unwrap()));
        let path = Place::find(Some("/run/x.sock")).unwrap();
        assert_eq!(path, Place::Path("/run/x.sock".into()));
        assert!(matches!(path.ask(), Err(StatusError::Ask { .. })));
    }
}
