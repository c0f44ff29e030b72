//! A stream of which some was read already: that comes first.

use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream with the bytes put back.
pub(super) struct Rewind<S> {
    front: Bytes,
    stream: S,
}

impl<S> Rewind<S> {
    pub(super) fn new(front: Bytes, stream: S) -> Self {
        Self { front, stream }
    }

    /// What hasn't been read again, and the stream.
    pub(super) fn into_parts(self) -> (Bytes, S) {
        (self.front, self.stream)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.front.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, out);
        }
        let length = self.front.len().min(out.remaining());
        out.put_slice(&self.front[..length]);
        self.front.advance(length);
        if self.front.is_empty() {
            // Gives the buffer back.
            self.front = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn what_was_put_back_comes_first_whatever_the_buffer() {
        let mut stream = Rewind::new(Bytes::from_static(b"GET /"), &b"index.html"[..]);
        let mut start = [0; 3];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"GET");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b" /index.html");
        assert_eq!(stream.into_parts().0, Bytes::new());
    }
}
