//! The nodes of the DHT that were known when the seeder stopped: by these it is entered faster the next time, and
//! without asking the public entry nodes. One JSON list of `ip:port`.

use std::net::SocketAddrV4;
use std::path::Path;

/// The most nodes that are written down, and read.
const MAX: usize = 64;
/// The longest file that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// Nodes of an earlier run; none where there was no such run, or its file makes no sense.
pub(super) fn read(file: &Path) -> Vec<SocketAddrV4> {
    let short = std::fs::metadata(file).is_ok_and(|found| found.len() <= MAX_BYTES);
    let text = short.then(|| std::fs::read_to_string(file).ok()).flatten();
    let nodes: Vec<String> = text
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let nodes = nodes.iter().filter_map(|node| node.parse().ok());
    nodes.take(MAX).collect()
}

/// Writes nodes down. That they are remembered is a convenience: a failure is told and passed over.
pub(super) fn write(file: &Path, nodes: &[String]) {
    let nodes = &nodes[..nodes.len().min(MAX)];
    let text = serde_json::to_string(nodes).expect("a list of texts is JSON");
    let folder = file.parent().unwrap_or(Path::new("."));
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        store::atomic::write_atomic(file, text.as_bytes()).map_err(std::io::Error::other)
    });
    if let Err(error) = written {
        tracing::debug!("nodes of the DHT aren't remembered: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_remembered_and_nonsense_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/dht-nodes.json");
        assert_eq!(read(&file), []);
        let nodes: Vec<String> = (0..100).map(|n| format!("10.0.0.{n}:6881")).collect();
        write(&file, &nodes);
        let found = read(&file);
        assert_eq!((found.len(), found[7].to_string()), (MAX, nodes[7].clone()));
        for nonsense in ["", "{", "[\"x\", \"1.2.3.4\"]", "[1]"] {
            std::fs::write(&file, nonsense).unwrap();
            assert_eq!(read(&file), [], "{nonsense}");
        }
        std::fs::write(&file, vec![b' '; 1 << 20]).unwrap();
        assert_eq!(read(&file), []);
    }
}
