use countersign_core::{KerberosFailure, KerberosRefusal, Outdated};

use super::{At, diagnose, outdated, refusal};
use crate::library::{Call, Status};

/// What a client's library says of a service, by the number of RFC 4120.
fn initiating(number: u8, text: &str) -> KerberosFailure {
    let minor = 0x96c7_3a00 | u32::from(number);
    say(minor, text, &At::Initiating { service: "host/a@R", place: "the cache" })
}

fn say(minor: u32, text: &str, at: &At<'_>) -> KerberosFailure {
    let status = Status { major: Status::FAILURE, minor, text: text.to_owned() };
    diagnose(Call::Status(status), at)
}

macro_rules! check {
    ($failure:expr, $kind:pat) => {{
        let failure = $failure;
        assert!(matches!(failure, $kind), "{failure:?}");
    }};
}

#[test]
fn numbers_have_their_kinds() {
    check!(initiating(7, "Server host/a@R not found"), KerberosFailure::UnknownService { .. });
    check!(initiating(7, "Server krbtgt/B@R not found"), KerberosFailure::UnknownRealm { .. });
    check!(initiating(12, "policy"), KerberosFailure::KdcRefused { .. });
    check!(initiating(14, "no enctype"), KerberosFailure::KdcRefused { .. });
    check!(initiating(27, "user2user"), KerberosFailure::UserToUser { .. });
    check!(initiating(32, "expired"), KerberosFailure::TicketExpired { .. });
    check!(initiating(33, "not yet"), KerberosFailure::TicketNotYetValid { .. });
    check!(initiating(37, "skew"), KerberosFailure::ClockSkew { .. });
    check!(initiating(156, "unreachable"), KerberosFailure::KdcUnreachable { .. });
    check!(initiating(60, "generic"), KerberosFailure::Other { .. });
    let acquiring = At::Acquiring { place: "the password", principal: "alice" };
    for number in [6, 18, 23, 24, 31] {
        let failure = say(0x96c7_3a00 | number, "", &acquiring);
        check!(failure, KerberosFailure::CredentialsRefused { .. });
    }
    let concluding = At::Concluding { service: "host/a@R" };
    check!(say(0x96c7_3a1f, "", &concluding), KerberosFailure::ConfirmationFailed { .. });
    check!(say(0x96c7_3a2e, "", &concluding), KerberosFailure::ConfirmationFailed { .. });
}

#[test]
fn numbers_that_a_plugin_has_moved_are_known_by_their_words() {
    let moved = |text: &str| {
        say(0x9ae7_3a07, text, &At::Initiating { service: "host/a@R", place: "the cache" })
    };
    check!(moved("Clock skew too great"), KerberosFailure::ClockSkew { .. });
    check!(moved("Cannot contact any KDC for realm 'R'"), KerberosFailure::KdcUnreachable { .. });
    check!(moved("Ticket expired"), KerberosFailure::TicketExpired { .. });
    check!(moved("something else"), KerberosFailure::Other { .. });
}

#[test]
fn the_side_with_the_lower_version_is_behind() {
    let held = |versions: &'static [u32]| versions.iter().copied();
    assert_eq!(outdated("Cannot find key for a kvno 2 in keytab", held(&[1])), Outdated::Keytab);
    assert_eq!(outdated("Cannot find key for a kvno 1 in keytab", held(&[2, 3])), Outdated::Ticket);
    assert_eq!(
        outdated("kvno 2 not found in keytab; keytab is likely out of date", held(&[])),
        Outdated::Keytab
    );
    assert_eq!(outdated("nothing about it", held(&[])), Outdated::Ticket);
}

#[test]
fn a_peer_is_told_a_reason_and_no_more() {
    let detail = || "FILE:/etc/secret".to_owned();
    let told = [
        (KerberosFailure::BindingMismatch, KerberosRefusal::BindingMismatch),
        (KerberosFailure::NotBound, KerberosRefusal::NotBound),
        (KerberosFailure::NotMutual, KerberosRefusal::Protocol),
        (KerberosFailure::ClockSkew { detail: detail() }, KerberosRefusal::ClockSkew),
        (KerberosFailure::Replayed { detail: detail() }, KerberosRefusal::Other),
        (KerberosFailure::Anonymous, KerberosRefusal::Other),
        (
            KerberosFailure::KeytabMissing { keytab: detail(), why: detail() },
            KerberosRefusal::OwnTrouble,
        ),
        (KerberosFailure::KdcUnreachable { detail: detail() }, KerberosRefusal::Ticketless),
    ];
    for (failure, reason) in told {
        assert_eq!(refusal(&failure), reason, "{failure:?}");
    }
}
