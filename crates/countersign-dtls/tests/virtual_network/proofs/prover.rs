//! Proofs inside associations, as simple as one can be, and yet with what the real one has: three
//! messages, bound to the association, the last of them from the client, who is done with it first.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use countersign_core::{HandshakeError, Proof, ProvedPeer, Sid, Timestamp};
use countersign_dtls::{Endpoint, ProofId, Side};
use countersign_tls::{ProofBinding, Proven};

use crate::clock;

/// What a prover does.
#[derive(Clone, Debug)]
pub(crate) enum Conduct {
    /// It proves this name, with messages of so many bytes, and thinks so long about each that it
    /// has heard.
    Proves { name: &'static str, bytes: usize, thinks: Duration },
    /// It proves this name, and then refuses instead of concluding.
    RefusesAtLast(&'static str),
    /// It sends as much as it can and listens to nothing.
    Floods,
    /// It passes everything on between here and elsewhere: what it hears is left in
    /// `Prover::heard`, and what is put in `Prover::given` it says.
    Relays,
    /// It says nothing.
    Silent,
}

impl Conduct {
    pub(crate) fn proves(name: &'static str) -> Self {
        Self::Proves { name, bytes: 0, thinks: Duration::ZERO }
    }
}

/// All proofs of one host.
#[derive(Debug)]
pub(crate) struct Prover {
    pub(crate) conduct: Conduct,
    /// In which group the peer's ticket says that it is.
    pub(crate) group: Option<&'static str>,
    pub(crate) heard: Vec<u8>,
    pub(crate) given: Vec<u8>,
    pub(crate) bindings: Vec<[u8; 32]>,
    pub(crate) begun: Vec<(ProofId, SocketAddr, Side)>,
    pub(crate) over: Vec<ProofId>,
    /// What came of conclusions and refusals of ours.
    pub(crate) ends: Vec<(ProofId, Result<(), HandshakeError>)>,
    under_way: HashMap<ProofId, Exchange>,
}

#[derive(Debug)]
struct Exchange {
    binding: [u8; 32],
    inbound: Vec<u8>,
    outbound: Vec<u8>,
    awaits: Awaits,
    thinks_until: Option<Instant>,
}

#[derive(Debug, PartialEq)]
enum Awaits {
    Request,
    Reply,
    LastWord(Vec<u8>),
    /// Only that its own last bytes are taken.
    Room(Vec<u8>),
}

const LAST_WORD: &str = "last word";

impl Default for Prover {
    fn default() -> Self {
        Self {
            conduct: Conduct::Silent,
            group: None,
            heard: Vec::new(),
            given: Vec::new(),
            bindings: Vec::new(),
            begun: Vec::new(),
            over: Vec::new(),
            ends: Vec::new(),
            under_way: HashMap::new(),
        }
    }
}

impl Prover {
    pub(crate) fn begin(
        &mut self,
        proof: ProofId,
        peer: SocketAddr,
        began: Side,
        binding: &ProofBinding,
    ) {
        let binding = binding.exported();
        assert!(!self.bindings.contains(&binding), "two proofs are bound to the same");
        assert!(self.begun.iter().all(|(id, ..)| *id != proof), "a number was given twice");
        self.bindings.push(binding);
        self.begun.push((proof, peer, began));
        let (awaits, mut outbound) = match began {
            Side::Ours => (Awaits::Reply, self.message(self.own_name(), &binding)),
            Side::Theirs => (Awaits::Request, Vec::new()),
        };
        match self.conduct {
            Conduct::Floods => outbound = vec![7; 1 << 20],
            Conduct::Silent | Conduct::Relays => outbound.clear(),
            _ => {}
        }
        let exchange =
            Exchange { binding, inbound: Vec::new(), outbound, awaits, thinks_until: None };
        self.under_way.insert(proof, exchange);
    }

    pub(crate) fn drop_proof(&mut self, proof: ProofId) {
        assert!(self.under_way.remove(&proof).is_some(), "it was over already");
        self.over.push(proof);
    }

    /// Leaves a proof to the test.
    pub(crate) fn forget(&mut self, proof: ProofId) {
        self.under_way.remove(&proof).unwrap();
    }

    /// When it has thought for long enough.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        self.under_way.values().filter_map(|it| it.thinks_until).min()
    }

    /// Goes on with every proof as far as it can.
    pub(crate) fn step(&mut self, endpoint: &mut Endpoint) {
        let mut all: Vec<ProofId> = self.under_way.keys().copied().collect();
        all.sort();
        for proof in all {
            while self.step_one(proof, endpoint) {}
        }
    }

    fn step_one(&mut self, proof: ProofId, endpoint: &mut Endpoint) -> bool {
        let now = clock::now();
        let Some(mut lent) = endpoint.proof(proof, now) else { return false };
        let Some(exchange) = self.under_way.get_mut(&proof) else { return false };
        if let Conduct::Relays = self.conduct {
            exchange.outbound.append(&mut self.given);
            self.heard.extend_from_slice(lent.input());
            lent.consume(usize::MAX);
        }
        let taken = lent.seal(&exchange.outbound);
        exchange.outbound.drain(..taken);
        if matches!(self.conduct, Conduct::Relays | Conduct::Silent | Conduct::Floods) {
            return false;
        }
        if exchange.thinks_until.is_some_and(|until| now.instant < until) {
            return false;
        }
        if let Awaits::Room(name) = &exchange.awaits {
            if !exchange.outbound.is_empty() {
                return false;
            }
            let name = String::from_utf8(name.clone()).unwrap().parse().unwrap();
            let proved = ProvedPeer::vouch(name, Proof::KerberosTicket);
            let until = Timestamp::from_secs(now.time.as_secs() + 60);
            let mut proven = Proven::new(proved, Some(until));
            proven.groups = self.group.iter().map(|it| it.parse::<Sid>().unwrap()).collect();
            let end = if let Conduct::RefusesAtLast(_) = self.conduct {
                let what = "it does not please".to_owned();
                Err(lent.refuse(HandshakeError::Protocol { what }))
            } else {
                let foreseen = lent.would_admit(proven.name.name(), &proven.groups);
                let end = lent.conclude(proven);
                // What else is wrong shows only then, and of a server nothing is foreseen.
                let is_of_server = matches!(foreseen, Err(HandshakeError::OurSide { .. }));
                assert!(is_of_server || foreseen == end || foreseen.is_ok());
                end
            };
            self.under_way.remove(&proof);
            self.ends.push((proof, end));
            return false;
        }
        // A message at a time: what comes behind it is not touched.
        let wanted = match exchange.inbound.first_chunk::<4>() {
            Some(length) => 4 + usize::try_from(u32::from_be_bytes(*length)).unwrap(),
            None => 4,
        };
        let chunk = lent.input();
        let count = chunk.len().min(wanted - exchange.inbound.len());
        exchange.inbound.extend_from_slice(&chunk[..count]);
        lent.consume(count);
        if exchange.inbound.len() < wanted || wanted == 4 {
            return count > 0;
        }
        if exchange.thinks_until.is_none()
            && let Conduct::Proves { thinks, .. } = self.conduct
            && thinks > Duration::ZERO
        {
            exchange.thinks_until = Some(now.instant + thinks);
            return false;
        }
        exchange.thinks_until = None;
        let message = std::mem::take(&mut exchange.inbound);
        let binding = exchange.binding;
        let length = usize::from(u16::from_be_bytes([message[4], message[5]]));
        let (name, rest) = message[6..].split_at(length);
        if rest[..32] != binding {
            let what = "another binding".to_owned();
            let error = lent.refuse(HandshakeError::Protocol { what });
            self.under_way.remove(&proof);
            self.ends.push((proof, Err(error)));
            return false;
        }
        let name = name.to_vec();
        let (answer, awaits) = match &exchange.awaits {
            Awaits::Request => (self.message(self.own_name(), &binding), Awaits::LastWord(name)),
            Awaits::Reply => (self.message(LAST_WORD, &binding), Awaits::Room(name)),
            Awaits::LastWord(client) => {
                assert_eq!(name, LAST_WORD.as_bytes());
                (Vec::new(), Awaits::Room(client.clone()))
            }
            Awaits::Room(_) => unreachable!(),
        };
        let exchange = self.under_way.get_mut(&proof).unwrap();
        exchange.outbound.extend(answer);
        exchange.awaits = awaits;
        true
    }

    /// The name that it proves.
    pub(crate) fn own_name(&self) -> &'static str {
        match self.conduct {
            Conduct::Proves { name, .. } | Conduct::RefusesAtLast(name) => name,
            _ => "",
        }
    }

    /// The length of the rest; the name and its length; the binding; and bytes that mean nothing.
    fn message(&self, name: &str, binding: &[u8; 32]) -> Vec<u8> {
        let bytes = match self.conduct {
            Conduct::Proves { bytes, .. } if name != LAST_WORD => bytes,
            _ => 0,
        };
        let mut message = u16::try_from(name.len()).unwrap().to_be_bytes().to_vec();
        message.extend(name.as_bytes());
        message.extend(binding);
        message.extend((0..bytes).map(|at| at.to_be_bytes()[7]));
        let length = u32::try_from(message.len()).unwrap();
        [&length.to_be_bytes()[..], &message].concat()
    }
}
