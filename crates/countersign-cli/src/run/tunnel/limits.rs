//! What the kernel lets this process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a tunnel has open besides connections, generously: the listener, the reactor of each thread,
/// files that are looked at.
const OTHERS: u64 = 512;

/// Lets this process have the descriptors of `connections`, as far as it may by itself: two for
/// each, and one for each handshake. What still lacks is said when it does (EMFILE).
pub(super) fn raise_descriptors(connections: u32, handshakes: usize) {
    let handshakes = u64::try_from(handshakes).unwrap_or(u64::MAX);
    let wanted = (u64::from(connections) * 2).saturating_add(handshakes).saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None is no limit.
    let Some(current) = current else { return };
    let wanted = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if wanted > current {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}
