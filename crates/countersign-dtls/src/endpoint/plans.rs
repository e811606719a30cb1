//! What handshakes of ours ask and offer, where that has changed since they began.

use std::net::SocketAddr;

use countersign_core::{Asked, HandshakeError, KerberosUse};

use super::peer::{Pending, Role};
use super::{ATTEMPTS, Endpoint, Moment, Wish};

/// Says whom to ask for at an address, and what to offer; `None` is that nobody is to be greeted there.
pub type Planning<'a> = dyn Fn(SocketAddr) -> Option<(Asked, KerberosUse)> + 'a;

impl Endpoint {
    /// Has handshakes of ours from now on ask and offer what `plan` says, whatever they were begun
    /// with: one that is under way begins anew if it could end otherwise than the plan wants, and looks
    /// at peers that we greeted once go by it. Live associations stay.
    pub fn plan_anew(&mut self, now: Moment, plan: &Planning<'_>) {
        let all: Vec<SocketAddr> = self.peers.keys().copied().collect();
        for address in all {
            let Some(peer) = self.peers.get_mut(&address) else { continue };
            if let Some(live) = &mut peer.live
                && live.asked.is_some()
            {
                let before = live.look.take().map(|(_, offer)| offer);
                live.look = plan(address).map(|planned| sparing(planned, before));
            }
            if let Some(pending) = &peer.pending
                && let Role::Client { .. } = pending.role
            {
                self.begin_anew(address, plan(address), now);
            }
        }
    }

    /// Has the next look at a peer that we greeted offer no ticket; its certificate must do then.
    pub(super) fn look_without_ticket(&mut self, address: SocketAddr) {
        let live = self.peers.get_mut(&address).and_then(|peer| peer.live.as_mut());
        if let Some((_, offer)) = live.and_then(|live| live.look.as_mut()) {
            *offer = KerberosUse::Off;
        }
    }

    /// Begins a handshake of ours anew, if it does not fit what is planned now.
    fn begin_anew(
        &mut self,
        address: SocketAddr,
        planned: Option<(Asked, KerberosUse)>,
        now: Moment,
    ) {
        let pending = self.peers.get(&address).and_then(|peer| peer.pending.as_ref());
        let Some(pending @ Pending { role: Role::Client { asked, offer, .. }, .. }) = pending
        else {
            return;
        };
        if let Some((new, planned)) = &planned
            && asked == new
            && fits(*offer, *planned, pending.proof.is_some())
        {
            return;
        }
        let (offer, local, deadline) = (*offer, pending.local, pending.deadline);
        let begun = match planned.map(|planned| sparing(planned, Some(offer))) {
            Some((asked, offer)) => {
                let wish = Wish { asked, offer, attempts: ATTEMPTS, local, deadline };
                self.attempt(wish, now)
            }
            None => {
                let what = "nobody is to be greeted there any more".to_owned();
                Err(HandshakeError::OurSide { what })
            }
        };
        let Some(mut old) = self.peers.get_mut(&address).and_then(|peer| peer.pending.take())
        else {
            return;
        };
        Self::hang_up(&mut self.events, address, &mut old, now);
        match begun {
            Ok(fresh) => {
                self.peers.entry(address).or_default().pending = Some(fresh);
                self.drop_proof(&old);
                self.settle_pending(address, now);
            }
            Err(error) => {
                self.report(address, &old.role, error);
                self.drop_proof(&old);
                self.schedule(address, now);
            }
        }
    }
}

/// Returns whether a handshake with this offer can only end as is planned; one whose proof has begun
/// ends by that, or not.
fn fits(offer: KerberosUse, planned: KerberosUse, is_proving: bool) -> bool {
    match planned {
        KerberosUse::Off => offer == KerberosUse::Off,
        KerberosUse::Require => offer == KerberosUse::Require || is_proving,
        _ => true,
    }
}

/// Who need not show a ticket, and had none to offer, offers none now either.
fn sparing(
    (asked, offer): (Asked, KerberosUse),
    before: Option<KerberosUse>,
) -> (Asked, KerberosUse) {
    match (offer, before) {
        (KerberosUse::Prefer, Some(KerberosUse::Off)) => (asked, KerberosUse::Off),
        _ => (asked, offer),
    }
}
