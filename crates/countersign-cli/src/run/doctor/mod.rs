//! `doctor`: looks at everything that a connection needs, one thing after the other.

mod kerberos;

use std::io;
use std::time::SystemTime;

use countersign::core::{Fault, Timestamp};
use countersign::identity::{IdentityError, Inventory, Validity};
use countersign::{Context, Error, Policy};

use super::demo::{Attempt, Stage, attempt};
use super::host::{self, PolicyFiles};
use super::now;
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::{Mark, Output, from_now};
use crate::request::Doctor;

/// One thing that was looked at.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) mark: Mark,
    pub(crate) what: String,
    /// What to do about it, unless it is good.
    pub(crate) hint: Option<String>,
}

/// Looks, and shows what it found.
pub(super) fn run(request: &Doctor, output: &Output) -> Verdict {
    let now = now();
    let mut checks = policies(&PolicyFiles::of(&request.host));
    let context = host::context(&request.host);
    let store = host::store(request.host.home.clone());
    match store.and_then(|store| Ok(store.show(SystemTime::now())?)) {
        Ok(inventory) => {
            checks.push(contents(&inventory));
            checks.extend(problems(&inventory));
            checks.extend(certificates(&inventory, now));
            checks.push(clock(&inventory, context.as_ref().ok(), now));
        }
        Err(why) => checks.push(Check::bad("store", &why)),
    }
    checks.extend(identity(&context, now));
    if let Ok(context) = &context {
        checks.extend(kerberos::checks(context));
    }
    checks.push(handshake());
    let is_sick = checks.iter().any(|check| check.mark == Mark::Bad);
    output.diagnosis(&checks);
    if is_sick { Verdict::Different } else { Verdict::AsExpected }
}

impl Check {
    fn good(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, mark: Mark::Good, what: what.into(), hint: None }
    }

    fn warn(name: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, mark: Mark::Warn, what: what.into(), hint: Some(hint.into()) }
    }

    fn bad(name: &'static str, why: &Failure) -> Self {
        Self { name, mark: Mark::Bad, what: why.to_string(), hint: Some(why.hint()) }
    }
}

/// Each policy file by itself, so that every error is found.
fn policies(files: &PolicyFiles) -> Vec<Check> {
    let optional = files.optional.iter().map(|path| (path, false));
    let required = files.required.iter().map(|path| (path, true));
    let check = |(path, is_required): (&std::path::PathBuf, bool)| {
        let shown = path.display();
        match std::fs::read_to_string(path) {
            Ok(text) => match Policy::parse(&text, &shown.to_string()) {
                Ok(_) => Check::good("policy", format!("{shown} is good")),
                Err(error) => Check::bad("policy", &Error::from(error).into()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_required => {
                Check::good("policy", format!("{shown} is not there, and need not be"))
            }
            Err(error) => Check::bad("policy", &Failure::io(format!("read {shown}"))(error)),
        }
    };
    optional.chain(required).map(check).collect()
}

fn contents(inventory: &Inventory) -> Check {
    let shown = inventory.directory.display();
    let has_trouble = inventory.problems.iter().any(|problem| problem.fault() == Fault::Host);
    if inventory.authority.is_none() && inventory.issued.is_empty() && !has_trouble {
        return Check::good("store", format!("{shown} is empty, and need not be otherwise"));
    }
    let hidden = match inventory.problems.len() {
        0 => String::new(),
        more => format!(", and {more} things in it cannot be used"),
    };
    let what = format!(
        "{shown} holds {} and {}{hidden}",
        certificates_of(inventory.issued.len()),
        authorities_of(inventory),
    );
    Check::good("store", what)
}

fn certificates_of(count: usize) -> String {
    if count == 1 { "1 certificate".to_owned() } else { format!("{count} certificates") }
}

fn authorities_of(inventory: &Inventory) -> String {
    match inventory.trusted.len() + usize::from(inventory.authority.is_some()) {
        1 => "1 authority".to_owned(),
        count => format!("{count} authorities"),
    }
}

/// Permissions, damaged files, keys of other certificates.
fn problems(inventory: &Inventory) -> impl Iterator<Item = Check> {
    let failure = |problem: &IdentityError| Failure::from(problem.clone());
    inventory.problems.iter().map(move |problem| Check::bad("store", &failure(problem)))
}

fn certificates(inventory: &Inventory, now: Timestamp) -> Vec<Check> {
    let authority = inventory.authority.iter().chain(&inventory.trusted).map(|entry| {
        let hint = "see `countersign identity init --help`".to_owned();
        (entry.subject.clone(), entry.not_before, entry.not_after, entry.validity, hint)
    });
    let issued = inventory.issued.iter().map(|entry| {
        let names: Vec<String> = entry.names.iter().map(ToString::to_string).collect();
        let names = names.join(" ");
        let hint = format!("run `countersign identity issue {names}`");
        (names, entry.not_before, entry.not_after, entry.validity, hint)
    });
    let all = authority.chain(issued);
    all.map(|(whose, not_before, not_after, validity, hint)| {
        expiry(&whose, not_before, not_after, validity, &hint, now)
    })
    .collect()
}

fn expiry(
    whose: &str,
    not_before: Timestamp,
    not_after: Timestamp,
    validity: Validity,
    hint: &str,
    now: Timestamp,
) -> Check {
    let after = format!("{whose}: expires {}", from_now(now, not_after));
    match validity {
        Validity::Current => Check::good("certificate", after),
        Validity::ExpiresSoon => Check::warn("certificate", after, hint),
        Validity::NotYetValid => Check {
            mark: Mark::Bad,
            ..Check::warn(
                "certificate",
                format!("{whose}: valid only {}", from_now(now, not_before)),
                "check the clock of this host",
            )
        },
        _ => Check {
            mark: Mark::Bad,
            ..Check::warn(
                "certificate",
                format!("{whose}: expired {}", from_now(now, not_after)),
                hint,
            )
        },
    }
}

/// What sockets of this host would use.
fn identity(context: &Result<Context, Failure>, now: Timestamp) -> Vec<Check> {
    let context = match context {
        Ok(context) => context,
        Err(why) => return vec![Check::bad("identity", why)],
    };
    let mut checks = vec![match context.credential() {
        None => Check::good("identity", "no certificate is named in a policy, and none need be"),
        Some(own) => {
            let names = host::names(own.names());
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let whose = format!("we are {}, certificate and key are a pair", names.join(" "));
            let (not_before, not_after) = (own.not_before(), own.not_after());
            let validity = Validity::at(now, not_before, not_after);
            let hint = "have the certificate of the policy's [identity] renewed";
            let check = expiry(&whose, not_before, not_after, validity, hint, now);
            Check { name: "identity", ..check }
        }
    }];
    checks.push(match context.anchors() {
        0 => Check {
            mark: Mark::Bad,
            ..Check::warn(
                "trust",
                "we believe no authority, so no certificate can prove anything to us",
                "run `countersign identity init` or `countersign identity trust FILE`, or name \
                 anchors in the policy's [trust]",
            )
        },
        1 => Check::good("trust", "we believe 1 authority"),
        count => Check::good("trust", format!("we believe {count} authorities")),
    });
    if let Some(error) = context.reload_failure() {
        let what = format!("the files as they are now cannot be used: {error}");
        checks.push(Check { mark: Mark::Bad, ..Check::warn("reload", what, error.hint()) });
    }
    checks
}

fn clock(inventory: &Inventory, context: Option<&Context>, now: Timestamp) -> Check {
    /// 2024-01-01: older than this program.
    const PAST: u64 = 1_704_067_200;
    let own = context.and_then(Context::credential).map(|own| own.not_before());
    let authority = inventory.authority.iter().map(|entry| entry.not_before);
    let issued = inventory.issued.iter().map(|entry| entry.not_before);
    let youngest = authority.chain(issued).chain(own).max();
    let late = |than: &str| Check {
        mark: Mark::Bad,
        ..Check::warn(
            "clock",
            format!("it is {now} here, which is before {than}"),
            "set the clock of this host: whether a certificate has expired depends on it",
        )
    };
    match youngest {
        _ if now.as_secs() < PAST => late("this program was written"),
        Some(youngest) if now < youngest => {
            late(&format!("a certificate of ours was made ({youngest})"))
        }
        _ => Check::good("clock", format!("it is {now} here")),
    }
}

/// A temporary authority, a server and a client on the loopback interface.
fn handshake() -> Check {
    let tried = Stage::new().and_then(|stage| {
        let server = stage.server(&stage.asked())?;
        attempt(&stage.client()?, server.address(), &stage.asked())
    });
    match tried {
        Ok(Attempt::Echoed(Some(evidence))) => Check::good(
            "handshake",
            format!("with ourselves: {}, {}", evidence.mechanism(), evidence.key_exchange()),
        ),
        Ok(_) => {
            let what = "a handshake with ourselves failed".to_owned();
            let hint = "run `countersign demo` for details, and please report it".to_owned();
            Check { mark: Mark::Bad, ..Check::warn("handshake", what, hint) }
        }
        Err(why) => Check::bad("handshake", &why),
    }
}
