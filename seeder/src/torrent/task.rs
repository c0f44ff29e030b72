//! The task itself: what comes in, what is decided, what goes out.

use super::disk::Done;
use super::exchange::{Exchange, Told};
use super::fetching::{Fetch, Fetching};
use super::member::Member;
use super::seeding::Seeding;
use super::{About, Admission, Input, Joining, Scarce};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm::choker::{Choker, Kind, Policy};
use swarm::divide;
use tokio::sync::mpsc;
use wire::allowed_fast::allowed_fast;
use wire::connection::{CloseReason, Command, Event, Own};
use wire::extended::pex::PexFlags;

/// How often turns and lists of peers are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How many pieces a peer that waits for a slot may have without one.
const ALLOWED: usize = 4;
/// How many messages are taken up before it is decided on them.
const BATCH: usize = 256;
/// How many peers are told of others in one go, and how long until the next go.
const TOLD_AT_ONCE: usize = 32;
const TELL_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked for members whose leave was lost.
const CENSUS: Duration = Duration::from_secs(60);

/// Runs until the last peer has gone.
pub(super) async fn run(about: About, inbox: mpsc::Receiver<Input>) {
    let role = |scarce: &Arc<Scarce>| {
        let seeding = Seeding::new(&about, scarce.clone());
        Role::Seed(Box::new(seeding))
    };
    // Nothing comes from a disk that isn't written to.
    let (_never, done) = mpsc::unbounded_channel();
    Task::new(about.clone(), Kind::Seed, role)
        .run(inbox, done)
        .await;
}

/// Makes ready what runs until nobody wants the torrent any more.
pub(super) fn fetch(
    about: About,
    fetch: Fetch,
    inbox: mpsc::Receiver<Input>,
) -> std::io::Result<impl Future<Output = ()>> {
    let (fetching, done) = Fetching::new(fetch, about.figures.clone())?;
    let role = |_: &_| Role::Fetch(Box::new(fetching));
    Ok(Task::new(about, Kind::Fetch, role).run(inbox, done))
}

/// What we are to the torrent.
enum Role {
    /// We hold it whole.
    Seed(Box<Seeding>),
    /// We want it.
    Fetch(Box<Fetching>),
}

struct Task {
    about: About,
    members: HashMap<u64, Member>,
    choker: Choker,
    role: Role,
    exchange: Exchange,
    scarce: Arc<Scarce>,
    /// How many of them we have connected to.
    n_outgoing: usize,
    /// Members that want something or did a moment ago: what others cost is nothing, but once a second.
    active: HashSet<u64>,
    count: Count,
    /// How often bounds had bitten when that was last passed on.
    counted: [u64; 3],
    next_census: Instant,
    next_tick: Instant,
    wake_at: Instant,
    /// It is served no longer, and nobody is let in.
    over: bool,
}

impl Task {
    fn new(about: About, kind: Kind, role: impl FnOnce(&Arc<Scarce>) -> Role) -> Self {
        let scarce = Arc::new(Scarce::new(about.geometry.n_pieces()));
        let now = Instant::now();
        let policy = Policy {
            slots: about.slots,
            ..Policy::default()
        };
        Self {
            members: HashMap::new(),
            choker: Choker::new(now, kind, policy, rand::random()),
            role: role(&scarce),
            exchange: Exchange::default(),
            scarce,
            n_outgoing: 0,
            active: HashSet::new(),
            count: Count::default(),
            counted: [0; 3],
            next_census: now + CENSUS,
            next_tick: now + TICK,
            wake_at: now + TICK,
            over: false,
            about,
        }
    }

    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Input>,
        mut done: mpsc::UnboundedReceiver<Done>,
    ) {
        let timer = tokio::time::sleep_until(self.next_tick.into());
        tokio::pin!(timer);
        let (gone, stop) = (self.about.gone.clone(), self.about.stop.clone());
        loop {
            tokio::select! {
                input = inbox.recv() => {
                    let Some(input) = input else {
                        return;
                    };
                    self.handle(input).await;
                    // A crowd is decided on at once, not one by one.
                    for _ in 0..BATCH {
                        let Ok(input) = inbox.try_recv() else {
                            break;
                        };
                        self.handle(input).await;
                    }
                }
                Some(done) = done.recv() => {
                    if let Role::Fetch(fetching) = &mut self.role {
                        fetching.handle_done(done, &mut self.members).await;
                        if fetching.is_complete() {
                            self.choker.handle_kind(Kind::Seed);
                        }
                    }
                }
                () = timer.as_mut() => {
                    self.wake_at = self.next_tick;
                    self.wake();
                }
                () = gone.cancelled(), if !self.over => self.end(),
                () = stop.cancelled(), if !self.over => self.end(),
            }
            // What comes in between must not put the next look off.
            self.wake_at = self.wake_at.min(self.decide());
            if timer.deadline() != self.wake_at.into() {
                timer.as_mut().reset(self.wake_at.into());
            }
        }
    }

    /// Lets everybody go.
    fn end(&mut self) {
        self.over = true;
        for member in self.members.values() {
            member.command(Command::Close(CloseReason::Withdrawn));
        }
    }

    async fn handle(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Join {
                key,
                joining,
                commands,
                sent,
                answer,
            } => {
                let admission = self.join(now, key, joining, Member::new(joining, commands, sent));
                if let Err(Ok(_)) = answer.send(admission) {
                    self.leave(key);
                }
            }
            Input::Event { key, event } => self.handle_event(now, key, event).await,
            Input::Leave { key } => self.leave(key),
            input => {
                if let Role::Fetch(fetching) = &mut self.role {
                    let members = &mut self.members;
                    match input {
                        Input::Candidates(addresses) => {
                            fetching.add_candidates(now, addresses, members);
                        }
                        Input::Undialled(address) => fetching.handle_undialled(now, address),
                        Input::WebSeed { key, runs } => {
                            fetching.add_web_seed(now, key, runs, members);
                        }
                        Input::Join { .. } | Input::Event { .. } | Input::Leave { .. } => {}
                    }
                }
            }
        }
    }

    fn join(
        &mut self,
        now: Instant,
        key: u64,
        joining: Joining,
        mut member: Member,
    ) -> Result<Admission, CloseReason> {
        // Two that connect to each other at the same time need one connection. Who comes again the same way has
        // lost its first one, which we may not know yet.
        let crossing = |other: &Member| {
            other.joining.peer_id == joining.peer_id && other.joining.outgoing != joining.outgoing
        };
        if self.over {
            return Err(CloseReason::Withdrawn);
        }
        let may_cross = joining.outgoing || self.n_outgoing > 0;
        if may_cross && self.members.values().any(crossing) {
            return Err(CloseReason::NotNeeded);
        }
        let (own, upload_only) = match &mut self.role {
            // Who is shown little isn't told that we want nothing: libtorrent leaves such a peer at once.
            Role::Seed(seeding) => {
                let own = seeding.join(now, key, joining.world);
                let upload_only = own == Own::All;
                (own, upload_only)
            }
            Role::Fetch(fetching) => (fetching.join(key, &joining)?, fetching.is_complete()),
        };
        if let Role::Seed(seeding) = &self.role {
            member.is_metered = seeding.is_metered(key);
        }
        let is_metered = member.is_metered;
        self.n_outgoing += usize::from(joining.outgoing);
        self.active.insert(key);
        self.count.enter(&member);
        self.members.insert(key, member);
        // What lives on this machine is many, not one that comes again.
        let ip = joining.remote.ip().to_canonical();
        let address = Some(ip).filter(|ip| !ip.is_loopback());
        self.choker.handle_join(now, key, address);
        self.choker.handle_metered(key, is_metered);
        Ok(Admission {
            own,
            upload_only,
            scarce: self.scarce.clone(),
        })
    }

    async fn handle_event(&mut self, now: Instant, key: u64, event: Event) {
        if let Some(member) = self.members.get_mut(&key) {
            let before = member.n_have();
            self.count.leave(member);
            member.handle_event(&event, self.about.geometry.n_pieces());
            if let Event::Introduced(introduced) = &event {
                member.introduce(introduced);
            }
            self.count.enter(member);
            match &event {
                Event::Interested(interested) => {
                    self.choker.handle_interest(now, key, *interested);
                    self.active.insert(key);
                }
                Event::Have(piece) if member.n_have() > before => {
                    let gained = self.about.geometry.piece_len(*piece);
                    self.about.figures.gained(gained.into());
                }
                Event::Introduced(introduced) => {
                    if introduced.speaks_pex() && !self.about.private && member.exchange.is_none() {
                        let told = member.exchange.insert(Told::new(now));
                        self.exchange.enter(told, key);
                    }
                    if let (false, Some(address)) = (member.is_told_of, member.listens_at()) {
                        member.is_told_of = true;
                        self.exchange.came(address, flags(member));
                    }
                }
                _ => {}
            }
        }
        match &mut self.role {
            Role::Seed(seeding) => {
                if let Some(member) = self.members.get(&key) {
                    seeding.handle_event(now, key, member, &event);
                    // Two that have everything part.
                    if member.n_have() == self.about.geometry.n_pieces() {
                        member.command(Command::UploadOnly);
                    }
                }
            }
            Role::Fetch(fetching) => {
                fetching
                    .handle_event(now, key, event, &mut self.members)
                    .await;
            }
        }
    }

    fn leave(&mut self, key: u64) {
        if let Some(member) = self.members.remove(&key) {
            self.n_outgoing -= usize::from(member.joining.outgoing);
            self.active.remove(&key);
            self.count.leave(&member);
            if let Some(told) = &member.exchange {
                self.exchange.leave(told, key);
            }
            let now = Instant::now();
            self.choker.handle_leave(now, key);
            match &mut self.role {
                Role::Seed(seeding) => seeding.leave(now, key),
                Role::Fetch(fetching) => fetching.leave(key, &member),
            }
            if let Some(address) = member.listens_at().filter(|_| member.is_told_of) {
                self.exchange.went(address);
            }
        } else if let Role::Fetch(fetching) = &mut self.role {
            fetching.remove_web_seed(key);
        }
    }

    /// Time has passed.
    fn wake(&mut self) {
        let now = Instant::now();
        if let (Role::Seed(seeding), Some((uplink, _))) = (&mut self.role, &self.about.uplink) {
            seeding.handle_uplink(uplink.rate().is_some() && uplink.figures().waiting > 0);
        }
        for key in &self.active {
            let Some(member) = self.members.get_mut(key) else {
                continue;
            };
            if let Some(sent) = member.news_of_sent() {
                self.choker.handle_sent(now, *key, sent);
                if let Role::Seed(seeding) = &mut self.role {
                    seeding.handle_sent(now, *key, sent);
                }
            }
            match &self.role {
                Role::Seed(seeding) => {
                    let is_metered = seeding.is_metered(*key);
                    if is_metered != std::mem::replace(&mut member.is_metered, is_metered) {
                        self.choker.handle_metered(*key, is_metered);
                    }
                }
                Role::Fetch(_) => self.choker.handle_received(now, *key, member.received),
            }
        }
        self.tell_of_others(now);
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.tick(now);
            let members = &self.members;
            self.active
                .retain(|key| members.get(key).is_some_and(Member::is_active));
        }
    }

    /// About once a second.
    fn tick(&mut self, now: Instant) {
        if now >= self.next_census {
            self.next_census = now + CENSUS;
            let gone = self.members.iter().filter(|(_, member)| member.is_gone());
            let gone: Vec<u64> = gone.map(|(key, _)| *key).collect();
            for key in gone {
                self.leave(key);
            }
        }
        self.allow_fast();
        self.count_bounds();
        match &mut self.role {
            Role::Seed(seeding) => seeding.report(),
            Role::Fetch(fetching) => fetching.tick(now, &mut self.members),
        }
        if let Some((uplink, release)) = &self.about.uplink {
            self.choker.handle_limit(uplink.rate());
            if let Role::Seed(seeding) = &self.role {
                let weight = divide::weight(&seeding.standing(self.count.interested));
                uplink.set_weight(release, Some(weight.into()));
            }
        }
        let Count {
            seeds,
            interested,
            unchoked,
        } = self.count;
        let figures = &self.about.figures;
        figures.set_swarm(seeds as u64, interested as u64, unchoked as u64);
    }

    /// Passes on how often bounds have bitten since the last time.
    fn count_bounds(&mut self) {
        let withheld = match &self.role {
            Role::Seed(seeding) => seeding.n_withheld(),
            Role::Fetch(_) => 0,
        };
        let metrics = &self.about.metrics;
        let counted = [
            (&metrics.peers_kept_out, self.choker.n_kept_out()),
            (&metrics.peers_forgotten, self.choker.n_forgotten()),
            (&metrics.pieces_withheld, withheld),
        ];
        for ((counter, now), before) in counted.into_iter().zip(&mut self.counted) {
            counter.add(now - std::mem::replace(before, now));
        }
    }

    /// Tells those whose time has come which peers there are, a few at once.
    fn tell_of_others(&mut self, now: Instant) {
        for _ in 0..TOLD_AT_ONCE {
            let Some(key) = self.exchange.poll_due(now) else {
                break;
            };
            let Some(member) = self.members.get_mut(&key) else {
                continue;
            };
            let Some(told) = &mut member.exchange else {
                continue;
            };
            let message = self.exchange.tell(now, told, member.joining.remote);
            self.exchange.enter(told, key);
            if let Some(message) = message {
                member.command(Command::Pex(message));
            }
        }
    }

    /// Who has come with empty hands and finds all slots taken gets a few pieces to trade with (BEP 6).
    fn allow_fast(&mut self) {
        let geometry = self.about.geometry;
        if !matches!(self.role, Role::Seed(_)) {
            return;
        }
        for key in &self.active {
            let member = self.members.get_mut(key);
            let Some(member) = member.filter(|member| {
                member.interested && member.choked && !member.is_allowed && !member.is_metered
            }) else {
                continue;
            };
            member.is_allowed = true;
            if member.n_have() < ALLOWED as u32 {
                let ip = member.joining.remote.ip();
                let pieces = allowed_fast(ip, &self.about.swarm, &geometry, ALLOWED);
                member.command(Command::AllowFast(pieces));
            }
        }
    }

    /// Decides what has come up, and gives the time of the next look.
    fn decide(&mut self) -> Instant {
        let now = Instant::now();
        while let Some(change) = self.choker.poll_change(now) {
            if let Some(member) = self.members.get_mut(&change.key) {
                self.count.leave(member);
                member.choked = change.choke;
                self.count.enter(member);
                member.command(Command::Choke(change.choke));
                if let Role::Seed(seeding) = &mut self.role {
                    seeding.handle_choked(now, change.key, change.choke);
                }
            }
        }
        let next = match &mut self.role {
            Role::Seed(seeding) => {
                seeding.reveal(now, &self.members);
                seeding.next_timeout(now)
            }
            Role::Fetch(fetching) => {
                fetching.ask_around(now, &mut self.members);
                None
            }
        };
        // One go after the other, where many are to be told.
        let told = self
            .exchange
            .next_timeout()
            .map(|at| at.max(now + TELL_PAUSE));
        let next = [next, told, self.choker.next_timeout(now)];
        next.into_iter()
            .flatten()
            .fold(self.next_tick, Instant::min)
    }
}

/// How many members there are of a kind, kept up as they change.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    seeds: usize,
    interested: usize,
    unchoked: usize,
}

impl Count {
    /// A member is, or has come to be, like this.
    fn enter(&mut self, member: &Member) {
        self.seeds += usize::from(member.is_seed);
        self.interested += usize::from(member.interested);
        self.unchoked += usize::from(!member.choked);
    }

    /// A member is no longer like this.
    fn leave(&mut self, member: &Member) {
        self.seeds -= usize::from(member.is_seed);
        self.interested -= usize::from(member.interested);
        self.unchoked -= usize::from(!member.choked);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some((uplink, release)) = &self.about.uplink {
            uplink.set_weight(release, None);
        }
    }
}

fn flags(member: &Member) -> PexFlags {
    let mut flags = PexFlags::default();
    if member.is_seed {
        flags = flags.with(PexFlags::SEED);
    }
    if member.joining.outgoing {
        flags = flags.with(PexFlags::REACHABLE);
    }
    flags
}
