//! The parts that leave.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::WINDOW;
use crate::frame::Ack;

/// What has been cut into parts and has not arrived, as far as we know.
pub(crate) struct Outbound {
    /// Without a gap, the one with number `first` in front.
    parts: VecDeque<Part>,
    first: u32,
    /// How many bytes they hold.
    waiting: usize,
    /// How many bytes one part holds.
    size: usize,
    /// How many have been sent at least once.
    sent: u32,
    /// How long we wait: twice as long as the path takes, as far as that is known.
    timeout: Duration,
    due: Option<Instant>,
    /// Somebody had more than there was room for.
    wants_room: bool,
}

struct Part {
    bytes: Vec<u8>,
    state: State,
    /// When it was sent, if it was sent once.
    sent_once: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is known to have arrived.
    Arrived,
    /// It is to be sent, for the first time or once more.
    Due,
    /// It is on the way, and so many that were sent with it or later have arrived since.
    Sent { passed: u8 },
}

/// How many bytes may wait.
const ROOM: usize = 32 * 1024;
/// The wait for an acknowledgement, which doubles as libssl's does (`libssl.rs`).
const FIRST_TIMEOUT: Duration = Duration::from_millis(500);
const LAST_TIMEOUT: Duration = Duration::from_secs(4);
/// The shortest, on paths that are known to be quick: that of TCP here (tcp(7)).
const LEAST_TIMEOUT: Duration = Duration::from_millis(200);
/// A part is taken for lost when so many later ones have arrived (RFC 9002 section 6.1.1).
const PASSED: u8 = 3;

/// Something was acknowledged that had not been sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NeverSent;

impl Outbound {
    /// Makes one whose parts hold `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            parts: VecDeque::new(),
            first: 0,
            waiting: 0,
            size: size.max(1),
            sent: 0,
            timeout: FIRST_TIMEOUT,
            due: None,
            wants_room: false,
        }
    }

    /// Takes bytes to send, as many as there is room for, and returns how many.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        for chunk in bytes.chunks(self.size) {
            let numbered = u32::try_from(self.parts.len()).ok();
            let number = numbered.and_then(|waiting| self.first.checked_add(waiting));
            // The last number would leave none for what follows on it.
            if self.waiting + chunk.len() > ROOM || number.is_none_or(|it| it == u32::MAX) {
                self.wants_room = true;
                break;
            }
            self.parts.push_back(Part {
                bytes: chunk.to_vec(),
                state: State::Due,
                sent_once: None,
            });
            self.waiting += chunk.len();
            taken += chunk.len();
        }
        taken
    }

    /// Returns the part that is to be sent next, and its number.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(u32, &[u8])> {
        let window = self.parts.iter_mut().take(WINDOW).enumerate();
        let (at, part) = window.into_iter().find(|(_, part)| part.state == State::Due)?;
        part.state = State::Sent { passed: 0 };
        let number = self.first + u32::try_from(at).unwrap_or(0);
        part.sent_once = (number >= self.sent).then_some(now);
        self.sent = self.sent.max(number + 1);
        self.due.get_or_insert(now + self.timeout);
        Some((number, &part.bytes))
    }

    /// Learns what has arrived. What has not, and was passed by others, is sent again.
    ///
    /// # Errors
    ///
    /// [`NeverSent`]: whoever says so has not listened.
    pub(crate) fn acknowledge(&mut self, ack: Ack, now: Instant) -> Result<(), NeverSent> {
        let last = u16::BITS - ack.beyond.leading_zeros();
        let seen = if last == 0 { Some(ack.next) } else { ack.next.checked_add(1 + last) };
        if seen.is_none_or(|seen| seen > self.sent) {
            return Err(NeverSent);
        }
        let mut is_news = false;
        for at in 0..self.parts.len().min(WINDOW) {
            let number = self.first + u32::try_from(at).unwrap_or(0);
            let has_arrived = number < ack.next
                || number.checked_sub(ack.next).and_then(|it| it.checked_sub(1)).is_some_and(
                    |bit| ack.beyond.checked_shr(bit).is_some_and(|bits| bits & 1 == 1),
                );
            let Some(part) = self.parts.get_mut(at) else { break };
            if !has_arrived || part.state == State::Arrived {
                continue;
            }
            part.state = State::Arrived;
            is_news = true;
            // Of one that was sent again, nobody knows which time it arrived; until another tells how
            // long the path takes, the longer wait stands (RFC 6298 section 5.7).
            if let Some(sent) = part.sent_once {
                let both_ways = now.saturating_duration_since(sent);
                self.timeout = (2 * both_ways).clamp(LEAST_TIMEOUT, LAST_TIMEOUT);
            }
            for before in self.parts.iter_mut().take(at) {
                if let State::Sent { passed } = before.state {
                    let passed = passed + 1;
                    let is_lost = passed >= PASSED;
                    before.state = if is_lost { State::Due } else { State::Sent { passed } };
                }
            }
        }
        while let Some(part) = self.parts.front()
            && part.state == State::Arrived
        {
            self.waiting -= part.bytes.len();
            self.first += 1;
            self.parts.pop_front();
        }
        if is_news {
            let is_on_its_way =
                self.parts.iter().any(|part| matches!(part.state, State::Sent { .. }));
            self.due = is_on_its_way.then(|| now + self.timeout);
        }
        Ok(())
    }

    /// Has everything that is on the way sent again, if its time is over.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            for part in &mut self.parts {
                if let State::Sent { .. } = part.state {
                    part.state = State::Due;
                }
            }
            self.timeout = (self.timeout * 2).min(LAST_TIMEOUT);
            self.due = None;
        }
    }

    /// Forgets what has not arrived.
    pub(crate) fn clear(&mut self) {
        *self = Self { first: self.sent, sent: self.sent, ..Self::new(self.size) };
    }

    /// Returns, once, whether there is room for those who had more than fitted.
    pub(crate) fn take_room(&mut self) -> bool {
        let has_room = self.wants_room && self.waiting + self.size <= ROOM;
        self.wants_room &= !has_room;
        has_room
    }

    /// Returns whether everything has arrived.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns when [`Self::handle_timeout`] is to be called.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbound({} bytes from part {} on)", self.waiting, self.first)
    }
}
