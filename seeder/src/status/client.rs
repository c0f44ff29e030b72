//! Asks a running seeder on this machine: finds its control socket, sends one request, reads one answer.

use super::report::{Report, VERSION};
use crate::control::places;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a seeder may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER: u64 = 64 << 20;
/// HTTP/1.0: the answer ends with the connection.
const REQUEST: &[u8] = b"GET /status HTTP/1.0\r\nHost: localhost\r\n\r\n";

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
        let place = match self {
            Self::Path(path) => path.display().to_string(),
            Self::Address(address) => address.to_string(),
        };
        let stream: io::Result<Box<dyn ReadWrite>> = match self {
            Self::Path(path) => connect(path),
            Self::Address(address) => tcp(*address),
        };
        let bytes = stream.and_then(|mut stream| {
            stream.write_all(REQUEST)?;
            let mut bytes = Vec::new();
            stream.take(ANSWER).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        let bytes = bytes.map_err(|source| StatusError::Ask {
            place: place.clone(),
            source,
        })?;
        parse(&bytes).ok_or(StatusError::Answer(place))
    }
}

fn parse(bytes: &[u8]) -> Option<Report> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let status = bytes.split(|byte| *byte == b' ').nth(1)?;
    let report: Report = serde_json::from_slice(&bytes[end + 4..]).ok()?;
    (status == b"200" && report.version == VERSION).then_some(report)
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
