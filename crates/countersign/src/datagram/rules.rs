//! What policy and program demand of the peers of a datagram socket, and what follows when that
//! changes.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_dtls::{Arrival, Config};
use countersign_tls::Question;

use super::state::{Open, State};
use crate::context::Generation;
use crate::core::{
    Admission, Asked, ClientPlan, HandshakeError, KerberosUse, PlanError, SaFields,
    SecuritySettings, TargetTable,
};
use crate::error::Error;
use crate::identity;
use crate::kerberos::still_counts;

impl State {
    /// Decides whom the peer at `address` must prove to be, and whether a ticket may or must prove
    /// it. There is never a plan in clear.
    pub(super) fn plan(
        &self,
        open: &Open,
        address: SocketAddr,
    ) -> Result<(Asked, KerberosUse), Error> {
        let planned = plan(&open.generation, self.settings.as_ref(), &self.names, address);
        planned.map_err(Error::Plan)
    }

    /// Returns a peer that has an association, or is about to, under another name than `names`
    /// would have it prove.
    pub(super) fn conflict(&self, names: &TargetTable) -> Option<SocketAddr> {
        let Open { endpoint, proofs, .. } = self.open.as_ref()?;
        let peers = endpoint.peers().map(|(peer, _)| peer).chain(proofs.searching());
        peers.into_iter().find(|peer| {
            let (old, new) = (self.names.lookup(*peer), names.lookup(*peer));
            let Some((_, new)) = new else { return false };
            let proved = |evidence: &crate::Evidence| {
                evidence.names().iter().any(|proved| proved.name() == new)
            };
            old.is_none_or(|(_, old)| old != new)
                && !endpoint.evidence(*peer).is_some_and(|it| proved(it))
        })
    }

    /// Has the association with `peer` end once one of `fields` changes; what it was made under
    /// may have changed already.
    pub(super) fn watch(&mut self, peer: SocketAddr, fields: SaFields) {
        let Self { open: Some(open), settings, names, local, .. } = self else { return };
        if fields != SaFields::NONE && open.endpoint.watch(peer, fields) {
            open.follows_policy |= fields.contains(SaFields::MM_SA_ID);
            open.follow_policy(settings.as_ref(), names, *local);
        }
    }

    /// Ends what the policy in force would not have made, if the program asked for that.
    pub(super) fn follow_policy(&mut self, generation: impl FnOnce() -> Arc<Generation>) {
        if self.open.as_ref().is_some_and(|open| open.follows_policy) {
            self.go_by(generation());
        }
    }

    /// Goes by these files from now on: who greets us, whom we greet, and with whom we are about to
    /// talk; associations that hold stay, unless the program wants it otherwise.
    pub(super) fn go_by(&mut self, generation: Arc<Generation>) {
        let Self { open: Some(open), settings, names, local, mtu, .. } = self else { return };
        if generation.number == open.generation.number {
            return;
        }
        // One that cannot be used leaves the one before in force.
        if let Ok(config) = config(&generation, *mtu) {
            open.endpoint.set_config(config);
        }
        open.generation = generation;
        open.follow_policy(settings.as_ref(), names, *local);
        open.plan_anew(settings.as_ref(), names);
    }
}

impl Open {
    /// Has what we are about to ask of peers be what the policy in force says.
    fn plan_anew(&mut self, settings: Option<&SecuritySettings>, names: &TargetTable) {
        let (now, generation) = (self.now(), self.generation.clone());
        let planned = |peer| plan(&generation, settings, names, peer).ok();
        self.endpoint.plan_anew(now, &planned);
        for (peer, number) in self.proofs.plan_anew(&planned) {
            self.greet_knowing(peer, number, None);
        }
        self.absorb();
    }

    /// Ends the associations that the program wants to follow the policy, and that would not be made
    /// under the one in force.
    pub(super) fn follow_policy(
        &mut self,
        settings: Option<&SecuritySettings>,
        names: &TargetTable,
        local: SocketAddr,
    ) {
        if !self.follows_policy {
            return;
        }
        let (now, generation) = (self.now(), self.generation.clone());
        for (peer, asked, to) in self.endpoint.watched() {
            let question = match asked {
                Some(asked) if generation.policy.still_asks(&asked, peer) => {
                    Ok((Question::IsServer(asked), self.relied_on_as_client()))
                }
                Some(_) => Err("another name is asked for at its address".to_owned()),
                None => {
                    let arrival = Arrival { from: peer, to };
                    let admission = admission(&generation, settings, names, local, arrival);
                    admission.map_err(|why| why.to_string()).map(|admission| {
                        let relied_on = admission.kerberos();
                        (Question::MayConnect(admission, peer), relied_on)
                    })
                }
            };
            let judged = match question {
                Ok((question, relied_on)) => {
                    let rule = generation.policy.kerberos();
                    let evidence = self.endpoint.evidence(peer);
                    let counts = evidence.map_or(Ok(()), |it| still_counts(it, rule, relied_on));
                    counts.and_then(|()| {
                        self.endpoint.judge_anew(peer, &question, &generation.anchors, now)
                    })
                }
                Err(why) => Err(HandshakeError::NotAllowed { peer: peer.to_string(), why }),
            };
            if let Err(why) = judged {
                let what = format!("under the policy as it is now, {why}");
                self.endpoint.abort(peer, HandshakeError::Changed { what }, now);
            }
        }
        self.absorb();
    }
}

/// Decides whom the peer at `address` must prove to be when we greet it, and whether a ticket may or
/// must prove it.
///
/// # Errors
///
/// Why it cannot be greeted.
fn plan(
    generation: &Generation,
    settings: Option<&SecuritySettings>,
    names: &TargetTable,
    address: SocketAddr,
) -> Result<(Asked, KerberosUse), PlanError> {
    let default = SecuritySettings::default();
    let settings = Some(settings.unwrap_or(&default));
    match generation.policy.plan_client(settings, names, address)? {
        ClientPlan::Tls { asked, kerberos, .. } => Ok((asked, kerberos)),
        _ => Err(PlanError::NoName { peer: address }),
    }
}

/// Says who may come in that way.
///
/// # Errors
///
/// Why nobody may, whoever it is.
pub(super) fn admission(
    generation: &Generation,
    settings: Option<&SecuritySettings>,
    names: &TargetTable,
    local: SocketAddr,
    arrival: Arrival,
) -> Result<Arc<Admission>, PlanError> {
    let at = SocketAddr::new(arrival.to.unwrap_or_else(|| local.ip()), local.port());
    let default = SecuritySettings::default();
    let settings = Some(settings.unwrap_or(&default));
    let plan = generation.policy.plan_inbound_datagrams(settings, names, at, arrival.from);
    plan.map(Arc::new)
}

/// Returns what associations need under these files, with this MTU.
pub(super) fn config(generation: &Generation, mtu: u16) -> Result<Config, Error> {
    let make = || make_config(generation, mtu);
    if mtu != Config::DEFAULT_MTU {
        return make();
    }
    match generation.datagrams.get() {
        Some(config) => Ok(config.clone()),
        None => {
            let made = make()?;
            Ok(generation.datagrams.get_or_init(|| made).clone())
        }
    }
}

fn make_config(generation: &Generation, mtu: u16) -> Result<Config, Error> {
    let (anchors, own) = (&generation.anchors, generation.credential.as_ref());
    let is_off = generation.policy.kerberos().server.unwrap_or_default() == KerberosUse::Off;
    if own.is_none() && !is_off {
        // Who proves itself by its keytab shows some certificate, because DTLS needs one; nobody has
        // to believe it.
        let nobody = identity::throw_away_credential()?;
        return Config::for_proofs_only(anchors, &nobody, mtu).map_err(ours);
    }
    Config::new(anchors, own, mtu).map_err(ours)
}

pub(super) fn ours(source: HandshakeError) -> Error {
    Error::Handshake { peer: SocketAddr::from(([0, 0, 0, 0], 0)), source }
}
