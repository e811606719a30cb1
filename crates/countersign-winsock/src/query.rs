//! What a query tells, and whom an impersonation is of (SPEC 7, 8).

use std::net::SocketAddr;

use countersign::core::{QueryAnswer, SaFields, TokenAccess};
use countersign::rights::PeerToken;

use crate::abi;
use crate::decode::QueryTemplate;
use crate::encode::{QueryInfo, SecondInfo};
use crate::entry::{Entry, Phase, Secured};
use crate::failure::Failure;
use crate::layout::{SOCKET_SECURITY_PROTOCOL_DEFAULT, SOCKET_SECURITY_PROTOCOL_IPSEC2};
use crate::token::{self, Token};
use crate::{kernel, security};

/// Whether the socket has one peer.
pub(crate) fn is_connected(entry: &Entry) -> bool {
    match entry.secured() {
        Some(Secured::Stream(_)) => true,
        Some(Secured::Datagram(socket)) => socket.peer_addr().is_ok(),
        Some(Secured::Listener(_)) => false,
        None if entry.is_staged() => false,
        None => kernel::peer_address(entry.kernel()).is_ok(),
    }
}

/// Answers a query, as bytes of the structure that it asks for. It never waits.
pub(crate) fn query(
    entry: &Entry,
    template: Result<Option<QueryTemplate>, Failure>,
) -> Result<Vec<u8>, Failure> {
    // A socket whose connect failed has a reason to tell, though it has no connection.
    let may_tell = is_connected(entry) || entry.is_staged() && entry.phase() == Phase::Failed;
    if entry.is_stream() && !may_tell {
        return Err(security::not_connected());
    }
    let asked = Asked::new(template?)?;
    match entry.secured() {
        Some(Secured::Stream(stream)) => {
            let answer = stream.query_with(&asked.template)?;
            let tokens = || (stream.application_token(), stream.machine_token());
            asked.tell(&answer, tokens)
        }
        Some(Secured::Datagram(socket)) => {
            let answer = socket.query_with(&asked.template)?;
            let Some(peer) = asked.peer else { return Err(security::not_connected()) };
            let tokens = || (socket.application_token(peer), socket.machine_token(peer));
            asked.tell(&answer, tokens)
        }
        Some(Secured::Listener(_)) => Err(security::not_connected()),
        None if entry.is_staged() => {
            match entry.try_stage().as_ref().and_then(|it| it.socket.as_ref()) {
                Some(socket) => asked.tell(&socket.query_with(&asked.template)?, || (None, None)),
                None => Err(security::not_connected()),
            }
        }
        // A stream in clear: nothing protects it, and nobody is there whom we know.
        None if entry.is_stream() && entry.phase() != Phase::UnderWay => {
            asked.encode(0, None, None, SecondInfo::default())
        }
        None => Err(security::not_connected()),
    }
}

/// What a query asks for.
struct Asked {
    template: countersign::core::QueryTemplate,
    peer: Option<SocketAddr>,
    access: u32,
    is_second: bool,
}

impl Asked {
    fn new(template: Option<QueryTemplate>) -> Result<Self, Failure> {
        let mut asked = countersign::core::QueryTemplate::default();
        let Some(template) = template else {
            return Ok(Self { template: asked, peer: None, access: 0, is_second: false });
        };
        token::check_access(template.access)?;
        if let Some(peer) = template.address {
            asked = asked.at(peer);
        }
        if template.access != 0 {
            asked = asked.with_tokens(TokenAccess::QUERY);
        }
        if let Some(second) = &template.second {
            asked = asked.with_sa_ids();
            if second.abort_on_change {
                let session =
                    if second.watch_session { SaFields::MM_SA_ID } else { SaFields::NONE };
                let keys = if second.watch_keys { SaFields::QM_SA_ID } else { SaFields::NONE };
                asked = asked.aborting_on(session | keys);
            }
        }
        Ok(Self {
            template: asked,
            peer: template.address,
            access: template.access,
            is_second: template.second.is_some(),
        })
    }

    fn tell(
        &self,
        answer: &QueryAnswer,
        tokens: impl FnOnce() -> (Option<PeerToken>, Option<PeerToken>),
    ) -> Result<Vec<u8>, Failure> {
        let (application, machine) = if self.access == 0 { (None, None) } else { tokens() };
        let ids = answer.ids();
        let refusal = answer.negotiation_error().map_or(0, |error| error.wsa().number());
        let second = SecondInfo {
            session: ids.map_or(0, |ids| ids.session),
            keys: ids.map_or(0, |ids| ids.traffic_keys),
            negotiation: refusal.cast_unsigned(),
            ..SecondInfo::default()
        };
        self.encode(answer.flags().bits(), application, machine, second)
    }

    fn encode(
        &self,
        flags: u32,
        application: Option<PeerToken>,
        machine: Option<PeerToken>,
        second: SecondInfo,
    ) -> Result<Vec<u8>, Failure> {
        let protocol = if self.is_second {
            SOCKET_SECURITY_PROTOCOL_IPSEC2
        } else {
            SOCKET_SECURITY_PROTOCOL_DEFAULT
        };
        let second = self.is_second.then_some(second);
        let mut told = QueryInfo { protocol, flags, second, ..QueryInfo::default() };
        if self.access != 0 {
            told.application = self.hand_out(application)?;
            told.machine = match self.hand_out(machine) {
                Ok(machine) => machine,
                Err(failure) => {
                    let first = std::ptr::without_provenance_mut(told.application as usize);
                    crate::handle::close(first);
                    return Err(failure);
                }
            };
        }
        Ok(told.to_bytes())
    }

    fn hand_out(&self, token: Option<PeerToken>) -> Result<u64, Failure> {
        let Some(token) = token else { return Ok(0) };
        Token::hand_out(token, self.access).map(|handle| handle.addr() as u64)
    }
}

/// Returns the token of the peer to act for: a blocking, non-overlapped, secured socket's
/// (SPEC 8.1, 8.4).
pub(crate) fn impersonation_token(
    entry: &Entry,
    peer: Result<Option<SocketAddr>, Failure>,
) -> Result<PeerToken, Failure> {
    let refused = |text| Err(Failure::fixed(abi::WSAEOPNOTSUPP, text));
    if entry.is_stream() && !is_connected(entry) {
        return Err(security::not_connected());
    }
    if entry.is_nonblocking() {
        return refused("impersonation is for sockets that block");
    }
    if entry.is_overlapped() {
        return refused(
            "impersonation is for sockets that are not overlapped: make it, or its listener, by \
             WSASocket without WSA_FLAG_OVERLAPPED",
        );
    }
    match entry.secured() {
        Some(Secured::Stream(stream)) => Ok(stream.impersonation_token()?),
        Some(Secured::Datagram(socket)) => Ok(socket.impersonation_token(peer?)?),
        _ if entry.is_stream() => refused("the connection is in clear, so the peer is nobody"),
        _ => Err(security::not_connected()),
    }
}
