//! Connections that we open: by TCP, in the clear or encrypted as the policy has it, and by uTP where TCP finds nobody.

use super::line::{Line, Stream};
use super::{Connection, Output, Peer};
use crate::library::Served;
use crate::serve::Shared;
use metainfo::SwarmHash;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};
use wire::encryption::Policy;

/// How long a peer may take to answer a call.
const PATIENCE: Duration = Duration::from_secs(10);
/// Calls a peer that is said to be in a torrent's swarm, and serves the connection until it ends. Returns when that
/// has happened, or when nobody has answered.
pub async fn connect(
    shared: Arc<Shared>,
    remote: SocketAddr,
    torrent: Arc<Served>,
    swarm: SwarmHash,
) {
    let call = Call {
        shared: &shared,
        remote,
        torrent: &torrent,
        swarm,
    };
    let policy = shared.config.encryption;
    match call.tcp().await {
        Ok(stream) => {
            let agreed = call.hold(stream, policy == Policy::Required).await;
            // Who takes nothing in the clear hangs up on it.
            if !agreed
                && policy == Policy::Offered
                && !shared.stop.is_cancelled()
                && let Ok(stream) = call.tcp().await
            {
                call.hold(stream, true).await;
            }
        }
        Err(error) => {
            tracing::debug!("{remote}: {error}");
            if let Some(utp) = &shared.utp
                && let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, utp.connect(remote)).await
            {
                call.hold(stream, policy == Policy::Required).await;
            }
        }
    }
}

struct Call<'a> {
    shared: &'a Arc<Shared>,
    remote: SocketAddr,
    torrent: &'a Arc<Served>,
    swarm: SwarmHash,
}

impl Call<'_> {
    async fn tcp(&self) -> io::Result<TcpStream> {
        let socket = match self.remote {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Who binds us to one address wants us to be seen there alone.
        if let Some(bind) = self.shared.config.bind
            && bind.is_ipv4() == self.remote.is_ipv4()
            && !is_any(bind)
        {
            socket.bind(SocketAddr::new(bind, 0))?;
        }
        let stream = tokio::time::timeout(PATIENCE, socket.connect(self.remote)).await??;
        // Small messages such as requests don't wait for more.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// Serves the connection; says whether the peer was in the swarm.
    async fn hold<S: Stream>(&self, stream: S, encrypted: bool) -> bool {
        let now = Instant::now();
        let v2 = self.torrent.info.info_hash_v2().map(|v2| v2.truncated());
        let mut connection = Connection::connect(now, self.shared.settings, self.swarm, v2);
        let line = match connection.poll_output(now).filter(|_| encrypted) {
            Some(Output::Send(greeting)) => {
                let policy = self.shared.config.encryption;
                // It goes along with the request for encryption.
                connection.handle_sent(now, greeting.len());
                Line::encrypted(stream, policy, self.swarm, greeting.into())
            }
            _ => {
                connection = Connection::connect(now, self.shared.settings, self.swarm, v2);
                Line::plain(stream)
            }
        };
        let mut peer = Peer::new(self.shared, line, self.remote, connection);
        peer.is_ours = true;
        peer.called_for = Some(self.torrent.clone());
        peer.live().await
    }
}

fn is_any(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    }
}
