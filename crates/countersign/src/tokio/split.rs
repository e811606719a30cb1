//! A stream in two halves, for two tasks.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::TcpStream;
use super::stream::Shared;
use crate::core::Evidence;

/// The half that reads.
#[derive(Debug)]
pub struct OwnedReadHalf(pub(super) Arc<Shared>);

/// The half that writes. Dropping it tells the peer that no more will come, as far as that goes
/// without waiting; `shutdown().await` waits.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    shared: Arc<Shared>,
    ends_with_drop: bool,
}

/// Two halves that are not of one stream.
#[derive(Debug, thiserror::Error)]
#[error("the two halves are not of the same stream")]
#[non_exhaustive]
pub struct ReuniteError {
    /// The half that reads.
    pub reader: OwnedReadHalf,
    /// The half that writes.
    pub writer: OwnedWriteHalf,
}

impl OwnedReadHalf {
    /// Returns what protects the connection; `None` is cleartext.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.0.stream().evidence()
    }

    /// Becomes the stream again.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], with both, if `writer` is of another stream.
    pub fn reunite(self, mut writer: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.0, &writer.shared) {
            return Err(ReuniteError { reader: self, writer });
        }
        writer.ends_with_drop = false;
        Ok(TcpStream { shared: self.0 })
    }
}

impl OwnedWriteHalf {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, ends_with_drop: true }
    }

    /// Returns what protects the connection; `None` is cleartext.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.shared.stream().evidence()
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.ends_with_drop {
            // What finds no room now goes when the other half is dropped.
            let _ = self.shared.stream().shutdown(Shutdown::Write);
        }
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(task, into)
    }
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        plain: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_write(task, plain)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_write_vectored(task, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.shared.poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.shared.poll_shutdown(task)
    }
}
