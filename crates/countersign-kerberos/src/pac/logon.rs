//! KERB_VALIDATION_INFO ([MS-PAC] 2.5): what a domain controller knows of a user who logs on.

use std::collections::HashSet;

use countersign_core::Sid;

use super::ndr::{Pointer, Reader};

/// Extra identifiers are there (UserFlags, bit D).
const HAS_EXTRA: u32 = 0x20;
/// Groups of the resource's domain are there (UserFlags, bit H).
const HAS_RESOURCE_GROUPS: u32 = 0x200;
/// A group counts, and not only where access is denied ([MS-PAC] 2.2.1).
const ENABLED: u32 = 0x4;
const DENY_ONLY: u32 = 0x10;

/// Returns the identifier of the user, then of its groups, each once; `None` is that the bytes are
/// no such structure.
pub(crate) fn groups(info: &[u8]) -> Option<Vec<Sid>> {
    let mut reader = Reader::begin(info)?;
    if reader.pointer()? == Pointer::Null {
        return None;
    }
    // Six times of logging on and of the password.
    reader.skip_words(12)?;
    let mut names = Vec::new();
    // EffectiveName, FullName, LogonScript, ProfilePath, HomeDirectory, HomeDirectoryDrive.
    for _ in 0..6 {
        names.push(reader.string()?);
    }
    // LogonCount and BadPasswordCount.
    reader.skip_words(1)?;
    let (user, primary) = (reader.u32()?, reader.u32()?);
    let (group_count, group_ids) = (reader.u32()?, reader.pointer()?);
    let flags = reader.u32()?;
    // The session key.
    reader.skip_words(4)?;
    let (server, domain) = (reader.string()?, reader.string()?);
    let domain_id = reader.pointer()?;
    // What is reserved, the account's flags, and logons by smart card.
    reader.skip_words(10)?;
    let (extra_count, extra) = (reader.u32()?, reader.pointer()?);
    let resource_domain = reader.pointer()?;
    let (resource_count, resource_ids) = (reader.u32()?, reader.pointer()?);

    // What the pointers point to follows in their order.
    names.into_iter().try_for_each(|name| reader.skip_characters(name))?;
    let rids = memberships(&mut reader, group_ids, group_count)?;
    reader.skip_characters(server)?;
    reader.skip_characters(domain)?;
    let domain = follow(domain_id, || reader.sid())?;
    let extra = extras(&mut reader, extra, extra_count)?;
    let resource_domain = follow(resource_domain, || reader.sid())?;
    let resources = memberships(&mut reader, resource_ids, resource_count)?;

    let (mut sids, mut seen) = (Vec::new(), HashSet::new());
    let mut add = |sid: Sid| {
        if seen.insert(sid.clone()) {
            sids.push(sid);
        }
    };
    // A user without a number is the first of the extra identifiers.
    if let (Some(domain), 1..) = (&domain, user) {
        add(domain.member(user).ok()?);
    } else if flags & HAS_EXTRA != 0 {
        extra.iter().take(1).cloned().for_each(&mut add);
    }
    if let Some(domain) = domain {
        for rid in rids.into_iter().chain((primary != 0).then_some(primary)) {
            add(domain.member(rid).ok()?);
        }
    }
    if flags & HAS_EXTRA != 0 {
        extra.into_iter().for_each(&mut add);
    }
    if let Some(domain) = resource_domain.filter(|_| flags & HAS_RESOURCE_GROUPS != 0) {
        for rid in resources {
            add(domain.member(rid).ok()?);
        }
    }
    Some(sids)
}

/// Reads the numbers of groups that count (GROUP_MEMBERSHIP, [MS-PAC] 2.2.2).
fn memberships(reader: &mut Reader<'_>, pointer: Pointer, stated: u32) -> Option<Vec<u32>> {
    if pointer == Pointer::Null {
        return (stated == 0).then(Vec::new);
    }
    let mut rids = Vec::new();
    for _ in 0..reader.count(stated, 8)? {
        let (rid, attributes) = (reader.u32()?, reader.u32()?);
        if counts(attributes) {
            rids.push(rid);
        }
    }
    Some(rids)
}

/// Reads identifiers that count (KERB_SID_AND_ATTRIBUTES, [MS-PAC] 2.2.1).
fn extras(reader: &mut Reader<'_>, pointer: Pointer, stated: u32) -> Option<Vec<Sid>> {
    if pointer == Pointer::Null {
        return (stated == 0).then(Vec::new);
    }
    let mut heads = Vec::new();
    for _ in 0..reader.count(stated, 8)? {
        heads.push((reader.pointer()?, reader.u32()?));
    }
    let mut sids = Vec::new();
    for (pointer, attributes) in heads {
        let sid = follow(pointer, || reader.sid())?;
        sids.extend(sid.filter(|_| counts(attributes)));
    }
    Some(sids)
}

fn counts(attributes: u32) -> bool {
    attributes & ENABLED != 0 && attributes & DENY_ONLY == 0
}

/// Reads what a pointer points to, if it points to something.
fn follow<T>(pointer: Pointer, read: impl FnOnce() -> Option<T>) -> Option<Option<T>> {
    match pointer {
        Pointer::Null => Some(None),
        Pointer::Something => read().map(Some),
    }
}

#[cfg(test)]
pub(super) mod tests;
