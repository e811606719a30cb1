//! An engine and a proof inside its connection that is as simple as one can be, and yet has what
//! the real one has: three messages, bound to the connection, the last of them from the client.

use countersign_core::{Evidence, HandshakeError, Proof, ProvedPeer, Sid, Timestamp};
use countersign_lab::End;
use countersign_tls::{Engine, Opened, Output, ProofBinding, Proven};

/// What a prover does.
#[derive(Clone, Debug)]
pub(crate) enum Conduct {
    /// It proves this name and is in this group.
    Proves(&'static str, Option<&'static str>),
    /// It answers whatever the other side sends with nothing.
    Silent,
    /// It speaks to the application at once.
    SkipsTheProof,
    /// It says that it will send no more.
    Closes,
    /// It passes everything on between here and another connection: what it takes is left in
    /// `Prover::taken`, and what is put in `Prover::given` it gives.
    Relays,
}

/// One end. Each message is the length of the rest as one byte, the name, and the binding.
#[derive(Debug)]
pub(crate) struct Prover {
    pub(crate) engine: Engine,
    pub(crate) taken: Vec<u8>,
    pub(crate) given: Vec<u8>,
    /// What the client sends to the application in the flight of its last message.
    pub(crate) eager: &'static [u8],
    conduct: Conduct,
    binding: Option<[u8; 32]>,
    inbound: Vec<u8>,
    state: State,
    is_reported: bool,
}

#[derive(Debug, PartialEq)]
enum State {
    Idle,
    /// The client waits for the server's proof, or the server for the client's.
    ExpectProof,
    /// The server waits for the client's last word.
    ExpectLastWord(Vec<u8>),
    Done,
}

const LAST_WORD: &[u8] = b"last word";

impl Prover {
    pub(crate) fn new(engine: Engine, conduct: Conduct) -> Self {
        Self {
            engine,
            taken: Vec::new(),
            given: Vec::new(),
            eager: b"",
            conduct,
            binding: None,
            inbound: Vec::new(),
            state: State::Idle,
            is_reported: false,
        }
    }

    fn begin(&mut self, binding: &ProofBinding) {
        self.binding = Some(binding.exported());
        self.state = State::ExpectProof;
        match self.conduct {
            Conduct::Proves(name, _) if self.engine.is_client() => self.say(name.as_bytes()),
            Conduct::SkipsTheProof => {
                assert_eq!(self.engine.seal(b"early"), 0, "plaintext before the proof");
            }
            Conduct::Closes => self.engine.close(),
            _ => {}
        }
    }

    fn say(&mut self, word: &[u8]) {
        let mut message = vec![u8::try_from(word.len()).unwrap()];
        message.extend(word);
        message.extend(self.binding.unwrap());
        assert_eq!(self.engine.seal_proof(&message), message.len());
    }

    /// Returns the word of the next message, once it is whole, if its binding is that of this
    /// connection. No byte behind it is touched.
    fn hear(&mut self) -> Result<Option<Vec<u8>>, HandshakeError> {
        loop {
            let wanted = self.inbound.first().map_or(1, |length| 1 + usize::from(*length) + 32);
            if self.inbound.len() == wanted && wanted > 1 {
                let message = std::mem::take(&mut self.inbound);
                let (word, binding) = message[1..].split_at(wanted - 33);
                return if Some(binding) == self.binding.as_ref().map(|it| &it[..]) {
                    Ok(Some(word.to_vec()))
                } else {
                    Err(HandshakeError::Protocol { what: "another binding".to_owned() })
                };
            }
            let chunk = self.engine.proof_input()?;
            let count = chunk.len().min(wanted - self.inbound.len());
            if count == 0 {
                return Ok(None);
            }
            self.inbound.extend_from_slice(&chunk[..count]);
            self.engine.consume_proof(count);
        }
    }

    fn go_on(&mut self, now: Timestamp) -> Result<(), HandshakeError> {
        match self.conduct.clone() {
            Conduct::Proves(own, group) => self.prove(own, group, now),
            Conduct::Relays => {
                let chunk = self.engine.proof_input()?.to_vec();
                self.engine.consume_proof(chunk.len());
                self.taken.extend(chunk);
                let sealed = self.engine.seal_proof(&self.given);
                self.given.drain(..sealed);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn prove(
        &mut self,
        own: &str,
        group: Option<&str>,
        now: Timestamp,
    ) -> Result<(), HandshakeError> {
        if matches!(self.state, State::Idle | State::Done) {
            return Ok(());
        }
        while let Some(word) = self.hear()? {
            let name = match std::mem::replace(&mut self.state, State::Done) {
                State::ExpectProof if !self.engine.is_client() => {
                    self.state = State::ExpectLastWord(word);
                    self.say(own.as_bytes());
                    continue;
                }
                State::ExpectProof => {
                    self.say(LAST_WORD);
                    word
                }
                State::ExpectLastWord(name) if word == LAST_WORD => name,
                _ => return Err(HandshakeError::Protocol { what: "out of turn".to_owned() }),
            };
            let name = String::from_utf8(name).unwrap().parse().unwrap();
            let proved = ProvedPeer::vouch(name, Proof::KerberosTicket);
            let mut proven = Proven::new(proved, Some(Timestamp::from_secs(now.as_secs() + 60)));
            // What its peer's KDC says is as good as said by the peer, here.
            let groups = group.into_iter().map(|group| group.parse::<Sid>().unwrap());
            proven.groups = groups.collect();
            self.engine.conclude(proven, now)?;
            break;
        }
        Ok(())
    }
}

impl End for Prover {
    type Secured = Evidence;
    type Failure = HandshakeError;

    fn handle_input(&mut self, wire: &[u8], now: Timestamp) -> Result<usize, HandshakeError> {
        self.engine.handle_input(wire, now)
    }

    fn handle_end_of_input(&mut self) -> Result<(), HandshakeError> {
        self.engine.handle_end_of_input()
    }

    fn poll(&mut self, now: Timestamp) -> Result<Option<Evidence>, HandshakeError> {
        loop {
            match self.engine.poll(now)? {
                Output::Prove(binding) => {
                    assert!(self.binding.is_none(), "the proof began twice");
                    self.begin(&binding);
                }
                Output::Secured(evidence) => {
                    if self.engine.is_client() {
                        self.engine.seal(self.eager);
                    }
                    return Ok(Some(*evidence));
                }
                _ if self.binding.is_some() && self.engine.is_handshaking() => {
                    if let Err(error) = self.go_on(now) {
                        return Err(self.engine.refuse(error));
                    }
                    if self.state != State::Done || self.is_reported {
                        return Ok(None);
                    }
                    self.is_reported = true;
                }
                _ => return Ok(None),
            }
        }
    }

    fn seal(&mut self, plain: &[u8]) -> usize {
        self.engine.seal(plain)
    }

    fn open(&mut self, plain: &mut Vec<u8>) -> Result<bool, HandshakeError> {
        let mut piece = vec![0; 4096];
        loop {
            match self.engine.open(&mut piece)? {
                Opened::Closed => return Ok(true),
                Opened::Data(count) => plain.extend(piece.iter().take(count)),
                _ => return Ok(false),
            }
        }
    }

    fn transmit(&mut self, wire: &mut Vec<u8>) {
        while self.engine.wants_transmit() {
            self.engine.transmit(wire).expect("memory takes everything");
        }
    }

    fn close(&mut self) {
        self.engine.close();
    }
}
