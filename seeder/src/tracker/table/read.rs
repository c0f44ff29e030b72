//! Reads a table line by line: first and last address (as text, or as a decimal number), then columns in which a
//! country's two letters or an AS number are looked for where the known tables have them.

use super::ranges::Ranges;
use super::{Column, TableError};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

/// The most bytes of a file that are read, unpacked: the free tables have less than a tenth of it.
const BYTES: u64 = 1 << 30;
/// The longest line that is looked at.
const LINE: u64 = 4096;
/// The columns that are looked at: two addresses and two more.
const COLUMNS: usize = 4;

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    /// Lines that made no sense.
    pub broken: u64,
}

impl Read {
    /// What the table holds for an address; 0 for nothing.
    pub fn of(&self, ip: IpAddr) -> u32 {
        match ip {
            IpAddr::V4(ip) => self.v4.of(ip.to_bits()),
            IpAddr::V6(ip) => self.v6.of(ip.to_bits()),
        }
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

/// A country's letters as a table's value; other bytes are none.
fn country(letters: &[u8]) -> Option<u32> {
    let letters: [u8; 2] = letters.try_into().ok()?;
    let known = letters.iter().all(u8::is_ascii_alphabetic);
    known.then(|| u32::from(u16::from_be_bytes(letters.map(|l| l.to_ascii_uppercase()))))
}

/// The letters of a value; zeros where it is none.
pub fn letters(value: u32) -> [u8; 2] {
    let [_, _, first, second] = value.to_be_bytes();
    [first, second]
}

/// Reads a file. Blocking.
pub fn file(path: &Path, column: Column) -> Result<Read, TableError> {
    let failed = |source| TableError::Read {
        path: path.to_owned(),
        source,
    };
    let mut plain = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
    let packed = plain.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    let (read, lines) = match packed {
        true => from(
            BufReader::with_capacity(1 << 16, MultiGzDecoder::new(plain)),
            column,
        ),
        false => from(plain, column),
    }
    .map_err(failed)?;
    // A heading or two are no reason to do without a table; a table of something else is.
    if read.len() == 0 || read.broken > lines / 2 {
        return Err(TableError::Content {
            path: path.to_owned(),
            lines,
            broken: read.broken,
        });
    }
    Ok(read)
}

/// What one line says.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Range(IpAddr, IpAddr, u32),
    /// Nothing is known of these addresses, or the line is a comment.
    Nothing,
    Broken,
}

/// The ranges, and how many lines there were with something in them.
fn from(reader: impl BufRead, column: Column) -> io::Result<(Read, u64)> {
    let mut reader = reader.take(BYTES);
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    let (mut lines, mut broken) = (0, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        lines += 1;
        match parse(line.trim_ascii(), column) {
            Line::Range(IpAddr::V4(first), IpAddr::V4(last), value) => {
                v4.push((first.to_bits(), last.to_bits(), value));
            }
            Line::Range(IpAddr::V6(first), IpAddr::V6(last), value) => {
                v6.push((first.to_bits(), last.to_bits(), value));
            }
            Line::Range(..) | Line::Broken => broken += 1,
            Line::Nothing => {}
        }
    }
    let read = Read {
        v4: Ranges::pack(v4),
        v6: Ranges::pack(v6),
        broken,
    };
    Ok((read, lines))
}

fn parse(line: &[u8], column: Column) -> Line {
    if line.is_empty() || line.starts_with(b"#") {
        return Line::Nothing;
    }
    let columns = split(line);
    let Some((first, last)) = range(columns[0], columns[1]) else {
        return Line::Broken;
    };
    let value = match column {
        Column::Country => country_in(columns[2], columns[3]),
        Column::Network => network_in(columns[2], columns[3]),
    };
    match value {
        Some(0) => Line::Nothing,
        Some(value) if first <= last => Line::Range(first, last, value),
        _ => Line::Broken,
    }
}

/// DB-IP and IP2Location have the country behind the addresses, iptoasn an AS number first.
fn country_in(third: &[u8], fourth: &[u8]) -> Option<u32> {
    let field = match number(third) {
        Some(_) => fourth,
        None => third,
    };
    match field {
        // What the tables write where there is none.
        b"-" | b"ZZ" | b"None" | b"" => Some(0),
        letters => country(letters),
    }
}

/// DB-IP and iptoasn have the AS number behind the addresses, IP2Location the range in short first.
fn network_in(third: &[u8], fourth: &[u8]) -> Option<u32> {
    let field = if third.contains(&b'/') { fourth } else { third };
    if matches!(field, b"-" | b"") {
        return Some(0);
    }
    let digits = field.strip_prefix(b"AS").unwrap_or(field);
    u32::try_from(number(digits)?).ok()
}

/// Both ends of a range, of one family.
fn range(first: &[u8], last: &[u8]) -> Option<(IpAddr, IpAddr)> {
    if let (Some(first), Some(last)) = (number(first), number(last)) {
        let small = u32::try_from(first).ok().zip(u32::try_from(last).ok());
        return Some(match small {
            Some((first, last)) => (IpAddr::V4(first.into()), IpAddr::V4(last.into())),
            // IPv6 tables by number hold IPv4 as well, mapped.
            None => (
                Ipv6Addr::from(first).to_canonical(),
                Ipv6Addr::from(last).to_canonical(),
            ),
        });
    }
    let ip = |text: &[u8]| -> Option<IpAddr> {
        let ip: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
        Some(ip.to_canonical())
    };
    Some((ip(first)?, ip(last)?))
}

fn number(digits: &[u8]) -> Option<u128> {
    let plain = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| plain)?
        .parse()
        .ok()
}

/// The first columns, without their quotes; those that are missing are empty. Names behind them are not looked at, so
/// what they contain doesn't matter.
fn split(line: &[u8]) -> [&[u8]; COLUMNS] {
    let separator = if line.contains(&b'\t') { b'\t' } else { b',' };
    let mut columns = [&line[..0]; COLUMNS];
    let mut rest = line;
    for column in &mut columns {
        let (field, behind) = match rest.strip_prefix(b"\"") {
            Some(quoted) => cut(quoted, b'"'),
            None => cut(rest, separator),
        };
        *column = field.trim_ascii();
        let quoted = rest.starts_with(b"\"");
        rest = match (quoted, behind) {
            (true, behind) => cut(behind, separator).1,
            (false, behind) => behind,
        };
    }
    columns
}

/// What is before a byte, and what is behind it.
fn cut(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == at) {
        Some(found) => (&text[..found], &text[found + 1..]),
        None => (text, &text[text.len()..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_form_is_understood() {
        let range = |first: &str, last: &str, value| {
            Line::Range(first.parse().unwrap(), last.parse().unwrap(), value)
        };
        let code = |letters: &[u8; 2]| country(letters).unwrap();
        let check = |line: &str, column, expected: Line| {
            assert_eq!(parse(line.as_bytes(), column), expected, "{line}");
        };
        let cloudflare = |value| range("1.0.0.0", "1.0.0.255", value);
        let country = |line, expected| check(line, Column::Country, expected);
        // DB-IP lite
        country("1.0.0.0,1.0.0.255,AU", cloudflare(code(b"AU")));
        country(
            "2001:200::,2001:200:ffff:ffff:ffff:ffff:ffff:ffff,JP",
            range(
                "2001:200::",
                "2001:200:ffff:ffff:ffff:ffff:ffff:ffff",
                code(b"JP"),
            ),
        );
        country("10.0.0.0,10.255.255.255,ZZ", Line::Nothing);
        // IP2Location lite, IPv4 and IPv6
        country(
            "\"16777216\",\"16777471\",\"US\",\"United States of America\"",
            cloudflare(code(b"US")),
        );
        country("\"0\",\"16777215\",\"-\",\"-\"", Line::Nothing);
        country(
            "\"281470698520576\",\"281470698520831\",\"US\",\"United States of America\"",
            cloudflare(code(b"US")),
        );
        country("\"0\",\"281470681743359\",\"-\",\"-\"", Line::Nothing);
        country(
            "\"42540528726795050063891204319802818560\",\"42540528806023212578155541913346768895\",\"JP\",\"Japan\"",
            range(
                "2001:200::",
                "2001:200:ffff:ffff:ffff:ffff:ffff:ffff",
                code(b"JP"),
            ),
        );
        // iptoasn, by country and by network
        country("1.0.0.0\t1.0.0.255\tAU", cloudflare(code(b"AU")));
        country(
            "1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUDFLARENET",
            cloudflare(code(b"US")),
        );
        country("1.0.1.0\t1.0.3.255\t0\tNone\tNot routed", Line::Nothing);
        let network = |line, expected| check(line, Column::Network, expected);
        network(
            "1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUDFLARENET",
            cloudflare(13335),
        );
        network("1.0.1.0\t1.0.3.255\t0\tNone\tNot routed", Line::Nothing);
        network(
            "1.0.0.0,1.0.0.255,13335,\"Cloudflare, Inc.\"",
            cloudflare(13335),
        );
        network(
            "\"16777216\",\"16777471\",\"1.0.0.0/24\",\"13335\",\"CloudFlare Inc.\"",
            cloudflare(13335),
        );
        network(
            "\"0\",\"16777215\",\"0.0.0.0/8\",\"-\",\"-\"",
            Line::Nothing,
        );
    }

    #[test]
    fn what_is_no_range_is_broken() {
        for line in [
            "start,end,country",
            "1.0.0.255,1.0.0.0,AU",
            "1.0.0.0,2001::,AU",
            "1.0.0.0",
            "1.0.0.0,1.0.0.255,AUS",
            "\"1",
            "99999999999999999999999999999999999999999999,1,AU",
        ] {
            let line = parse(line.as_bytes(), Column::Country);
            let mixed = matches!(line, Line::Range(IpAddr::V4(_), IpAddr::V6(_), _));
            assert!(line == Line::Broken || mixed, "{line:?}");
        }
        assert_eq!(
            parse(b"1.0.0.0,1.0.0.255,ASX", Column::Network),
            Line::Broken
        );
        assert_eq!(
            parse(b"1.0.0.0,1.0.0.255,99999999999", Column::Network),
            Line::Broken
        );
        assert_eq!(parse(b"# a comment", Column::Country), Line::Nothing);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            for column in [Column::Country, Column::Network] {
                let (_, lines) = from(&bytes[..], column).unwrap();
                proptest::prop_assert!(lines <= bytes.len() as u64);
            }
        }
    }
}
