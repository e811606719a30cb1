//! Capabilities of the calling thread (capabilities(7)).

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_ambient_set,
    configure_capability_in_ambient_set, get_keep_capabilities, set_capabilities,
    set_keep_capabilities,
};

/// Returns the ambient set. It is within the permitted and the inheritable ones, so for most
/// threads there is nothing to ask the kernel.
pub(super) fn ambient(sets: CapabilitySets) -> io::Result<CapabilitySet> {
    let mut ambient = CapabilitySet::empty();
    for one in each(sets.permitted & sets.inheritable) {
        if capability_is_in_ambient_set(one)? {
            ambient |= one;
        }
    }
    Ok(ambient)
}

/// Returns whether what [`put_away`] takes can be had again: inheritable capabilities only from the
/// permitted ones (capset(2)).
pub(super) fn can_return(had: CapabilitySets) -> bool {
    had.permitted.contains(had.inheritable | had.effective)
}

/// Takes away all that a thread can use at once or hand on to a program that it executes, and
/// keeps what it needs to come back. Ambient capabilities go with the inheritable ones.
pub(super) fn put_away(had: CapabilitySets) -> io::Result<()> {
    let none = CapabilitySet::empty();
    Ok(set_capabilities(
        None,
        CapabilitySets { effective: none, inheritable: none, permitted: had.permitted },
    )?)
}

/// Takes up all that the thread may use.
pub(super) fn take_up(had: CapabilitySets) -> io::Result<()> {
    let none = CapabilitySet::empty();
    Ok(set_capabilities(
        None,
        CapabilitySets { effective: had.permitted, inheritable: none, permitted: had.permitted },
    )?)
}

/// Gives back exactly what the thread had.
pub(super) fn restore(had: CapabilitySets, ambient: CapabilitySet) -> io::Result<()> {
    // Then it is what `take_up` has left.
    if had.effective != had.permitted || !had.inheritable.is_empty() {
        set_capabilities(None, had)?;
    }
    for one in each(ambient) {
        configure_capability_in_ambient_set(one, true)?;
    }
    Ok(())
}

/// Does something with the permitted capabilities kept that the kernel would otherwise clear
/// when the last user id that is zero goes.
pub(super) fn keeping(change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if get_keep_capabilities()? {
        return change();
    }
    set_keep_capabilities(true)?;
    let changed = change();
    set_keep_capabilities(false)?;
    changed
}

fn each(sets: CapabilitySet) -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS)
        .map(|bit| CapabilitySet::from_bits_retain(1 << bit))
        .filter(move |one| sets.contains(*one))
}
