//! What one peer's task does while it runs: commands, the clock, bytes out, bytes in, none of them waited for alone.
//! A turn ends when nothing moves any more, or when the peer has had its share and others wait.

use super::line::{LineError, Stream};
use super::outgoing::{BATCH, Copied};
use super::{Peer, Served};
use crate::uplink::class_of_block;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use store::PayloadError;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFuture;
use wire::connection::CloseReason;

/// How many bytes one peer may move before others have their turn.
pub(super) const BUDGET: usize = BATCH;
/// How many bytes of messages may wait for a peer that goes on talking before it is read no more.
const MOST_HELD: usize = 64 * 1024;

/// A read on a thread that may wait for the disk.
pub(super) type ColdRead =
    Pin<Box<dyn Future<Output = Option<Result<Copied, PayloadError>>> + Send>>;

impl<S: Stream> Peer<'_, S> {
    /// Moves whatever can be moved now; waits only where nothing can.
    pub(super) fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
        timer: Pin<&mut Sleep>,
        stop: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> Poll<Result<(), LineError>> {
        let mut moved = self.poll_commands(context, stop).is_ready();
        if timer.poll(context).is_ready() {
            self.connection.handle_timeout(Instant::now());
            self.outgoing.rest();
            moved = true;
        }
        if let Poll::Ready(sent) = self.poll_send(context) {
            self.spent += sent?;
            moved = true;
        }
        let read = self.line.is_read() && self.line.held() < MOST_HELD;
        if read && self.connection.wants_input() {
            let library = || self.shared.library();
            let came = self.line.poll_read(context, &mut self.connection, library);
            if let Poll::Ready(came) = came {
                self.spent += came?;
                moved = true;
            }
        }
        if moved {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Takes what was decided elsewhere.
    fn poll_commands(
        &mut self,
        context: &mut Context<'_>,
        stop: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> Poll<()> {
        let Some(member) = &mut self.member else {
            // Who is no member yet has nobody else to say so.
            ready!(stop.poll(context));
            self.connection.close(CloseReason::Withdrawn);
            return Poll::Ready(());
        };
        match ready!(member.commands.poll_recv(context)) {
            Some(command) => self.connection.handle_command(Instant::now(), command),
            // The torrent's task has ended under us: it panicked. This peer can't be served on.
            None => self.connection.close(CloseReason::Withdrawn),
        }
        Poll::Ready(())
    }

    /// Sends what is on its way, then what the peer has asked for. Gives how many bytes, 0 where something else has
    /// happened.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, LineError>> {
        loop {
            if self.line.is_flying() {
                let sent = ready!(self.line.poll_write(context, &mut self.connection))?;
                if let Some(socket) = self.line.socket() {
                    self.backlog.handle_sent(Instant::now(), socket, sent);
                }
                return Poll::Ready(Ok(sent));
            }
            if self.outgoing.is_empty() {
                if self.line.release() {
                    continue;
                }
                ready!(self.poll_take_blocks(context));
            }
            let Some(torrent) = &self.torrent else {
                return Poll::Pending;
            };
            let (payload, geometry) = (&torrent.payload, torrent.info.geometry());
            let copied = if let Some(cold) = &mut self.cold {
                let read = ready!(cold.as_mut().poll(context));
                self.cold = None;
                match read {
                    Some(read) => read.map(Some),
                    // The seeder is stopping.
                    None => return Poll::Pending,
                }
            } else {
                #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
                if let Some(socket) = self.line.plain_socket() {
                    use super::outgoing::{LendError, Lent};
                    let lent = self.outgoing.poll_lend(context, socket, payload, &geometry);
                    match ready!(lent) {
                        Ok(Lent::Sent(sent)) => {
                            let now = Instant::now();
                            self.connection.handle_sent(now, sent);
                            self.backlog.handle_sent(now, socket, sent);
                            return Poll::Ready(Ok(sent));
                        }
                        Ok(Lent::Unable) => {}
                        Err(LendError::Socket(error)) => return Poll::Ready(Err(error.into())),
                        Err(LendError::Payload(error)) => return self.fail(&error),
                    }
                }
                self.outgoing.copy_resident(payload, &geometry)
            };
            match copied {
                Ok(Some(copied)) => {
                    let (bytes, sent) = self.outgoing.hand_over(copied);
                    self.line.fly(bytes, sent);
                }
                Ok(None) => self.cold = Some(self.read_cold(torrent.clone())),
                Err(error) => return self.fail(&error),
            }
        }
    }

    /// Takes the next blocks from the connection, once there are any and the uplink has room for them.
    fn poll_take_blocks(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (Some(tap), Some(torrent)) = (&mut self.tap, &self.torrent) else {
            return Poll::Pending;
        };
        let Some(first) = self.connection.next_request() else {
            tap.withdraw();
            return Poll::Pending;
        };
        let member = self.member.as_ref();
        let class = || {
            let scarce = member.is_some_and(|member| member.scarce.contains(first.piece()));
            class_of_block(&torrent.info, first, scarce)
        };
        let granted = ready!(tap.poll_acquire(context, class, BATCH));
        let into = self.outgoing.refill();
        self.connection.take_blocks(Instant::now(), granted, into);
        tap.settle(granted, self.outgoing.length());
        if self.outgoing.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Has blocks read that aren't in memory.
    fn read_cold(&self, torrent: Arc<Served>) -> ColdRead {
        let cold = self.outgoing.cold(torrent.info.geometry());
        self.shared.metrics.reads_cold.add(1);
        let reads = self.shared.reads.clone();
        Box::pin(async move {
            let place = reads.acquire_owned().await.ok()?;
            let read = tokio::task::spawn_blocking(move || {
                // Kept by the thread, not by the task: that may end while the disk still works.
                let _place = place;
                cold.read(&torrent.payload)
            });
            read.await.ok()
        })
    }

    /// The payload isn't what it should be.
    fn fail(&mut self, error: &PayloadError) -> Poll<Result<usize, LineError>> {
        if let Some(torrent) = &self.torrent {
            torrent.report(error);
        }
        self.shared.metrics.reads_failed.add(1);
        self.connection.close(CloseReason::Withdrawn);
        Poll::Ready(Ok(0))
    }

    /// Sends what is left of our messages, then ends the stream.
    pub(super) fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.line.is_flying() || self.line.release() {
            if ready!(self.line.poll_write(context, &mut self.connection)).is_err() {
                return Poll::Ready(());
            }
        }
        self.line.poll_shutdown(context).map(|_| ())
    }
}
