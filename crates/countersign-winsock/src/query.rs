//! What a query tells, and whom an impersonation is of (SPEC 7, 8).

use std::net::SocketAddr;

use countersign::rights::PeerToken;
use countersign::{Evidence, SecurityInfo};

use crate::abi;
use crate::decode::QueryTemplate;
use crate::encode::{QueryInfo, SecondInfo};
use crate::entry::{Entry, Phase, Secured};
use crate::failure::Failure;
use crate::layout::{
    SOCKET_INFO_CONNECTION_IMPERSONATED, SOCKET_SECURITY_PROTOCOL_DEFAULT,
    SOCKET_SECURITY_PROTOCOL_IPSEC2,
};
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
    if entry.is_stream() && !is_connected(entry) {
        return Err(security::not_connected());
    }
    let template = template?;
    let access = template.as_ref().map_or(0, |template| template.access);
    token::check_access(access)?;
    let address = template.as_ref().and_then(|template| template.address);
    let answer = match entry.secured() {
        Some(Secured::Stream(stream)) => Answer {
            info: stream.query()?,
            application: stream.application_token(),
            machine: stream.machine_token(),
        },
        Some(Secured::Datagram(socket)) => {
            let peer = address.ok_or(Failure::fixed(
                abi::WSAEINVAL,
                "a datagram socket has many peers, and the template names none",
            ))?;
            Answer {
                info: socket.query(peer)?,
                application: socket.application_token(peer),
                machine: socket.machine_token(peer),
            }
        }
        // Only streams in clear are connected here.
        _ if entry.is_stream() && entry.phase() != Phase::UnderWay => {
            Answer { info: SecurityInfo::clear(), application: None, machine: None }
        }
        _ => return Err(security::not_connected()),
    };
    answer.encode(template.as_ref(), access)
}

/// What is known of a peer.
struct Answer {
    info: SecurityInfo,
    application: Option<PeerToken>,
    machine: Option<PeerToken>,
}

impl Answer {
    fn encode(self, template: Option<&QueryTemplate>, access: u32) -> Result<Vec<u8>, Failure> {
        let mut flags = self.info.flags().bits();
        let best = self.application.as_ref().or(self.machine.as_ref());
        if best.is_some_and(PeerToken::is_impersonable) {
            flags |= SOCKET_INFO_CONNECTION_IMPERSONATED;
        }
        let is_second = template.is_some_and(|template| template.second.is_some());
        let mut told = QueryInfo {
            protocol: if is_second {
                SOCKET_SECURITY_PROTOCOL_IPSEC2
            } else {
                SOCKET_SECURITY_PROTOCOL_DEFAULT
            },
            flags,
            second: is_second.then(|| second(self.info.evidence())),
            ..QueryInfo::default()
        };
        if access != 0 {
            let hand_out = |token: Option<PeerToken>| {
                token.map_or(Ok(0), |token| {
                    Token::hand_out(token, access).map(|handle| handle.addr() as u64)
                })
            };
            told.application = hand_out(self.application)?;
            match hand_out(self.machine) {
                Ok(machine) => told.machine = machine,
                Err(failure) => {
                    let first = std::ptr::without_provenance_mut(told.application as usize);
                    crate::handle::close(first);
                    return Err(failure);
                }
            }
        }
        Ok(told.to_bytes())
    }
}

fn second(evidence: Option<&Evidence>) -> SecondInfo {
    let session = evidence.map_or(0, |evidence| evidence.session().as_u64());
    SecondInfo { session, keys: session, ..SecondInfo::default() }
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
