//! The laboratory: an authority that issues any certificate, also a wrong one, and ends of
//! conversations that never touch a network.
//!
//! ```text
//!   Authority ── issue(Leaf) ──▶ Issued ──▶ Scene ──▶ Pair { client ◀── wire ──▶ server }
//!                                                        │
//!                          what each side came to  ◀─────┘   and every byte that was on the wire
//! ```
//!
//! ```
//! use countersign_lab::{Authority, Leaf, Scene};
//!
//! let authority = Authority::new("root");
//! let server = authority.issue(Leaf::new().dns("db1.example.com"));
//! let scene = Scene::new(&authority).server_shows(&server).asking("postgres/db1.example.com");
//! let ending = scene.pair().handshake();
//! let evidence = ending.client.unwrap();
//! assert_eq!(evidence.peer().unwrap().name(), &"postgres/db1.example.com".parse().unwrap());
//! ```
//!
//! It never ships: private keys lie about in it, and it panics where a product would answer with
//! an error, because a test has nobody to tell.

#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]

mod authority;
pub use authority::{Authority, Charter};

mod leaf;
pub use leaf::{KeyUsage, Leaf};

mod issued;
pub use issued::{Issued, Written};

mod scene;
pub use scene::Scene;

mod end;
pub use end::End;

mod stranger;
pub use stranger::Stranger;

mod wire;
pub use wire::Wire;

mod pair;
pub use pair::{Ending, Pair, Side};

mod process;
pub use process::{Process, free_port};

mod kdc;
pub use kdc::{Domain, Elsewhere, Kdc, Realm, elsewhere, peer_of_elsewhere, within};
mod stage;
pub use stage::{Seen, on_stage};

mod clock;
pub use clock::now;
