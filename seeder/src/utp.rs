//! Peers over uTP (BEP 29): the protocol is the `librqbit-utp` crate's; here are its socket, on the port that
//! peers use for TCP, and its bounds.

use crate::library::figures::Transport;
use crate::net::Incoming;
use crate::peer::Stream;
use librqbit_utp::{SocketOpts, UtpSocketUdp, UtpSocketUdpOpts, UtpStream};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a peer may send before it is read: requests are small.
const RECEIVE: NonZeroUsize = NonZeroUsize::new(32 << 10).expect("not zero");
/// What is kept until a peer acknowledges it, at most.
const SEND: NonZeroUsize = NonZeroUsize::new(512 << 10).expect("not zero");
/// A peer that is silent for so long is gone; BEP 3's keep-alive comes every two minutes.
const SILENCE: Duration = Duration::from_secs(180);

/// A socket on which peers come in.
pub struct Listener(Arc<UtpSocketUdp>);

/// The same socket, from which peers are called.
#[derive(Clone)]
pub struct Dialer(Arc<UtpSocketUdp>);

impl Listener {
    /// Binds an address; `[::]` stands for both families. At most `peers` connections at once.
    pub async fn bind(addr: SocketAddr, peers: usize, stop: CancellationToken) -> io::Result<Self> {
        let options = SocketOpts {
            vsock_rx_bufsize_bytes: Some(RECEIVE),
            vsock_tx_bufsize_bytes_max: Some(SEND),
            remote_inactivity_timeout: Some(SILENCE),
            max_live_vsocks: NonZeroUsize::new(peers),
            cancellation_token: stop,
            disable_nagle: true,
            ..SocketOpts::default()
        };
        UtpSocketUdp::new_udp_with_opts(addr, options, UtpSocketUdpOpts::default())
            .await
            .map(Self)
            .map_err(io::Error::other)
    }

    /// Calls peers from the same socket.
    pub fn dialer(&self) -> Dialer {
        Dialer(self.0.clone())
    }
}

impl Dialer {
    /// Calls a peer.
    pub async fn connect(&self, remote: SocketAddr) -> io::Result<UtpStream> {
        // A socket for both families knows addresses of the newer one alone.
        let remote = match (self.0.bind_addr().ip(), remote.ip()) {
            (IpAddr::V6(_), IpAddr::V4(ip)) => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), remote.port())
            }
            _ => remote,
        };
        self.0.connect(remote).await.map_err(io::Error::other)
    }
}

impl Stream for UtpStream {
    const TRANSPORT: Transport = Transport::Utp;
}

impl Incoming for Listener {
    type Stream = UtpStream;

    async fn next(&self) -> io::Result<(UtpStream, SocketAddr)> {
        let stream = self.0.accept().await.map_err(io::Error::other)?;
        let remote = stream.remote_addr();
        Ok((
            stream,
            SocketAddr::new(remote.ip().to_canonical(), remote.port()),
        ))
    }
}
