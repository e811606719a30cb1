//! Who the peer is to this host, and acting with its rights (SPEC 7.3, 8).
//!
//! ```text
//!  Evidence ──▶ PeerToken ── [[account]], NSS ──▶ Account ── impersonate ──▶ the calling thread
//! ```
//!
//! A [`PeerToken`] is what a connection knows of its peer. Policy says which local account acts for
//! it; while the thread impersonates, the kernel judges every access by that account's user and
//! groups, and no capability is in effect.
//!
//! ```no_run
//! use std::fs;
//! # let listener = countersign::TcpListener::bind("0.0.0.0:5433")?;
//! let (stream, _) = listener.accept()?;
//! // Opens only what the peer could open itself.
//! let report = stream.impersonate(|_| fs::read("/srv/reports/2026.txt"))??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Work is handed in as a closure, so that no future can be suspended in the middle of it and no
//! `return` leaves it: when the closure ends, in whatever way, the thread is who it was, or the
//! process is aborted. From async code call [`impersonate_scope`], which lends a thread.
//!
//! # What the thread is while it impersonates
//!
//! Real, effective, saved and file system ids and supplementary groups are the account's; effective,
//! inheritable and ambient capabilities are empty; the session keyring is new and empty. The order is
//! groups, group, user, and the reverse on the way back, and each time the kernel is asked afterwards
//! whether it is so. What cannot be taken back aborts the process. The first impersonation makes the
//! process undumpable and clears the thread's parent-death signal (prctl(2)); both stay so.
//!
//! # How the identity could be kept, or got out
//!
//! | way | what happens |
//! | --- | --- |
//! | panic, `return`, `?` in the closure | reverted on the way out |
//! | thread ends while it impersonates ([`assume`]) | its credentials end with it |
//! | `fork` inside | the child is the peer for good: its capabilities are gone before `fork` returns, and a revert there aborts it |
//! | `clone` inside by the bare system call, without `exec` | the child keeps the permitted capabilities, and could take them up |
//! | `exec` inside | the program is the peer: no capability passes, nor the server's session keyring |
//! | another thread of the process | is not touched: only per-thread calls are made |
//! | set-user-ID calls of the C library in another thread (signal 33) | fail in this thread, and the C library aborts the process rather than be of two minds |
//! | set-user-ID calls of the C library *inside* | **must not be made**: they change all threads, and those that are root obey |
//! | a thread started inside | **is the peer, for good**: clone(2) copies credentials; it has no effective capability and cannot impersonate. Start threads outside (pools start theirs on demand: warm them up) |
//! | a signal handler that runs on this thread | runs as the peer |
//! | descriptors opened inside | stay open with the peer's access; do not hand them to another peer's work |
//! | io_uring with SQPOLL, kernel and glibc AIO | run as whoever set them up, not as the peer |
//! | working directory, umask, root | belong to the process: changing them inside changes them for all |
//! | the thread's and the process's keyrings (`@t`, `@p`) | stay; only the session keyring is replaced. A thread that has impersonated once does not get its old session keyring back |
//! | the code inside itself | could take the permitted capabilities up again: impersonation is for the access checks of our own code, not a cage for a stranger's |
//! | other processes of the same account on this host | can send signals to the thread, which has their user id (kill(2)), so they can end the server; they cannot trace it or read its memory, which would take its permitted capabilities (ptrace(2)) |
//! | a token that is kept | works until policy or the account changes, also after the peer's certificate has expired |
//! | SELinux, AppArmor, seccomp, namespaces | stay the server's |

mod account;
pub use account::Account;

mod error;
pub use error::RightsError;

mod local_names;
pub use local_names::{LocalNames, set_local_names};

mod lookup;

mod mapping;
pub use mapping::{AccountSource, MappedAccount, map};

mod scope;
pub use scope::impersonate_scope;

mod sockets;

mod thread;
pub(crate) use thread::as_process;
pub use thread::{Impersonation, assume, impersonated, is_impersonating, may_impersonate, revert};

/// For programs that are started while a peer is impersonated.
pub use countersign_sys::set_apart;

mod token;
pub(crate) use token::can_act_for;
pub use token::{Claims, PeerToken, TokenKind};
