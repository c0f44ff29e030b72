//! The thread that writes what is fetched: blocks in the order in which they came, pieces hashed once they are whole.
//! One a fetch. What waits for it is bounded, so a slow disk slows the peers down and fills no memory.

use bytes::Bytes;
use metainfo::PieceIndex;
use metainfo::geometry::Block;
use std::sync::Arc;
use store::{Incoming, IncomingError};
use swarm::picker::BlockDigest;
use tokio::sync::mpsc;

/// How many blocks wait to be written.
const WAITING: usize = 256;

/// What is to be done, in order.
#[derive(Debug)]
pub(super) enum Work {
    Write {
        block: Block,
        bytes: Bytes,
    },
    /// Every block of the piece has been written.
    Verify {
        piece: PieceIndex,
        /// The digests of its blocks are wanted even where it is right.
        suspect: bool,
    },
    /// Every piece is right: put the files in their place.
    Finish,
}

/// What has come of it.
#[derive(Debug)]
pub(super) enum Done {
    Verified {
        piece: PieceIndex,
        right: bool,
        digests: Vec<BlockDigest>,
    },
    Finished,
    /// Nothing more is written.
    Failed(IncomingError),
}

/// Starts the thread. `placed` is called once the files are in their place.
pub(super) fn start(
    incoming: Arc<Incoming>,
    placed: Box<dyn FnOnce() + Send>,
) -> std::io::Result<(mpsc::Sender<Work>, mpsc::UnboundedReceiver<Done>)> {
    let (orders, mut work) = mpsc::channel(WAITING);
    let (tell, done) = mpsc::unbounded_channel();
    let run = move || {
        let (mut buffer, mut placed) = (Vec::new(), Some(placed));
        while let Some(work) = work.blocking_recv() {
            let outcome = carry_out(&incoming, work, &mut buffer, &mut placed);
            let failed = outcome.is_err();
            if let Some(done) = outcome.unwrap_or_else(|error| Some(Done::Failed(error))) {
                // Who has stopped listening has stopped fetching.
                let _ = tell.send(done);
            }
            if failed {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("incoming".into())
        .spawn(run)?;
    Ok((orders, done))
}

fn carry_out(
    incoming: &Incoming,
    work: Work,
    buffer: &mut Vec<u8>,
    placed: &mut Option<Box<dyn FnOnce() + Send>>,
) -> Result<Option<Done>, IncomingError> {
    match work {
        Work::Write { block, bytes } => {
            incoming.write(block, &bytes)?;
            Ok(None)
        }
        Work::Verify { piece, suspect } => {
            let right = incoming.verify(piece, buffer)?;
            let digests = if suspect || !right {
                incoming.block_digests(piece)?
            } else {
                Vec::new()
            };
            Ok(Some(Done::Verified {
                piece,
                right,
                digests,
            }))
        }
        Work::Finish => {
            let placed = placed.take();
            incoming.finish(|| placed.into_iter().for_each(|placed| placed()))?;
            Ok(Some(Done::Finished))
        }
    }
}
