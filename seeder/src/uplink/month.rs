//! The file that keeps what was sent this month, so that a restart doesn't begin the month anew.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// Why the month can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum MonthError {
    /// There is no place for the file.
    #[error("monthly_volume: name a file for what was sent this month, `file = \"…\"`")]
    NoPlace,
    /// The file can't be read or written.
    #[error("monthly_volume: {}: {source}; name another place with `file = \"…\"`", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "monthly_volume: {} is not what the seeder wrote: {source}; remove it to begin the month at nothing", .path.display()
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
}

/// What was sent in a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Month {
    /// The day on which it began.
    pub since: Date,
    /// Bytes sent since then.
    pub bytes: u64,
}

/// The first day of the month that a day belongs to, where months begin on `first_day`, 1 to 28.
pub fn begin(today: Date, first_day: i8) -> Date {
    let month = if today.day() < first_day {
        today.first_of_month().yesterday().unwrap_or(today)
    } else {
        today
    };
    month.with().day(first_day).build().unwrap_or(month)
}

/// Reads the file; a file that isn't there is a month that begins. Blocking.
pub fn read(path: &Path, since: Date) -> Result<Month, MonthError> {
    let fresh = Month { since, bytes: 0 };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(fresh),
        Err(source) => {
            let path = path.to_owned();
            return Err(MonthError::File { path, source });
        }
    };
    match serde_json::from_slice::<Month>(&bytes) {
        Ok(month) if month.since == since => Ok(month),
        Ok(_) => Ok(fresh),
        Err(source) => {
            let path = path.to_owned();
            Err(MonthError::Content { path, source })
        }
    }
}

/// Writes the file, whole or not at all. Blocking.
pub fn write(path: &Path, month: &Month) -> Result<(), MonthError> {
    let write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let temporary = path.with_extension("json.tmp");
        let mut text = serde_json::to_string(month)?;
        text.push('\n');
        std::fs::write(&temporary, text)?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|source| MonthError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_on_its_day() {
        let check = |today: &str, first_day: i8, expected: &str| {
            let begin = begin(today.parse().unwrap(), first_day);
            assert_eq!(begin.to_string(), expected, "{today}, {first_day}");
        };
        check("2026-11-22", 1, "2026-11-01");
        check("2026-11-01", 1, "2026-11-01");
        check("2026-11-22", 22, "2026-11-22");
        check("2026-11-22", 23, "2026-10-23");
        check("2026-01-05", 28, "2025-12-28");
        check("2026-03-01", 28, "2026-02-28");
    }

    #[test]
    fn it_outlives_a_restart_and_not_its_month() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/month.json");
        let since: Date = "2026-11-01".parse().unwrap();
        let next: Date = "2026-12-01".parse().unwrap();
        assert_eq!(read(&path, since).unwrap(), Month { since, bytes: 0 });
        let month = Month {
            since,
            bytes: 12_345,
        };
        write(&path, &month).unwrap();
        assert_eq!(read(&path, since).unwrap(), month);
        let fresh = Month {
            since: next,
            bytes: 0,
        };
        assert_eq!(read(&path, next).unwrap(), fresh);
        std::fs::write(&path, "{\"since\"").unwrap();
        let error = read(&path, since).unwrap_err().to_string();
        assert!(
            error.contains("month.json") && error.contains("remove it"),
            "{error}"
        );
        let error = write(&path.join("below"), &month).unwrap_err().to_string();
        assert!(error.contains("file ="), "{error}");
    }
}
