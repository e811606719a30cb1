//! Endpoints on a virtual network and a virtual clock: bad weather, attackers, floods and names.

mod clock;
mod net;

mod attacks;
mod flood;
mod names;
mod proofs;
mod quiet;
mod weather;
