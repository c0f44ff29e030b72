//! Blocks come out whole and in order, whichever way they go and however little the socket takes at once.

use super::*;
use metainfo::geometry::RawRequest;
use metainfo::{Format, Info, Layout, PieceLength};
use std::path::Path;
use store::pass::Progress;

const LENGTH: usize = 300_000;
const BLOCK: u32 = 16 * 1024;

/// Two files of which one block has a part of each, and what they hold.
fn torrent(folder: &Path) -> (Payload, Info, Vec<u8>) {
    let root = folder.join("x");
    std::fs::create_dir(&root).unwrap();
    let bytes: Vec<u8> = (0..LENGTH).map(|at| (at / 7) as u8).collect();
    let (a, b) = bytes.split_at(200_000);
    std::fs::write(root.join("a"), a).unwrap();
    std::fs::write(root.join("b"), b).unwrap();
    let files = [("a", a.len()), ("b", b.len())].map(|(name, n)| (vec![name.to_owned()], n as u64));
    let piece_length = PieceLength::new((2 * BLOCK).into()).unwrap();
    let layout = Layout::folder("x", files, Format::V1, Some(piece_length)).unwrap();
    let want = store::Want {
        pieces: true,
        roots: false,
    };
    let hashed = store::hash(&layout, folder, want, 1, &Progress::default()).unwrap();
    let info = Info::make(&layout, &hashed.hashes, false, None);
    (Payload::new(folder, &info, &[]), info, bytes)
}

/// All blocks, and the messages that they are.
fn blocks(info: &Info, bytes: &[u8]) -> (Vec<Block>, Vec<u8>) {
    let geometry = info.geometry();
    let (mut blocks, mut messages) = (Vec::new(), Vec::new());
    for start in (0..LENGTH as u32).step_by(BLOCK as usize) {
        let raw = RawRequest {
            piece: start / (2 * BLOCK),
            begin: start % (2 * BLOCK),
            length: BLOCK.min(LENGTH as u32 - start),
        };
        let block = geometry.block(raw).unwrap();
        let range = geometry.block_range(block);
        messages.extend_from_slice(&piece_header(block));
        messages.extend_from_slice(&bytes[range.start as usize..range.end as usize]);
        blocks.push(block);
    }
    (blocks, messages)
}

#[test]
fn copies_are_the_messages_in_order_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let (payload, info, bytes) = torrent(folder.path());
    let (blocks, messages) = blocks(&info, &bytes);
    let mut outgoing = Outgoing::default();
    outgoing.refill().extend(&blocks);
    assert_eq!(outgoing.length(), messages.len());
    let geometry = info.geometry();
    let first = outgoing.copy_resident(&payload, &geometry).unwrap();
    assert!(first.is_none(), "no file is open");
    let mut sent = Vec::new();
    while !outgoing.is_empty() {
        let copied = match outgoing.copy_resident(&payload, &geometry).unwrap() {
            Some(copied) => copied,
            None => outgoing.cold(geometry).read(&payload).unwrap(),
        };
        assert!(copied.bytes.len() <= COPY);
        let (bytes, begun) = outgoing.hand_over(copied);
        assert_eq!(begun, 0);
        sent.extend_from_slice(&bytes);
    }
    assert!(sent == messages);
    assert_eq!(outgoing.length(), 0);
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod lending {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    /// A socket that takes little at once, and its other end.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(near, listener.accept());
        let near = near.unwrap();
        let socket = socket2::SockRef::from(&near);
        socket.set_send_buffer_size(8 * 1024).unwrap();
        (near, far.unwrap().0)
    }

    #[tokio::test]
    async fn what_is_lent_is_the_messages_in_order_in_whatever_portions() {
        let folder = tempfile::tempdir().unwrap();
        let (payload, info, bytes) = torrent(folder.path());
        let (blocks, messages) = blocks(&info, &bytes);
        let (mut near, mut far) = pair().await;
        let length = messages.len();
        let reader = tokio::spawn(async move {
            let mut got = vec![0; length];
            far.read_exact(&mut got).await.unwrap();
            got
        });
        let geometry = info.geometry();
        let mut outgoing = Outgoing::default();
        outgoing.refill().extend(&blocks);
        let (mut lent, mut copied_blocks) = (0, 0);
        while !outgoing.is_empty() {
            let sent = poll_fn(|cx| outgoing.poll_lend(cx, &near, &payload, &geometry)).await;
            match sent {
                Ok(Lent::Sent(sent)) => lent += sent,
                Ok(Lent::Unable) => {
                    let copied = outgoing.cold(geometry).read(&payload).unwrap();
                    copied_blocks += copied.blocks;
                    let (bytes, begun) = outgoing.hand_over(copied);
                    tokio::io::AsyncWriteExt::write_all(&mut near, &bytes[begun..])
                        .await
                        .unwrap();
                }
                Err(_) => panic!("it can't be sent"),
            }
        }
        assert!(reader.await.unwrap() == messages);
        // Copied are the first blocks, before any file is open, and those around the one that lies in both files.
        assert!(copied_blocks <= 6, "{copied_blocks} blocks were copied");
        assert!(lent > 200_000, "{lent} bytes were lent");
    }

    #[tokio::test]
    async fn a_file_that_changes_stops_the_batch() {
        let folder = tempfile::tempdir().unwrap();
        let (payload, info, bytes) = torrent(folder.path());
        let (blocks, _) = blocks(&info, &bytes);
        let (near, _far) = pair().await;
        let geometry = info.geometry();
        payload.open_window(&(0..1)).unwrap();
        let mut outgoing = Outgoing::default();
        outgoing.refill().extend(&blocks[..2]);
        let path = folder.path().join("x/a");
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_len(100).unwrap();
        let sent = poll_fn(|cx| outgoing.poll_lend(cx, &near, &payload, &geometry)).await;
        assert!(matches!(
            sent,
            Err(LendError::Payload(PayloadError::Changed(_)))
        ));
        assert!(!outgoing.is_begun(), "no byte of it went out");
    }
}
