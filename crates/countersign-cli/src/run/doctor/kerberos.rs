//! Tickets and keys: whose, of which version, and whether they fit each other and the KDC.

use std::time::Duration;

use countersign::Context;
use countersign::core::{
    EncryptionRule, EncryptionType, Fault, KerberosFailure, KerberosUse, ServiceName,
};
use countersign::kerberos::{AcceptorCredential, Checkup, HostSettings, KeytabKey, is_available};

use super::{Check, Mark};
use crate::render::span;

const NAME: &str = "kerberos";

/// How long a KDC may take.
const TIME: Duration = Duration::from_secs(5);

/// Looks at what policy asks for; if it asks for nothing, only at what there is.
pub(super) fn checks(context: &Context) -> Vec<Check> {
    let checkup = Checkup::of(context);
    let (client, server) = checkup.uses();
    let is_used = client != KerberosUse::Off || server != KerberosUse::Off;
    if !is_used {
        let what = "no policy uses it, and none need";
        return vec![Check::good(NAME, what)];
    }
    if let Err(failure) = is_available() {
        return vec![bad("the library", &failure)];
    }
    let rule = context.policy().kerberos().encryption.clone();
    let mut checks = vec![settings(&rule)];
    let tickets =
        (client != KerberosUse::Off || server != KerberosUse::Off).then(|| checkup.tickets(TIME));
    match &tickets {
        Some(Ok(holder)) => {
            let until = match holder.remaining {
                Some(left) if left.is_zero() => "which have expired".to_owned(),
                Some(left) => format!("good for {}", span(left)),
                None => "good for ever".to_owned(),
            };
            let what = format!("we have tickets of {}, {until}", holder.principal);
            checks.push(if holder.remaining.is_some_and(|left| left.is_zero()) {
                Check { mark: Mark::Bad, ..Check::warn(NAME, what, "run kinit") }
            } else {
                Check::good(NAME, what)
            });
        }
        Some(Err(failure)) if client == KerberosUse::Require => {
            checks.push(bad("our tickets", failure));
        }
        Some(Err(failure)) if client == KerberosUse::Prefer => checks.push(Check::warn(
            NAME,
            format!("no tickets, so certificates will have to do: {failure}"),
            failure.hint(),
        )),
        _ => {}
    }
    if server != KerberosUse::Off {
        match checkup.keys() {
            Ok(keys) => {
                checks.extend(keytab(&keys, &rule));
                checks.extend(proof(&checkup, &keys, matches!(tickets, Some(Ok(_)))));
            }
            Err(failure) => checks.push(bad("our keys", &failure)),
        }
        if context.policy().kerberos().services.is_empty() {
            checks.push(Check::warn(
                NAME,
                "no policy says which service we are, so only `serve NAME` can listen",
                "name the services in the policy: kerberos.services = [\"class/host\"]",
            ));
        }
    }
    checks
}

fn bad(what: &str, failure: &KerberosFailure) -> Check {
    let check = Check::warn(NAME, format!("{what}: {failure}"), failure.hint());
    Check { mark: Mark::Bad, ..check }
}

/// The parts of krb5.conf that people trip over.
fn settings(rule: &EncryptionRule) -> Check {
    let settings = match HostSettings::read() {
        Ok(settings) => settings,
        Err(failure) => return bad("krb5.conf", &failure),
    };
    let dns = settings.dns_canonicalize_hostname.as_deref().unwrap_or("true");
    let skew = settings.clockskew.as_deref().unwrap_or("300");
    let weak = settings.permitted_enctypes.as_deref().is_some_and(is_weak);
    let what = format!(
        "names without a realm are in {}; clocks may differ by {skew} s; DNS changes no name that \
         we ask for (of others: dns_canonicalize_hostname = {dns}); tickets may be encrypted by \
         {rule}",
        settings.default_realm.as_deref().unwrap_or("none")
    );
    if rule.accepts(EncryptionType::RC4) {
        let hint = "give every account AES keys, then take kerberos.danger-allow-rc4 out of the \
                    policy: passwords can be guessed from one ticket by RC4";
        return Check::warn(NAME, what, hint);
    }
    if settings.default_realm.is_none() {
        let hint = "set default_realm in krb5.conf, or write names with their realm";
        return Check::warn(NAME, what, hint);
    }
    if weak {
        let hint = "take RC4 and DES out of permitted_enctypes in krb5.conf";
        return Check::warn(NAME, format!("{what}; weak encryption is permitted"), hint);
    }
    Check::good(NAME, what)
}

/// Encryption types that are broken (RFC 6649, RFC 8429).
fn is_weak(names: &str) -> bool {
    let lower = names.to_ascii_lowercase();
    lower
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .any(|word| ["des", "rc4", "arcfour"].iter().any(|weak| word.starts_with(weak)))
}

/// What is in the keytab, each principal once.
fn keytab(keys: &AcceptorCredential, rule: &EncryptionRule) -> Vec<Check> {
    if keys.is_proxied() {
        return vec![Check::good(NAME, "gssproxy holds the keytab, so we cannot look into it")];
    }
    let mut principals: Vec<&str> = keys.keys().iter().map(|key| &*key.principal).collect();
    principals.sort_unstable();
    principals.dedup();
    principals.into_iter().map(|principal| of_principal(keys.keys(), principal, rule)).collect()
}

fn of_principal(keys: &[KeytabKey], principal: &str, rule: &EncryptionRule) -> Check {
    let own = || keys.iter().filter(|key| key.principal == principal);
    let shown: Vec<String> =
        own().map(|key| format!("version {} ({})", key.version, key.encryption)).collect();
    let what = format!("the keytab has keys of {principal}: {}", shown.join(", "));
    let is_accepted = |key: &KeytabKey| key.encryption.parse().is_ok_and(|it| rule.accepts(it));
    if !own().any(is_accepted) {
        let hint = "have the KDC make AES keys for it, and write the keytab anew";
        let what = format!("{what}; none of them is of a kind that is accepted here");
        return Check::warn(NAME, what, hint);
    }
    Check::good(NAME, what)
}

/// Gets a ticket for each service and opens it with its key: that shows an outdated keytab, a wrong
/// key, and a clock that is not the KDC's.
fn proof(checkup: &Checkup, keys: &AcceptorCredential, has_tickets: bool) -> Vec<Check> {
    if !has_tickets {
        let what = "without tickets nobody can say whether the keytab has the KDC's newest keys";
        return vec![Check::warn(NAME, what, "run kinit, and then this again")];
    }
    let prove = |service: &ServiceName| match checkup.prove(service, TIME) {
        Ok(principal) => {
            let what = format!("a ticket of {principal} for {service} fits the key in the keytab");
            Check::good(NAME, what)
        }
        Err(failure) => {
            let check = bad(&format!("a ticket for {service}"), &failure);
            // What a KDC does not know need not be used.
            let is_unknown = matches!(failure, KerberosFailure::UnknownService { .. });
            let mark =
                if is_unknown && failure.fault() != Fault::Bug { Mark::Warn } else { Mark::Bad };
            Check { mark, ..check }
        }
    };
    keys.services().iter().map(prove).collect()
}
