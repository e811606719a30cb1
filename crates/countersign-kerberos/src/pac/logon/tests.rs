use super::groups;

/// A KERB_VALIDATION_INFO, written as [MS-PAC] 2.5 lays it out.
#[derive(Clone)]
struct Info {
    user: u32,
    primary: u32,
    /// Number and attributes.
    groups: Vec<(u32, u32)>,
    flags: u32,
    domain: Option<Vec<u32>>,
    extra: Vec<(Vec<u32>, u32)>,
    resource_domain: Option<Vec<u32>>,
    resources: Vec<(u32, u32)>,
}

const MANDATORY_ENABLED: u32 = 7;

fn alice() -> Info {
    Info {
        user: 1104,
        primary: 513,
        groups: vec![(513, MANDATORY_ENABLED), (1105, MANDATORY_ENABLED)],
        flags: 0x20,
        domain: Some(vec![21, 1, 2, 3]),
        extra: vec![(vec![21, 9, 9, 9, 1000], MANDATORY_ENABLED)],
        resource_domain: None,
        resources: Vec::new(),
    }
}

/// What a KDC states of alice.
pub(crate) fn of_alice() -> Vec<u8> {
    alice().written()
}

impl Info {
    fn written(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let word = |body: &mut Vec<u8>, number: u32| body.extend(number.to_le_bytes());
        let pointer = |there: bool| if there { 0x0002_0000 } else { 0_u32 };
        word(&mut body, pointer(true));
        (0..12).for_each(|_| word(&mut body, 0x7fff_ffff));
        // EffectiveName is "alice", the other names are empty.
        word(&mut body, 10 | 10 << 16);
        word(&mut body, pointer(true));
        (0..5).for_each(|_| {
            word(&mut body, 0);
            word(&mut body, pointer(false));
        });
        word(&mut body, 0);
        word(&mut body, self.user);
        word(&mut body, self.primary);
        word(&mut body, self.groups.len() as u32);
        word(&mut body, pointer(!self.groups.is_empty()));
        word(&mut body, self.flags);
        (0..4).for_each(|_| word(&mut body, 0));
        (0..2).for_each(|_| {
            word(&mut body, 0);
            word(&mut body, pointer(false));
        });
        word(&mut body, pointer(self.domain.is_some()));
        (0..10).for_each(|_| word(&mut body, 0));
        word(&mut body, self.extra.len() as u32);
        word(&mut body, pointer(!self.extra.is_empty()));
        word(&mut body, pointer(self.resource_domain.is_some()));
        word(&mut body, self.resources.len() as u32);
        word(&mut body, pointer(!self.resources.is_empty()));

        [5, 0, 5].into_iter().for_each(|number| word(&mut body, number));
        "alice".encode_utf16().for_each(|unit| body.extend(unit.to_le_bytes()));
        body.resize(body.len().next_multiple_of(4), 0);
        let memberships = |body: &mut Vec<u8>, list: &[(u32, u32)]| {
            if !list.is_empty() {
                word(body, list.len() as u32);
                list.iter().for_each(|(rid, attributes)| {
                    word(body, *rid);
                    word(body, *attributes);
                });
            }
        };
        let sid = |body: &mut Vec<u8>, parts: &[u32]| {
            word(body, parts.len() as u32);
            body.extend([1, parts.len() as u8, 0, 0, 0, 0, 0, 5]);
            parts.iter().for_each(|part| word(body, *part));
        };
        memberships(&mut body, &self.groups);
        self.domain.iter().for_each(|parts| sid(&mut body, parts));
        if !self.extra.is_empty() {
            word(&mut body, self.extra.len() as u32);
            self.extra.iter().for_each(|(_, attributes)| {
                word(&mut body, pointer(true));
                word(&mut body, *attributes);
            });
            self.extra.iter().for_each(|(parts, _)| sid(&mut body, parts));
        }
        self.resource_domain.iter().for_each(|parts| sid(&mut body, parts));
        memberships(&mut body, &self.resources);

        let mut whole = vec![1, 0x10, 8, 0, 0xcc, 0xcc, 0xcc, 0xcc];
        whole.extend((body.len() as u32).to_le_bytes());
        whole.extend([0; 4]);
        whole.extend(body);
        whole
    }
}

#[track_caller]
fn check(info: &Info, expected: &[&str]) {
    let found = groups(&info.written()).unwrap();
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn the_user_comes_first_and_then_its_groups() {
    check(
        &alice(),
        &[
            "S-1-5-21-1-2-3-1104",
            "S-1-5-21-1-2-3-513",
            "S-1-5-21-1-2-3-1105",
            "S-1-5-21-9-9-9-1000",
        ],
    );
}

#[test]
fn only_what_the_flags_announce_counts() {
    let mut info = alice();
    info.flags = 0;
    info.resource_domain = Some(vec![21, 4, 5, 6]);
    info.resources = vec![(2000, MANDATORY_ENABLED)];
    let own = ["S-1-5-21-1-2-3-1104", "S-1-5-21-1-2-3-513", "S-1-5-21-1-2-3-1105"];
    check(&info, &own);
    info.flags = 0x200;
    check(&info, &[own.as_slice(), &["S-1-5-21-4-5-6-2000"]].concat());
}

#[test]
fn groups_that_are_off_or_serve_to_deny_do_not_count() {
    let mut info = alice();
    info.groups = vec![(512, 0), (519, 0x10 | 7), (1105, 4)];
    info.extra = vec![(vec![21, 9, 9, 9, 1000], 0), (vec![21, 9, 9, 9, 1001], 0x17)];
    check(&info, &["S-1-5-21-1-2-3-1104", "S-1-5-21-1-2-3-1105", "S-1-5-21-1-2-3-513"]);
}

#[test]
fn a_user_of_another_domain_is_the_first_extra_one() {
    let mut info = alice();
    (info.user, info.primary, info.groups) = (0, 0, Vec::new());
    check(&info, &["S-1-5-21-9-9-9-1000"]);
}

#[test]
fn what_is_cut_off_is_nothing() {
    let mut info = alice();
    info.resource_domain = Some(vec![21, 4, 5, 6]);
    info.resources = vec![(2000, MANDATORY_ENABLED)];
    let whole = info.written();
    for length in 0..whole.len() {
        assert_eq!(groups(&whole[..length]), None, "{length} bytes of {}", whole.len());
        // Also where the head admits it.
        if let Some(size) = length.checked_sub(16) {
            let mut cut = whole[..length].to_vec();
            cut[8..12].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
            assert_eq!(groups(&cut), None, "{length} bytes of {}", whole.len());
        }
    }
}

#[test]
fn counts_that_nothing_backs_are_refused_at_once() {
    let whole = alice().written();
    // Every word of it is huge once.
    for at in (16..whole.len()).step_by(4) {
        let mut huge = whole.clone();
        huge[at..at + 4].copy_from_slice(&[0xff; 4]);
        let found = groups(&huge).unwrap_or_default();
        assert!(found.len() <= 5, "{found:?}");
    }
    // Another order of bytes, another version.
    for (at, byte) in [(0, 2), (1, 0), (2, 16)] {
        let mut other = whole.clone();
        other[at] = byte;
        assert_eq!(groups(&other), None);
    }
}
