//! The task against made-up peers.

use super::*;
use metainfo::PieceLength;

fn about() -> About {
    let length = PieceLength::new(16 << 10).expect("a valid length");
    About {
        geometry: Geometry::new(length, 100_000).expect("few pieces"),
        swarm: SwarmHash([7; 20]),
        private: false,
        slots: 1,
        spread: true,
        figures: Arc::new(TorrentFigures::new(100_000)),
        metrics: Arc::default(),
        uplink: None,
        gone: CancellationToken::new(),
        stop: CancellationToken::new(),
    }
}

fn joining(n: u8) -> Joining {
    Joining {
        world: World::Native,
        remote: SocketAddr::new([127, 0, 0, n].into(), 4000),
        peer_id: PeerId([n; 20]),
        outgoing: false,
    }
}

async fn join(handle: &SwarmHandle, tasks: &TaskTracker, n: u8) -> Membership {
    handle.join(about, joining(n), tasks).await.unwrap()
}

/// The next command of a kind; others are passed over.
async fn next<T>(member: &mut Membership, of: impl Fn(Command) -> Option<T>) -> T {
    loop {
        let command = member.commands.recv().await.expect("the task lives");
        if let Some(found) = of(command) {
            return found;
        }
    }
}

fn shown(command: Command) -> Option<PieceIndex> {
    match command {
        Command::Show(piece) => Some(piece),
        _ => None,
    }
}

#[tokio::test]
async fn first_copies_are_shown_piece_by_piece() {
    let (handle, tasks) = (SwarmHandle::default(), TaskTracker::new());
    let mut first = join(&handle, &tasks, 1).await;
    let mut second = join(&handle, &tasks, 2).await;
    assert_eq!(tasks.len(), 1);
    let none = Own::Some(wire::bitfield::Bitfield::none(7));
    assert_eq!((&first.own, first.upload_only), (&none, false));
    let mut seen = Vec::new();
    for member in [&mut first, &mut second] {
        member.tell(Event::HasNone).await;
        member.tell(Event::Interested(true)).await;
        seen.push(next(member, shown).await);
    }
    assert_ne!(seen[0], seen[1], "two peers are shown different pieces");
    drop((first, second));
    // The task ends with its last peer, and a later peer finds a new one.
    tasks.close();
    tasks.wait().await;
    tasks.reopen();
    let mut third = join(&handle, &tasks, 3).await;
    third.tell(Event::HasNone).await;
    third.tell(Event::Interested(true)).await;
    next(&mut third, shown).await;
}

#[tokio::test]
async fn without_spreading_everything_is_shown() {
    let (handle, tasks) = (SwarmHandle::default(), TaskTracker::new());
    let about = || About {
        spread: false,
        ..about()
    };
    let mut member = handle.join(about, joining(1), &tasks).await.unwrap();
    assert_eq!(member.own, Own::All);
    member.tell(Event::Interested(true)).await;
    assert_eq!(member.commands.recv().await, Some(Command::Choke(false)));
}

#[tokio::test]
async fn a_peer_may_ask_for_what_it_is_shown() {
    let (handle, tasks) = (SwarmHandle::default(), TaskTracker::new());
    let mut member = join(&handle, &tasks, 1).await;
    member.tell(Event::Interested(true)).await;
    let unchoked = |command| matches!(command, Command::Choke(false)).then_some(());
    next(&mut member, unchoked).await;
}

#[tokio::test]
async fn of_two_connections_that_cross_one_is_kept() {
    let (handle, tasks) = (SwarmHandle::default(), TaskTracker::new());
    let _first = join(&handle, &tasks, 1).await;
    let _again = join(&handle, &tasks, 1).await;
    let crossing = Joining {
        outgoing: true,
        ..joining(1)
    };
    let crossing = handle.join(about, crossing, &tasks).await;
    assert_eq!(crossing.err(), Some(CloseReason::NotNeeded));
}

#[tokio::test]
async fn a_torrent_that_is_gone_lets_its_peers_go() {
    let (handle, tasks, gone) = (
        SwarmHandle::default(),
        TaskTracker::new(),
        CancellationToken::new(),
    );
    let about = || About {
        gone: gone.clone(),
        ..about()
    };
    let mut first = handle.join(about, joining(1), &tasks).await.unwrap();
    gone.cancel();
    let closed = |command| match command {
        Command::Close(reason) => Some(reason),
        _ => None,
    };
    assert_eq!(next(&mut first, closed).await, CloseReason::Withdrawn);
    let late = handle.join(about, joining(2), &tasks).await;
    assert_eq!(late.err(), Some(CloseReason::Withdrawn));
}
