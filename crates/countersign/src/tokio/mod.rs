//! The same sockets for programs on tokio.
//!
//! One set of types says what is wanted: policies, names and settings are staged on
//! [`Socket`](crate::Socket) and [`Context`] as in blocking programs, and what comes
//! out of them is waited for here. A secured [`TcpStream`] is `AsyncRead + AsyncWrite`, a
//! [`TcpListener`] hands out clients that have been authenticated, a [`UdpSocket`] carries datagrams
//! to many peers.
//!
//! **What never blocks the executor.** Host names are resolved, and the files of the context
//! looked at, on tokio's threads for blocking work. Handshakes are computed where they are awaited:
//! about 0.3 ms for each side.
//!
//! ```no_run
//! use countersign::tokio::TcpStream;
//! use tokio::io::AsyncWriteExt;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut stream = TcpStream::connect("db1.example.com:5432", "postgres/db1.example.com").await?;
//! stream.write_all(b"hello").await?;
//! stream.flush().await?;
//! # Ok(())
//! # }
//! ```

mod listener;
pub use listener::{Incoming, TcpListener};

mod registered;

mod split;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};

mod stream;
pub use stream::TcpStream;

mod udp;
pub use udp::UdpSocket;

use std::io;
use std::net::SocketAddr;

use ::tokio::net::{ToSocketAddrs, lookup_host};
use ::tokio::task::spawn_blocking;

use crate::{Context, Error, entropy};

/// Resolves an address as tokio does, and never to nothing.
async fn resolve(address: impl ToSocketAddrs) -> Result<Vec<SocketAddr>, Error> {
    let resolving = || Error::io("resolve the address");
    let found: Vec<SocketAddr> = lookup_host(address).await.map_err(resolving())?.collect();
    if found.is_empty() {
        return Err(resolving()(io::ErrorKind::NotFound.into()));
    }
    Ok(found)
}

/// Reads the context of the host, away from the executor.
async fn host() -> Result<Context, Error> {
    match spawn_blocking(Context::host).await {
        Ok(context) => context,
        Err(error) => Err(Error::io("read the policy")(io::Error::other(error))),
    }
}

/// Looks at the files of a context if it is time to, away from the executor, and returns a
/// context that never looks at them by itself. The first time it also has the generator of random
/// numbers made ready there.
async fn looked_at(context: &Context) -> Context {
    if context.is_look_due() || !entropy::is_ready() {
        let looking = context.clone();
        let look = move || {
            entropy::prepare();
            looking.look();
        };
        // It cannot fail but by a panic, and then the last good generation stays in force.
        let _ = spawn_blocking(look).await;
    }
    context.without_looks()
}
