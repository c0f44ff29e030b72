//! What strangers may try, each in a test of its own: nothing of it reaches another browser or stays in memory.

use super::*;

#[tokio::test]
async fn nobody_takes_a_peer_id_over_or_stops_it() {
    let sockets = sockets(limits());
    let mut ada = Page::open(&sockets, "192.0.2.1").await;
    let mut eve = Page::open(&sockets, "192.0.2.9").await;
    ada.join(ONE, "ada", 0).await;
    let refused = eve.join(ONE, "ada", 0).await;
    assert!(
        refused["failure reason"]
            .as_str()
            .unwrap()
            .contains("peer id"),
        "{refused}"
    );
    assert_eq!(refused["info_hash"], ONE);
    let mut stop = announce(ONE, "ada", 0);
    stop["event"] = "stopped".into();
    eve.say(&stop).await;
    eve.hear().await;
    drop((eve.read, eve.write));
    eve.task.await.unwrap();
    let mut bob = Page::open(&sockets, "192.0.2.2").await;
    assert_eq!(bob.join(ONE, "bob", 1).await["incomplete"], 2);
    assert_eq!(ada.hear().await["peer_id"], id("bob"));
    // Her own socket stops her.
    ada.say(&stop).await;
    assert_eq!(ada.hear().await["incomplete"], 1);
}

#[tokio::test]
async fn what_is_no_message_closes_with_a_reason() {
    let good = announce(ONE, "ada", 0).to_string();
    let compressed = FrameHeader {
        rsv1: true,
        opcode: TEXT,
        mask: Some(MASK),
        ..FrameHeader::default()
    };
    let mut compressed_bytes = Vec::new();
    compressed.format(0, &mut compressed_bytes).unwrap();
    let unmasked = {
        let mut out = Vec::new();
        frames::text(&mut out, |out| out.extend_from_slice(good.as_bytes()));
        out
    };
    let long = vec![b' '; wire::tracker::websocket::MAX_MESSAGE];
    let mut in_parts = frame(TEXT, false, &long);
    in_parts.extend(frame(CONTINUE, true, b" "));
    let huge = [&[0x81, 0xff][..], &[0x7f; 8], &MASK].concat();
    let large_ping = frame(OpCode::Control(Control::Ping), true, &[0; 126]);
    let cases: [(&str, Vec<u8>, u16); 12] = [
        ("not masked", unmasked, 1007),
        ("compressed", compressed_bytes, 1007),
        (
            "a kind of frame that there isn't",
            vec![0x83, 0x80, 1, 2, 3, 4],
            1007,
        ),
        ("a part of nothing", frame(CONTINUE, true, b"x"), 1007),
        (
            "a message within another",
            [frame(TEXT, false, b"{"), frame(TEXT, true, b"{}")].concat(),
            1007,
        ),
        (
            "a ping in parts",
            frame(OpCode::Control(Control::Ping), false, b""),
            1007,
        ),
        ("a large ping", large_ping, 1007),
        ("no JSON", frame(TEXT, true, b"hello"), 1007),
        (
            "no UTF-8",
            frame(TEXT, true, b"{\"action\":\"\xff\"}"),
            1007,
        ),
        ("no action", frame(TEXT, true, b"{}"), 1007),
        ("too long in parts", in_parts, 1009),
        ("a length of exabytes", huge, 1009),
    ];
    let sockets = sockets(limits());
    for (name, bytes, code) in cases {
        let mut page = Page::open(&sockets, "192.0.2.1").await;
        page.send(&bytes).await;
        assert_eq!(page.code().await, Some(code), "{name}");
    }
    let metrics = &sockets.metrics;
    let closed = (
        metrics.ws_closed_malformed.get(),
        metrics.ws_closed_too_long.get(),
    );
    assert_eq!(closed, (10, 2));
    assert_nothing_held(&sockets);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_loses_offers_and_is_closed() {
    let limits = Limits {
        queue: 8192,
        description_bytes_per_second: 1 << 20,
        messages_per_second: 1000,
        ..limits()
    };
    let sockets = sockets(limits);
    let stop = CancellationToken::new();
    let running = tokio::spawn(sockets.clone().run(stop.clone()));
    let mut deaf = Page::open(&sockets, "192.0.2.1").await;
    deaf.say(&announce(ONE, "deaf", 0)).await;
    let mut ada = Page::open(&sockets, "192.0.2.2").await;
    let mut large = announce(ONE, "ada", 1);
    large["offers"][0]["offer"]["sdp"] = "x".repeat(4000).into();
    while sockets.metrics.ws_offers_dropped_slow.get() == 0 {
        ada.say(&large).await;
        ada.hear().await;
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert!(sockets.metrics.ws_offers_relayed.get() > 8);
    // It is given half a minute, and then its place is free. Ada, who answers pings, stays.
    while sockets.metrics.ws_closed_slow.get() == 0 {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    deaf.task.await.unwrap();
    ada.say(&announce(ONE, "ada", 0)).await;
    assert_eq!(ada.hear().await["incomplete"], 1);
    stop.cancel();
    assert_eq!(ada.code().await, Some(1001));
    running.await.unwrap();
    assert_nothing_held(&sockets);
}

#[tokio::test(start_paused = true)]
async fn the_silent_are_asked_and_then_closed() {
    let sockets = sockets(limits());
    let stop = CancellationToken::new();
    let running = tokio::spawn(sockets.clone().run(stop.clone()));
    let mut ada = Page::open(&sockets, "192.0.2.1").await;
    let silent = Page::open(&sockets, "192.0.2.2").await;
    let opened = Instant::now();
    let silent = tokio::spawn(async move {
        let code = silent.code().await;
        (code, opened.elapsed())
    });
    ada.join(ONE, "ada", 0).await;
    let ping = (OpCode::Control(Control::Ping), Vec::new());
    for _ in 0..10 {
        assert_eq!(ada.frame().await, Some(ping.clone()));
        ada.send(&frame(OpCode::Control(Control::Pong), true, b""))
            .await;
    }
    let (code, after) = silent.await.unwrap();
    assert_eq!(code, Some(1008));
    assert!((180..190).contains(&after.as_secs()), "{after:?}");
    assert!(opened.elapsed().as_secs() < 600);
    assert_eq!(sockets.metrics.ws_closed_silent.get(), 1);
    assert_eq!(ada.join(ONE, "ada", 0).await["incomplete"], 1);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_end_keeps_no_place() {
    let sockets = sockets(limits());
    let stop = CancellationToken::new();
    let running = tokio::spawn(sockets.clone().run(stop.clone()));
    let mut part = Page::open(&sockets, "192.0.2.1").await;
    part.send(&frame(TEXT, false, b"{")).await;
    let mut beginning = Page::open(&sockets, "192.0.2.1").await;
    beginning.send(&frame(TEXT, true, &[b' '; 60])[..30]).await;
    let opened = Instant::now();
    let dripping = tokio::spawn(async move {
        // Pings between the parts, and empty parts, don't end it.
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            part.send(&frame(OpCode::Control(Control::Ping), true, b""))
                .await;
            part.send(&frame(CONTINUE, false, b"")).await;
            while let Some((opcode, payload)) = part.frame().await {
                match opcode {
                    OpCode::Control(Control::Pong) => break,
                    OpCode::Control(Control::Close) => return payload,
                    _ => {}
                }
            }
        }
    });
    assert_eq!(beginning.code().await, Some(1008));
    assert_eq!(dripping.await.unwrap(), 1008_u16.to_be_bytes());
    assert!(opened.elapsed().as_secs() < 40);
    assert_eq!(sockets.metrics.ws_closed_slow.get(), 2);
    stop.cancel();
    running.await.unwrap();
    assert_nothing_held(&sockets);
}

#[tokio::test]
async fn one_socket_announces_only_so_many_torrents() {
    let name = |n: u32| format!("{n:020}");
    let tracked = |n: u32| Tracked {
        swarm: SwarmHash(name(n).as_bytes().try_into().unwrap()),
        id: n,
        p2p: Policy::Always,
        seeded: false,
    };
    let from = "192.0.2.1".parse().unwrap();
    let limits = Limits {
        messages_per_second: 1000,
        queue: 1 << 20,
        ..limits()
    };
    let open = StoreLimits {
        address_burst: 10_000,
        ..StoreLimits::default()
    };
    let tracker = Tracker::new(open, 7);
    tracker.set_tracked((0..1026).map(tracked));
    let statistics = sockets(limits).statistics.clone();
    let many = Sockets::new(Arc::new(tracker), statistics, Arc::default(), limits);
    let many = Arc::new(many);
    let mut bytes = Vec::new();
    // The last two are one too many each; a torrent that is known already is not.
    for n in (0..1026).chain([5]) {
        let message = announce(&name(n), "ada", 0).to_string();
        bytes.extend(frame(TEXT, true, message.as_bytes()));
    }
    let mut socket = many.open(Tape(&bytes), &[], from, None);
    let mut context = Context::from_waker(Waker::noop());
    while Pin::new(&mut socket).poll(&mut context).is_pending() {}
    assert_eq!(many.metrics.ws_swarms_refused.get(), 2);
    let answered = many.metrics.announces.get() + many.metrics.announces_refused.get();
    assert_eq!(answered, 1025);
    drop(socket);
    assert_nothing_held(&many);
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_passed_over_and_then_closed() {
    let limits = Limits {
        messages_per_second: 2,
        ..limits()
    };
    let sockets = sockets(limits);
    let mut ada = Page::open(&sockets, "192.0.2.1").await;
    let ping = frame(OpCode::Control(Control::Ping), true, b"");
    for _ in 0..100 {
        ada.send(&ping).await;
    }
    for _ in 0..60 {
        assert!(ada.frame().await.is_some());
    }
    tokio::time::advance(Duration::from_secs(25)).await;
    assert_eq!(
        ada.join(ONE, "ada", 0).await["incomplete"],
        1,
        "after a rest all is well"
    );
    assert_eq!(sockets.metrics.ws_messages_dropped.get(), 40);
    for _ in 0..200 {
        ada.send(&ping).await;
    }
    assert_eq!(ada.code().await, Some(1008));
    assert_eq!(sockets.metrics.ws_closed_flood.get(), 1);
    assert_nothing_held(&sockets);
}

#[tokio::test]
async fn too_many_bytes_of_descriptions_are_not_passed_on() {
    let limits = Limits {
        description_bytes_per_second: 100,
        ..limits()
    };
    let sockets = sockets(limits);
    let mut bob = Page::open(&sockets, "192.0.2.2").await;
    bob.join(ONE, "bob", 0).await;
    let mut ada = Page::open(&sockets, "192.0.2.1").await;
    let mut large = announce(ONE, "ada", 1);
    large["offers"][0]["offer"]["sdp"] = "x".repeat(2990).into();
    for _ in 0..4 {
        ada.say(&large).await;
        assert_eq!(ada.hear().await["incomplete"], 2);
    }
    let metrics = &sockets.metrics;
    let (passed, dropped) = (
        metrics.ws_offers_relayed.get(),
        metrics.ws_descriptions_dropped.get(),
    );
    assert!(
        (1..=2).contains(&passed) && passed + dropped == 4,
        "{passed} {dropped}"
    );
}

#[tokio::test]
async fn all_sockets_together_hold_no_more_than_is_allowed() {
    let limits = Limits {
        memory: 200_000,
        ..limits()
    };
    let sockets = sockets(limits);
    let mut pages = Vec::new();
    let beginning = &frame(TEXT, true, &[b' '; 60_000])[..59_000];
    for _ in 0..3 {
        let mut page = Page::open(&sockets, "192.0.2.1").await;
        page.send(beginning).await;
        pages.push(page);
    }
    let last = pages.pop().unwrap();
    assert_eq!(last.code().await, Some(1013));
    assert_eq!(sockets.metrics.ws_closed_memory.get(), 1);
    assert_eq!(sockets.metrics.ws_now.get(), 2);
    // Whoever ends what it says is answered all the same.
    sockets.budget.hold(limits.memory);
    let mut ada = Page::open(&sockets, "192.0.2.2").await;
    assert_eq!(ada.join(ONE, "ada", 0).await["incomplete"], 1);
    sockets.budget.release(limits.memory);
    pages.push(ada);
    for page in pages {
        drop((page.read, page.write));
        page.task.await.unwrap();
    }
    assert_nothing_held(&sockets);
}

/// A client that has sent everything already, and takes everything.
struct Tape<'a>(&'a [u8]);

impl AsyncRead for Tape<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.0.split_at(self.0.len().min(into.remaining()));
        into.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tape<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_million_malformed_frames_change_nothing() {
    const FRAMES: u64 = 1_000_000;
    let sockets = sockets(limits());
    let mut context = Context::from_waker(Waker::noop());
    // A fixed stream of numbers, so that every run sends the same.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize % below
    };
    let announce = announce(TWO, "eve", 1).to_string().into_bytes();
    let (mut sent, mut bytes) = (0, Vec::new());
    while sent < FRAMES {
        // A frame cut, of a wrong kind, not masked, too long, without JSON, with a byte of it turned around.
        bytes.clear();
        let text = match random(8) {
            0 => &announce[..random(announce.len() - 1)],
            1 => &announce[1 + random(announce.len() - 1)..],
            _ => b"[{}",
        };
        bytes.extend(frame(TEXT, true, text));
        match random(4) {
            0 => bytes[0] = (random(256) as u8) | 0x10,
            1 => bytes[1] = random(128) as u8,
            2 => bytes.truncate(random(bytes.len())),
            _ => {}
        }
        sent += 1;
        let from = "192.0.2.9".parse().unwrap();
        let mut socket = sockets.open(Tape(&bytes), &[], from, None);
        let mut turns = 0;
        while Pin::new(&mut socket).poll(&mut context).is_pending() {
            turns += 1;
            assert!(turns < 10, "{bytes:?}");
        }
    }
    let metrics = &sockets.metrics;
    let closed = metrics.ws_closed_malformed.get() + metrics.ws_closed_too_long.get();
    assert!(closed > FRAMES / 2, "{closed}");
    assert_eq!(metrics.announces.get(), 0);
    assert_nothing_held(&sockets);
}
