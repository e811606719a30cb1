//! Which local account acts for a peer: `[[account]]`.

use std::fmt;
use std::str::FromStr;

use crate::Proof;
use crate::name::{Host, NameError, PeerName, PeerPattern, ServiceName, SpiffeId, UserName};

/// Which local account acts for the peers of a pattern: `[[account]]`.
///
/// Rules are tried in order, those of the host's file first, and the first that speaks of the
/// peer decides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountRule {
    /// The peers.
    pub peer: AccountPattern,
    /// Only names that were proved this way, if there is one.
    pub proof: Option<Proof>,
    /// Whose account it is.
    pub account: AccountTarget,
    /// The lowest user id that a captured account name may have; system accounts are below 1000
    /// (Debian Policy 9.2.2), and only a rule that spells one out reaches it.
    pub lowest_uid: u32,
    /// Where the rule stands: a file and a line.
    pub place: String,
}

/// What a rule says of the account.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountTarget {
    /// The system's own rules for Kerberos principals decide (`auth_to_local` of krb5.conf(5)).
    LocalName,
    /// This account, with `{captures}` filled in.
    Named(AccountTemplate),
}

/// The account that a rule chose.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountChoice<'a> {
    /// The system's own rules for Kerberos principals decide.
    LocalName(&'a AccountRule),
    /// This account.
    Named {
        /// The rule.
        rule: &'a AccountRule,
        /// The name of the account, which need not exist.
        account: String,
    },
}

/// A captured part of a peer's name is no name for an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule {rule} makes {account:?} of {peer}, which no account can be called")]
#[non_exhaustive]
pub struct UnfitAccount {
    /// The rule.
    pub rule: String,
    /// The peer.
    pub peer: Box<PeerName>,
    /// What the rule makes of it.
    pub account: String,
}

impl AccountRule {
    /// The lowest user id of ordinary accounts.
    pub const LOWEST_UID: u32 = 1000;

    /// Applies the rule to a peer with a name that is proved in this way; `None` if it does not
    /// speak of that peer.
    ///
    /// # Errors
    ///
    /// [`UnfitAccount`] if it does, but what it captured cannot be called an account.
    pub fn apply(
        &self,
        peer: &PeerName,
        by: Proof,
    ) -> Result<Option<AccountChoice<'_>>, UnfitAccount> {
        if self.proof.is_some_and(|proof| proof != by) {
            return Ok(None);
        }
        let Some(captures) = self.peer.capture(peer) else { return Ok(None) };
        let AccountTarget::Named(template) = &self.account else {
            return Ok(Some(AccountChoice::LocalName(self)));
        };
        let account = template.fill(&captures);
        if !template.is_literal() && !is_account_name(&account) {
            let (rule, peer) = (self.to_string(), Box::new(peer.clone()));
            return Err(UnfitAccount { rule, peer, account });
        }
        Ok(Some(AccountChoice::Named { rule: self, account }))
    }

    /// Returns whether the rule spells the account out, instead of taking it from the peer's name.
    pub fn is_literal(&self) -> bool {
        matches!(&self.account, AccountTarget::Named(template) if template.is_literal())
    }
}

impl fmt::Display for AccountRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account {
            AccountTarget::LocalName => write!(f, "{} -> the local name", self.peer)?,
            AccountTarget::Named(template) => write!(f, "{} -> {template}", self.peer)?,
        }
        write!(f, " ({})", self.place)
    }
}

/// Whether a text that came out of a peer's name may be looked up as an account's. Digits alone
/// could be taken for a user id, a leading hyphen for an option.
fn is_account_name(text: &str) -> bool {
    const MOST: usize = 256;
    (1..=MOST).contains(&text.len())
        && !text.starts_with(['-', '.'])
        && !text.bytes().all(|b| b.is_ascii_digit())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '$' | '+'))
}

/// The peers that a rule speaks of, and the parts of their names that it captures.
///
/// | pattern | speaks of | captures |
/// | --- | --- | --- |
/// | `{user}@EXAMPLE.COM` | every user of that realm | the user |
/// | `spiffe://prod/user/{name}` | every workload with such a path | one whole segment |
/// | `{user}/admin@EXAMPLE.COM` | every user of that realm with that instance, which has no dot | the user |
/// | `host/{machine}.example.com` | that class on hosts one label below the domain | the label |
/// | any [`PeerPattern`] | what that holds | nothing |
///
/// A realm, a trust domain and a class are never captured: they say whose word the rest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPattern(Shape);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    HostBelow { class: String, label: String, domain: String },
    InstanceOf { user: String, instance: String, realm: String },
    Path { domain: String, segments: Vec<Segment> },
    Set(PeerPattern),
    UserOf { user: String, realm: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Captured(String),
    Literal(String),
}

/// What a pattern took out of a name: the capture's name, and the part.
type Captures<'n> = Vec<(String, &'n str)>;

impl AccountPattern {
    /// Returns the captured parts of a name; `None` if the pattern does not speak of it.
    ///
    /// The name of a service in a realm is only in a pattern that states the realm: otherwise the
    /// KDC of any realm that policy lets in could make names of our hosts, and choose an account.
    fn capture<'n>(&self, name: &'n PeerName) -> Option<Captures<'n>> {
        let speaks_of_realms = match &self.0 {
            Shape::Set(pattern) => pattern.speaks_of_realms(),
            Shape::InstanceOf { .. } => true,
            _ => false,
        };
        if let PeerName::Service(service) = name
            && service.realm().is_some()
            && !speaks_of_realms
        {
            return None;
        }
        match (&self.0, name) {
            (Shape::Set(pattern), name) => pattern.matches(name).then(Vec::new),
            (Shape::UserOf { user, realm }, PeerName::User(name)) => {
                (name.realm() == realm).then(|| vec![(user.clone(), name.user())])
            }
            (Shape::Path { domain, segments }, PeerName::Spiffe(id)) => {
                let found: Vec<&str> = id.path().split('/').skip(1).collect();
                if id.trust_domain() != domain || found.len() != segments.len() {
                    return None;
                }
                let mut captures = Vec::new();
                for (segment, found) in segments.iter().zip(found) {
                    match segment {
                        Segment::Captured(capture) => captures.push((capture.clone(), found)),
                        Segment::Literal(literal) if literal == found => {}
                        Segment::Literal(_) => return None,
                    }
                }
                Some(captures)
            }
            (Shape::InstanceOf { user, instance, realm }, PeerName::Service(name)) => {
                let is_instance = matches!(name.host(), Host::Dns(host) if host == instance);
                let plain = name.port().is_none() && name.service().is_none();
                (is_instance && plain && name.realm() == Some(realm))
                    .then(|| vec![(user.clone(), name.class())])
            }
            (Shape::HostBelow { class, label, domain }, PeerName::Service(name)) => {
                let Host::Dns(host) = name.host() else { return None };
                let (first, parent) = host.split_once('.')?;
                let plain = name.port().is_none() && name.service().is_none();
                (plain && name.is_class(class) && parent == domain)
                    .then(|| vec![(label.clone(), first)])
            }
            _ => None,
        }
    }

    fn names(&self) -> Vec<&str> {
        match &self.0 {
            Shape::Set(_) => Vec::new(),
            Shape::InstanceOf { user, .. } | Shape::UserOf { user, .. } => vec![user],
            Shape::HostBelow { label, .. } => vec![label],
            Shape::Path { segments, .. } => segments
                .iter()
                .filter_map(|segment| match segment {
                    Segment::Captured(name) => Some(name.as_str()),
                    Segment::Literal(_) => None,
                })
                .collect(),
        }
    }
}

impl FromStr for AccountPattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError::BadCapture { pattern: text.to_owned() };
        if !text.contains(['{', '}']) {
            return text.parse().map(|pattern| Self(Shape::Set(pattern)));
        }
        let shape = if let Some(rest) = text.strip_prefix(SpiffeId::SCHEME) {
            let (domain, path) = rest.split_once('/').ok_or_else(bad)?;
            let segments = path.split('/').map(|part| match captured(part) {
                Some(name) => Ok(Segment::Captured(name.to_owned())),
                None if part.contains(['{', '}', '*']) => Err(bad()),
                None => Ok(Segment::Literal(part.to_owned())),
            });
            let segments: Vec<Segment> = segments.collect::<Result<_, _>>()?;
            // With a word in each place of a capture it must be a SPIFFE ID.
            let probe: Vec<&str> = segments
                .iter()
                .map(|segment| match segment {
                    Segment::Captured(_) => "x",
                    Segment::Literal(literal) => literal,
                })
                .collect();
            let probe: SpiffeId = format!("spiffe://{domain}/{}", probe.join("/")).parse()?;
            Shape::Path { domain: probe.trust_domain().to_owned(), segments }
        } else if let Some((user, realm)) = text.split_once('@').filter(|_| !text.contains('/')) {
            let user = captured(user).ok_or_else(bad)?;
            let probe: UserName = format!("x@{realm}").parse()?;
            if realm.contains(['{', '}']) {
                return Err(bad());
            }
            Shape::UserOf { user: user.to_owned(), realm: probe.realm().to_owned() }
        } else if let Some((principal, realm)) = text.split_once('@') {
            let (user, instance) = principal.split_once('/').ok_or_else(bad)?;
            let user = captured(user).ok_or_else(bad)?;
            // With a dot it would be a host, and what is captured the class of a service on it.
            if [instance, realm].iter().any(|part| part.contains(['{', '}', '*']))
                || instance.contains(['.', '/', ':'])
            {
                return Err(bad());
            }
            let probe: ServiceName = format!("x/{instance}@{realm}").parse()?;
            let Host::Dns(instance) = probe.host().clone() else { return Err(bad()) };
            Shape::InstanceOf { user: user.to_owned(), instance, realm: realm.to_owned() }
        } else {
            let (class, host) = text.split_once('/').unwrap_or((ServiceName::HOST_CLASS, text));
            let (label, domain) = host.split_once('.').ok_or_else(bad)?;
            let label = captured(label).ok_or_else(bad)?;
            if class.contains(['{', '}', '*']) || domain.contains(['{', '}', '*', '/', ':', '@']) {
                return Err(bad());
            }
            let probe: ServiceName = format!("{class}/x.{domain}").parse()?;
            let Host::Dns(host) = probe.host() else { return Err(bad()) };
            let domain = host.strip_prefix("x.").ok_or_else(bad)?.to_owned();
            Shape::HostBelow { class: class.to_owned(), label: label.to_owned(), domain }
        };
        let pattern = Self(shape);
        let mut names = pattern.names();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(bad());
        }
        Ok(pattern)
    }
}

impl fmt::Display for AccountPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::HostBelow { class, label, domain } => write!(f, "{class}/{{{label}}}.{domain}"),
            Shape::InstanceOf { user, instance, realm } => {
                write!(f, "{{{user}}}/{instance}@{realm}")
            }
            Shape::Path { domain, segments } => {
                write!(f, "spiffe://{domain}")?;
                segments.iter().try_for_each(|segment| match segment {
                    Segment::Captured(name) => write!(f, "/{{{name}}}"),
                    Segment::Literal(literal) => write!(f, "/{literal}"),
                })
            }
            Shape::Set(pattern) => pattern.fmt(f),
            Shape::UserOf { user, realm } => write!(f, "{{{user}}}@{realm}"),
        }
    }
}

/// Returns the name in `{name}`.
fn captured(part: &str) -> Option<&str> {
    let name = part.strip_prefix('{')?.strip_suffix('}')?;
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (!name.is_empty() && name.bytes().all(fits)).then_some(name)
}

/// The name of an account, with `{captures}` to be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountTemplate {
    /// Text, then a capture, then text, and so on.
    pieces: Vec<(String, Option<String>)>,
}

impl AccountTemplate {
    fn is_literal(&self) -> bool {
        self.pieces.iter().all(|(_, capture)| capture.is_none())
    }

    fn fill(&self, captures: &Captures<'_>) -> String {
        let mut filled = String::new();
        for (text, capture) in &self.pieces {
            filled.push_str(text);
            let found = captures.iter().find(|(name, _)| Some(name) == capture.as_ref());
            filled.push_str(found.map_or("", |(_, part)| part));
        }
        filled
    }

    /// Returns a capture of the template that the pattern does not have.
    pub(super) fn unknown_capture(&self, pattern: &AccountPattern) -> Option<&str> {
        let known = pattern.names();
        let mut used = self.pieces.iter().filter_map(|(_, capture)| capture.as_deref());
        used.find(|capture| !known.contains(capture))
    }
}

impl FromStr for AccountTemplate {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError::BadCapture { pattern: text.to_owned() };
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, ':' | '/')) {
            return Err(bad());
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(bad)?;
            let name = captured(&format!("{{{name}}}")).ok_or_else(bad)?.to_owned();
            pieces.push((before.to_owned(), Some(name)));
            rest = after;
        }
        pieces.push((rest.to_owned(), None));
        if pieces.iter().any(|(text, _)| text.contains('}')) {
            return Err(bad());
        }
        Ok(Self { pieces })
    }
}

impl fmt::Display for AccountTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|(text, capture)| match capture {
            Some(capture) => write!(f, "{text}{{{capture}}}"),
            None => f.write_str(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{AccountChoice, AccountPattern, AccountRule};
    use crate::{Policy, Proof};

    const ANY: Proof = Proof::CertificateKerberosName;

    fn rules(text: &str) -> Vec<AccountRule> {
        Policy::parse(text, "p").unwrap().accounts().to_vec()
    }

    /// One rule, one peer: the account, `-` for a rule that does not speak of the peer, or why not.
    #[track_caller]
    fn check(pattern: &str, account: &str, peer: &str, expected: &str) {
        let text = format!("[[account]]\npeer = \"{pattern}\"\naccount = \"{account}\"\n");
        let rule = rules(&text).remove(0);
        let found = match rule.apply(&peer.parse().unwrap(), ANY) {
            Ok(Some(AccountChoice::Named { account, .. })) => account,
            Ok(Some(AccountChoice::LocalName(_))) => "the local name".to_owned(),
            Ok(None) => "-".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{pattern} -> {account} of {peer}");
    }

    #[test]
    fn captures_are_whole_parts() {
        check("{user}@EXAMPLE.COM", "{user}", "alice@EXAMPLE.COM", "alice");
        check("{user}@EXAMPLE.COM", "corp-{user}", "alice@EXAMPLE.COM", "corp-alice");
        check("{user}@EXAMPLE.COM", "{user}", "alice@EXAMPLE.ORG", "-");
        check("{user}@EXAMPLE.COM", "{user}", "alice@example.com", "-");
        check("spiffe://prod/user/{name}", "{name}", "spiffe://prod/user/bob", "bob");
        check("spiffe://prod/user/{name}", "{name}", "spiffe://prod/user/bob/x", "-");
        check("spiffe://prod/user/{name}", "{name}", "spiffe://test/user/bob", "-");
        check("spiffe://prod/{t}/{n}", "{n}.{t}", "spiffe://prod/eu/bob", "bob.eu");
        check("host/{m}.example.com", "m-{m}", "web1.example.com", "m-web1");
        check("backup/{m}.example.com", "{m}", "host/web1.example.com", "-");
        check("backup/{m}.example.com", "{m}", "backup/a.web1.example.com", "-");
        check("host/{m}.example.com", "m-{m}", "host/web1.example.com@PARTNER.COM", "-");
        check("host/*.example.com", "hosts", "host/web1.example.com@PARTNER.COM", "-");
        check("host/web1.example.com", "web", "host/web1.example.com@PARTNER.COM", "-");
        check("host/web1.example.com@OURS", "web", "host/web1.example.com@PARTNER.COM", "-");
        check("host/web1.example.com@OURS", "web", "host/web1.example.com@OURS", "web");
        check("alice@EXAMPLE.COM", "al", "alice@EXAMPLE.COM", "al");
        check("{u}/admin@A", "{u}-adm", "alice/admin@A", "alice-adm");
        check("{u}/admin@A", "{u}", "Alice/admin@A", "Alice");
        for other in ["alice/root@A", "alice/admin@B", "alice@A", "alice/admin", "a/admin/x@A"] {
            check("{u}/admin@A", "{u}", other, "-");
        }
        check("{u}@A", "{u}", "alice/admin@A", "-");
        check("alice/admin@A", "al", "alice/admin@A", "al");
        check("alice/admin@A", "al", "Alice/admin@A", "-");
        check("*/admin@A", "adm", "alice/admin@A", "adm");
        check("*/db1.test", "db", "mallory/db1.test@A", "-");
        check("host/*.example.com@OURS", "hosts", "host/web1.example.com@OURS", "hosts");
        check("*@EXAMPLE.COM", "guest", "anyone@EXAMPLE.COM", "guest");
    }

    #[test]
    fn a_captured_text_must_be_fit_for_an_account() {
        let unfit = |peer: &str, account: &str| {
            let why = format!(
                "the rule {{user}}@EXAMPLE.COM -> {{user}} (p, line 1) makes {account:?} of {peer}, \
                 which no account can be called"
            );
            check("{user}@EXAMPLE.COM", "{user}", peer, &why);
        };
        unfit("1000@EXAMPLE.COM", "1000");
        unfit("-o@EXAMPLE.COM", "-o");
        unfit("a;b@EXAMPLE.COM", "a;b");
    }

    #[test]
    fn a_rule_can_ask_for_one_kind_of_proof() {
        let rule = rules(
            "[[account]]\npeer = \"{u}@E\"\nproof = \"user-principal-name\"\naccount = \"{u}\"\n",
        );
        let apply = |proof| rule[0].apply(&"alice@E".parse().unwrap(), proof);
        assert_eq!(apply(Proof::CertificateKerberosName), Ok(None));
        assert!(apply(Proof::CertificateUserPrincipalName).unwrap().is_some());
    }

    #[test]
    fn whose_word_it_is_cannot_be_captured() {
        for text in [
            "alice@{realm}",
            "{u}@{realm}",
            "spiffe://{d}/x",
            "{c}/db1.example.com",
            "{c}/db1.example.com@E",
            "{u}/{i}@E",
            "{u}/admin@{r}",
            "{u}/admin/x@E",
            "{u}/*@E",
            "x{u}@E",
            "{u",
            "{U}@E",
            "spiffe://prod/{a}/{a}",
            "spiffe://prod/x{a}",
            "spiffe://prod/{a}/*",
            "host/{m}.{d}",
        ] {
            assert!(text.parse::<AccountPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_are_shown_as_written() {
        for text in
            ["{u}@E", "{u}/admin@E", "spiffe://prod/user/{name}", "host/{m}.example.com", "*@E"]
        {
            assert_eq!(text.parse::<AccountPattern>().unwrap().to_string(), text);
        }
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = Policy::parse(text, "p").unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn mistakes_have_line_and_column() {
        refused("[[account]]\npeer = \"*\"\n", "p, line 1, column 1: [[account]] needs account");
        refused(
            "\n[[account]]\npeer = \"{u}@E\"\naccount = \"{v}\"\n",
            "p, line 2, column 1: account has {v}, which is not captured by {u}@E",
        );
        refused("[[account]]\npeer = \"a@{E}\"\naccount = \"a\"\n", "p, line 2, column 8: ");
        refused("[[account]]\npeer = \"*\"\naccount = \"a:b\"\n", "p, line 3, column 11: ");
        refused(
            "[[account]]\npeer = \"*\"\naccount = \"a\"\nlocal-name = true\n",
            "p, line 1, column 1: [[account]] needs account",
        );
    }

    #[test]
    fn rules_of_the_host_come_first() {
        let rule = |to: &str| format!("[[account]]\npeer = \"*\"\naccount = \"{to}\"\n");
        let host = Policy::parse(&rule("host"), "host").unwrap();
        let both = host.overlay(Policy::parse(&rule("user"), "user").unwrap());
        let choice = both.account_for(&"a@E".parse().unwrap(), ANY).unwrap().unwrap();
        assert!(matches!(choice, AccountChoice::Named { account, .. } if account == "host"));
        assert_eq!(both.accounts().len(), 2);
    }
}
