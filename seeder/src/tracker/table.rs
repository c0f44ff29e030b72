//! Where an address is: its country and its network (AS number), from tables that the operator has fetched, in the forms
//! in which the free ones are given away: DB-IP lite and IP2Location lite (CSV), iptoasn (TSV), each plain or with gzip.
//! Without a table nothing is known, and nothing is asked of anybody.
//!
//! A table is read at the start, and again when its file has changed and then rested for a look. One that can't be used
//! is told of and leaves the one before in place.

mod ranges;
mod read;

use crate::metrics::Metrics;
use read::Read;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;
use swarm::tracker::Area;

/// The files of the tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableConfig {
    /// Address ranges with countries.
    pub countries: Option<PathBuf>,
    /// Address ranges with AS numbers.
    pub networks: Option<PathBuf>,
}

/// What a table tells of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Country,
    Network,
}

/// Why a table can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Its file can't be read.
    #[error("read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Too little of it makes sense.
    #[error(
        "{}: {broken} of {lines} lines are no address ranges; DB-IP's and IP2Location's CSV and iptoasn's TSV are understood",
        .path.display()
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// Lines with something in them.
        lines: u64,
        /// Lines that make no sense.
        broken: u64,
    },
}

/// The tables of this process.
#[derive(Debug)]
pub struct Tables {
    countries: Option<Table>,
    networks: Option<Table>,
    metrics: Arc<Metrics>,
}

/// One table and its file.
#[derive(Debug)]
struct Table {
    path: PathBuf,
    column: Column,
    ranges: RwLock<Arc<Read>>,
    file: Mutex<File>,
}

/// What a file was: its time and size.
type Stamp = Option<(SystemTime, u64)>;

#[derive(Debug, Default)]
struct File {
    /// When it was read.
    read: Option<Stamp>,
    /// At the last look.
    seen: Option<Stamp>,
}

impl Tables {
    /// The tables of these files, with nothing in them yet.
    pub fn new(config: &TableConfig, metrics: Arc<Metrics>) -> Self {
        let table = |path: &Option<PathBuf>, column| {
            path.clone().map(|path| Table {
                path,
                column,
                ranges: RwLock::default(),
                file: Mutex::default(),
            })
        };
        Self {
            countries: table(&config.countries, Column::Country),
            networks: table(&config.networks, Column::Network),
            metrics,
        }
    }

    /// Whether countries are told.
    pub fn has_countries(&self) -> bool {
        self.countries.is_some()
    }

    /// Where an address is.
    pub fn area(&self, ip: IpAddr) -> Area {
        let ip = ip.to_canonical();
        let value = |table: &Option<Table>| table.as_ref().map_or(0, |table| table.ranges().of(ip));
        Area {
            asn: value(&self.networks),
            country: read::letters(value(&self.countries)),
        }
    }

    /// Reads what has changed. Blocking. `first` at the start, when a file isn't waited for to be at rest.
    pub fn look(&self, first: bool) {
        for table in self.countries.iter().chain(&self.networks) {
            match table.look(first) {
                Ok(None) => {}
                Ok(Some(read)) => {
                    tracing::info!(
                        "{}: {} address ranges, {} lines passed over",
                        table.path.display(),
                        read.len(),
                        read.broken
                    );
                    self.metrics.tracker_tables_read.add(1);
                    self.metrics.tracker_table_lines_broken.add(read.broken);
                }
                Err(error) => {
                    tracing::warn!("{error}; what was read before stays");
                    self.metrics.tracker_tables_unusable.add(1);
                }
            }
        }
        let ranges = |table: &Option<Table>| {
            let table = table.as_ref();
            table.map_or(0, |table| table.ranges().len()) as u64
        };
        let metrics = &self.metrics;
        metrics
            .tracker_country_ranges_now
            .set(ranges(&self.countries));
        metrics
            .tracker_network_ranges_now
            .set(ranges(&self.networks));
    }
}

impl Table {
    fn ranges(&self) -> Arc<Read> {
        let ranges = self.ranges.read();
        ranges.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file where it isn't the one that was read, and rests.
    fn look(&self, first: bool) -> Result<Option<Arc<Read>>, TableError> {
        let stamp = std::fs::metadata(&self.path)
            .ok()
            .and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let rests = file.seen.replace(stamp) == Some(stamp);
        if file.read == Some(stamp) || !(rests || first) {
            return Ok(None);
        }
        // Whatever comes of it, it is read once.
        file.read = Some(stamp);
        let read = Arc::new(read::file(&self.path, self.column)?);
        let mut ranges = self.ranges.write().unwrap_or_else(PoisonError::into_inner);
        *ranges = read.clone();
        Ok(Some(read))
    }
}

#[cfg(test)]
mod tests;
