//! The functions whose instructions count, with those of everything that they call. callgrind is
//! told their names (`--toggle-collect`), so they are never inlined and never renamed alone.

use std::io::{Read, Write};

use countersign::TcpStream;
use countersign_lab::{Ending, Scene};

use crate::engines::{Ends, MESSAGE, PIECE};
use crate::sessions::Town;

/// Of a mebibyte.
const PIECES: usize = (1 << 20) / PIECE;

/// Returns what became of each, so that checking it is not counted.
#[inline(never)]
pub(crate) fn handshakes(scene: &Scene, times: usize) -> Vec<Ending> {
    (0..times).map(|_| scene.pair().handshake()).collect()
}

/// Returns what became of each: a session that is resumed, and the first word of the server, which
/// brings the next.
#[inline(never)]
pub(crate) fn resumed(town: &Town, times: usize) -> Vec<Ending> {
    (0..times).map(|_| town.meet()).collect()
}

/// Sends mebibytes, and returns how many bytes arrived.
#[inline(never)]
pub(crate) fn bulk(ends: &mut Ends, times: usize) -> usize {
    (0..times * PIECES).map(|_| ends.client_sends(PIECE)).sum()
}

/// Returns how many bytes arrived on both sides.
#[inline(never)]
pub(crate) fn round_trips(ends: &mut Ends, times: usize) -> usize {
    (0..times).map(|_| ends.client_sends(MESSAGE) + ends.server_sends(MESSAGE)).sum()
}

#[inline(never)]
pub(crate) fn socket_bulk(client: &mut TcpStream, server: &mut TcpStream, times: usize) -> usize {
    let (data, mut into) = ([0x5a; PIECE], [0; PIECE]);
    (0..times * PIECES).map(|_| exchange(client, server, &data, &mut into)).sum()
}

#[inline(never)]
pub(crate) fn socket_round_trips(
    client: &mut TcpStream,
    server: &mut TcpStream,
    times: usize,
) -> usize {
    let (data, mut into) = ([0x5a; MESSAGE], [0; MESSAGE]);
    let once =
        |_| exchange(client, server, &data, &mut into) + exchange(server, client, &data, &mut into);
    (0..times).map(once).sum()
}

/// Everything is there before it is read, so nobody waits on the other.
fn exchange(from: &mut TcpStream, to: &mut TcpStream, data: &[u8], into: &mut [u8]) -> usize {
    from.write_all(data).expect("a connection");
    from.flush().expect("a connection");
    to.read_exact(into).expect("a connection");
    into.len()
}
