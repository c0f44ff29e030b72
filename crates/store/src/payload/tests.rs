//! The three ways to the bytes of a payload, and what a changed file does to them.

use super::*;
use crate::pass::{Progress, Want, hash};
use metainfo::{Format, Layout, PieceLength};
use std::fs::File;

fn payload(folder: &Path, format: Format) -> (Payload, Info) {
    let root = folder.join("x");
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(root.join("a"), [b'a'; 20_000]).unwrap();
    std::fs::write(root.join("b"), [b'b'; 10]).unwrap();
    let files = [(vec!["a".to_owned()], 20_000), (vec!["b".to_owned()], 10)];
    let layout =
        Layout::folder("x", files, format, Some(PieceLength::new(16384).unwrap())).unwrap();
    let want = Want {
        pieces: true,
        roots: true,
    };
    let hashed = hash(&layout, folder, want, 1, &Progress::default()).unwrap();
    let recorded: Vec<_> = hashed
        .stats
        .iter()
        .copied()
        .filter(Option::is_some)
        .collect();
    let info = Info::make(&layout, &hashed.hashes, false, None);
    (Payload::new(folder, &info, &recorded), info)
}

#[test]
fn ranges_cross_files_and_pads_are_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let (v1, _) = payload(folder.path(), Format::V1);
    let mut out = b"kept".to_vec();
    v1.read(19_999..20_003, &mut out).unwrap();
    assert_eq!(out, b"keptabbb");
    let (hybrid, _) = payload(folder.path(), Format::Hybrid);
    out.clear();
    hybrid.read(19_999..20_002, &mut out).unwrap();
    assert_eq!(out, b"a\0\0");
    out.clear();
    hybrid.read(32_767..32_769, &mut out).unwrap();
    assert_eq!(out, b"\0b");
    assert!(matches!(
        v1.read(20_009..20_011, &mut out),
        Err(PayloadError::OutOfRange { .. })
    ));
    assert_eq!(out, b"\0b");
}

#[test]
fn a_changed_file_is_not_read_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (payload, _) = payload(folder.path(), Format::V1);
    payload.check().unwrap();
    let mut out = Vec::new();
    payload.read(0..10, &mut out).unwrap();
    let path = folder.path().join("x/a");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    for result in [payload.check(), payload.read(0..10, &mut out)] {
        assert!(matches!(result, Err(PayloadError::Changed(at)) if at == path));
    }
    assert_eq!(out.len(), 10);
    file.set_len(3).unwrap();
    assert!(payload.read(0..10, &mut out).is_err());
    std::fs::remove_file(&path).unwrap();
    payload.close();
    assert!(matches!(
        payload.read(0..10, &mut out),
        Err(PayloadError::Read { .. })
    ));
}

#[cfg(unix)]
#[test]
fn another_link_to_the_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (payload, _) = payload(folder.path(), Format::V1);
    std::fs::hard_link(folder.path().join("x/a"), folder.path().join("linked")).unwrap();
    payload.check().unwrap();
}

#[test]
fn what_is_in_memory_is_read_without_waiting_once_it_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let (payload, _) = payload(folder.path(), Format::Hybrid);
    let mut out = Vec::new();
    assert!(
        !payload.read_resident(0..10, &mut out).unwrap(),
        "no file is open"
    );
    assert_eq!(out, b"");
    payload.read(19_999..20_002, &mut out).unwrap();
    if cfg!(target_os = "linux") {
        out.clear();
        assert!(payload.read_resident(19_999..20_002, &mut out).unwrap());
        assert_eq!(out, b"a\0\0");
    }
    File::options()
        .write(true)
        .open(folder.path().join("x/a"))
        .and_then(|file| file.set_len(10))
        .unwrap();
    out.clear();
    let read = payload.read_resident(0..20, &mut out);
    assert!(matches!(read, Err(PayloadError::Changed(_))), "{read:?}");
    assert_eq!(out, b"");
}

#[test]
fn files_of_all_torrents_together_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let (_, info) = payload(folder.path(), Format::V1);
    let payloads: Vec<Payload> = (0..OPEN_IN_ALL)
        .map(|_| Payload::new(folder.path(), &info, &[]))
        .collect();
    let read = |payload: &Payload| {
        let mut out = Vec::new();
        payload.read(0..20_010, &mut out).unwrap();
        out.len()
    };
    for payload in &payloads {
        assert_eq!(read(payload), 20_010);
    }
    let open: usize = payloads.iter().map(|p| p.opened().files.len()).sum();
    assert!(open <= OPEN_IN_ALL, "{open}");
    assert_eq!(read(&payloads[0]), 20_010, "it is opened again");
}

#[test]
fn files_that_move_with_their_root_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let (payload, _) = payload(folder.path(), Format::V1);
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::rename(folder.path().join("x"), other.join("x")).unwrap();
    let mut out = Vec::new();
    assert!(payload.read(0..1, &mut out).is_err());
    payload.relocate(&other);
    payload.read(0..1, &mut out).unwrap();
    payload.check().unwrap();
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod windows {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_window_feeds_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        let (payload, _) = payload(folder.path(), Format::V1);
        assert!(payload.window(&(0..10)).is_none(), "nothing is open yet");
        let window = payload.open_window(&(0..10)).unwrap();
        assert!(window.covers(&(0..20_000)) && !window.covers(&(19_999..20_001)));
        assert!(
            payload.open_window(&(19_999..20_001)).is_none(),
            "it lies in two files"
        );
        assert!(payload.window(&(5..20_000)).is_some());
        window.guard().unwrap();
        assert_eq!(window.resident(17..20_000), 20_000 - 17);
        let (near, mut far) = UnixStream::pair().unwrap();
        let parts = [
            Part::Bytes(b"head"),
            Part::Payload(19_990..20_000),
            Part::Bytes(b"tail"),
        ];
        assert_eq!(window.send(near.as_fd(), &parts).unwrap(), 18);
        drop(near);
        let mut got = Vec::new();
        far.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"headaaaaaaaaaatail");
        payload.close();
        assert!(payload.window(&(0..10)).is_none());
        window.guard().unwrap();
    }

    #[test]
    fn a_file_that_shrinks_under_a_window_is_an_error_and_no_signal() {
        let folder = tempfile::tempdir().unwrap();
        let (payload, _) = payload(folder.path(), Format::V1);
        let window = payload.open_window(&(0..10)).unwrap();
        let path = folder.path().join("x/a");
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(0).unwrap();
        assert_eq!(window.resident(0..10), 0);
        let (near, _far) = UnixStream::pair().unwrap();
        let error = window
            .send(near.as_fd(), &[Part::Payload(0..10)])
            .unwrap_err();
        for changed in [window.blame(&error), window.guard().err()] {
            assert!(matches!(changed, Some(PayloadError::Changed(at)) if at == path));
        }
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(window.blame(&broken).is_none(), "that is the socket's");
    }

    #[test]
    fn what_was_dropped_from_memory_is_told_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (payload, _) = payload(folder.path(), Format::V1);
        let window = payload.open_window(&(0..10)).unwrap();
        let file = File::open(folder.path().join("x/a")).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        // Where files live in memory alone, nothing can be dropped.
        let left = window.resident(0..20_000);
        assert!(left == 0 || left == 20_000, "{left}");
        payload.read_ahead(std::iter::once(0..20_000));
        let mut out = Vec::new();
        payload.read(0..20_000, &mut out).unwrap();
        assert_eq!(window.resident(0..20_000), 20_000);
    }
}
