//! Endpoints on a virtual network and a virtual clock: bad weather, attackers, floods and names.

mod clock;
mod net;
mod prover;
mod stranger;

mod attacks;
mod flood;
mod names;
mod proof_attacks;
mod proof_weather;
mod proofs;
mod quiet;
mod weather;
