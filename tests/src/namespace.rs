//! Addresses for foreign clients: a loopback address each, or, for the one that ignores loopback peers, a
//! network namespace joined to this one by a veth pair. Namespaces go with the value.

use crate::process::run;
use crate::programs::{Tool, foreign};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A number that no other test process and no other call in this one uses now.
fn unique() -> u32 {
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    std::process::id().wrapping_mul(64).wrapping_add(n % 64)
}

/// A loopback address of one's own: aria2 bans by address, and two clients on one address look like one.
pub fn loopback() -> Ipv4Addr {
    let n = unique();
    // 127.64.0.0 and up, so that 127.0.0.1 (ours) is never among them.
    Ipv4Addr::from((127 << 24) | (1 << 22) | (n & 0x003f_ffff))
}

/// A network namespace with one link to the namespace of the test.
pub struct Namespace {
    ip: PathBuf,
    name: String,
    /// The address of the test's side of the link; the seeder listens there.
    pub outside: Ipv4Addr,
    /// The address of the client's side.
    pub inside: Ipv4Addr,
}

impl Namespace {
    /// Makes one. Needs the rights of root.
    #[track_caller]
    pub fn make() -> Self {
        let ip = foreign("ip", Tool::Transmission);
        let n = unique();
        // Subnets of four addresses in 10.64.0.0/10.
        let base = (10 << 24) | (64 << 16) | ((n & 0x000f_ffff) << 2);
        let name = format!("gs{n:x}");
        let space = Namespace {
            ip,
            name,
            outside: Ipv4Addr::from(base + 1),
            inside: Ipv4Addr::from(base + 2),
        };
        let (near, far) = (format!("{}a", space.name), format!("{}b", space.name));
        space.ip(&format!("netns add {}", space.name));
        space.ip(&format!("link add {near} type veth peer name {far}"));
        space.ip(&format!("link set {far} netns {}", space.name));
        space.ip(&format!("addr add {}/30 dev {near}", space.outside));
        space.ip(&format!("link set {near} up"));
        let inner = format!("-n {}", space.name);
        space.ip(&format!("{inner} addr add {}/30 dev {far}", space.inside));
        space.ip(&format!("{inner} link set {far} up"));
        space.ip(&format!("{inner} link set lo up"));
        space
    }

    /// A command that will run inside.
    pub fn command(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new(&self.ip);
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    #[track_caller]
    fn ip(&self, words: &str) {
        run(Command::new(&self.ip).args(words.split(' '))).success();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The veth pair goes with the namespace.
        let _ = Command::new(&self.ip)
            .args(["netns", "del", &self.name])
            .status();
    }
}
