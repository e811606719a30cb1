//! Becoming a peer's account and coming back, beside the system calls that this takes by
//! themselves.

use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use countersign::core::{Evidence, Mechanism, Proof, ProvedPeer, SessionId, Timestamp};
use countersign::rights::{Account, PeerToken, may_impersonate};
use countersign::{Context, Policy};
use countersign_lab::Authority;
use rustix::process::{geteuid, getgroups};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, capabilities, set_capabilities, set_keep_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::peers::Peer;

/// One that every host has.
const RULE: &str = "[[account]]\npeer = \"alice@EXAMPLE.COM\"\naccount = \"nobody\"\n";

pub(crate) const FIGURES: &[Figure] = &[Figure {
    id: "impersonations",
    title: "impersonations with their way back",
    note: "One thread of root becomes `nobody` and itself again, beside the ten system calls that have the same effect \
        on its ids, groups and capabilities. Ours also changes the session keyring, and asks the kernel afterwards \
        whether it is so.",
    columns: &[
        Column::higher("there and back", "per s", Against::Nothing),
        Column::lower("each", "us", Against::Nothing),
    ],
    summary: &[0],
    cases: &[Case::of(Peer::Countersign), Case::of(Peer::SystemCalls)],
    run,
}];

fn run(bench: &Bench, case: Case) -> io::Result<Vec<f64>> {
    may_impersonate().map_err(|error| io::Error::other(error.to_string()))?;
    if !geteuid().is_root() {
        return Err(io::Error::other("both are compared as root, and this process is not"));
    }
    let token = token();
    let account = token.account().map_err(|error| io::Error::other(error.to_string()))?;
    let rate = if case.peer == Peer::SystemCalls {
        let calls = SystemCalls::of(&account);
        rate(bench.duration, || calls.there_and_back())
    } else {
        rate(bench.duration, || {
            let uid = token.impersonate(|who| who.account().uid());
            black_box(uid.expect("the account"));
        })
    };
    Ok(vec![rate, 1e6 / rate])
}

fn rate(duration: Duration, once: impl Fn()) -> f64 {
    for _ in 0..1000 {
        once();
    }
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < duration {
        for _ in 0..100 {
            once();
        }
        count += 100;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

fn token() -> PeerToken {
    let session = SessionId::from_exported([0; 16]);
    let now = Timestamp::from_secs(0);
    let name = "alice@EXAMPLE.COM".parse().expect("a name");
    let evidence = Evidence::new(Mechanism::Tls13, String::new(), String::new(), session, now)
        .with_peer(None, vec![ProvedPeer::vouch(name, Proof::CertificateKerberosName)], None);
    let policy = Policy::parse(RULE, "the benchmark").expect("a policy");
    let anchors = Authority::new("nobody's").anchors();
    let context = Context::builder().policy(policy).anchors(anchors).build().expect("a context");
    PeerToken::of_peer(&evidence, &context).expect("a token")
}

/// What has the same effect on the credentials of a thread of root: no check, no keyring, no look
/// back.
struct SystemCalls {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    own_groups: Vec<Gid>,
    own: CapabilitySets,
}

impl SystemCalls {
    fn of(account: &Account) -> Self {
        Self {
            uid: Uid::from_raw(account.uid()),
            gid: Gid::from_raw(account.gid()),
            groups: account.groups().into_iter().map(Gid::from_raw).collect(),
            own_groups: getgroups().expect("groups"),
            own: capabilities(None).expect("capabilities"),
        }
    }

    fn there_and_back(&self) {
        let Self { uid, gid, groups, own_groups, own } = self;
        let none = CapabilitySet::empty();
        let kept = CapabilitySets { effective: none, inheritable: none, ..*own };
        let done = set_thread_groups(groups)
            .and_then(|()| set_thread_res_gid(*gid, *gid, *gid))
            .and_then(|()| set_keep_capabilities(true))
            .and_then(|()| set_thread_res_uid(*uid, *uid, *uid))
            .and_then(|()| set_keep_capabilities(false))
            .and_then(|()| set_capabilities(None, kept))
            .and_then(|()| set_capabilities(None, *own))
            .and_then(|()| set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT))
            .and_then(|()| set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT))
            .and_then(|()| set_thread_groups(own_groups));
        done.expect("the privilege of root");
    }
}
