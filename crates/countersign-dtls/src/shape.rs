//! What a datagram looks like from outside, before any state is touched for it.

/// What a datagram seems to be, by its first record (RFC 6347 section 4.1).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A whole ClientHello in clear.
    ClientHello(Hello),
    /// Another record in clear: of a handshake under way, or an alert.
    Clear(Sender),
    /// A record under keys.
    Protected,
    /// No record of DTLS.
    Garbage,
}

/// Which side of a handshake can have sent a record in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Either,
    /// A server, before it keeps anything: HelloVerifyRequest.
    Gate,
    Server,
}

/// What is read of a ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The client's random, by which one attempt is told from the next: it stays the same when
    /// the hello is repeated with a cookie (RFC 6347 section 4.2.1).
    pub(crate) random: [u8; 32],
}

const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
// Handshake types (RFC 5246 section 7.4, RFC 6347 section 4.3.2).
const HELLO_REQUEST: u8 = 0;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;
const SERVER_KEY_EXCHANGE: u8 = 12;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;
const CERTIFICATE_VERIFY: u8 = 15;
const CLIENT_KEY_EXCHANGE: u8 = 16;

/// Looks at the first record of a datagram, once all of them are known to be whole.
pub(crate) fn of(datagram: &[u8]) -> Shape {
    if !is_whole(datagram) {
        return Shape::Garbage;
    }
    let mut rest = Cursor(datagram);
    let Some(record) = rest.record() else { return Shape::Garbage };
    if record.epoch > EPOCH {
        return Shape::Garbage;
    }
    if record.epoch > 0 {
        return Shape::Protected;
    }
    if record.content_type == APPLICATION_DATA {
        return Shape::Garbage;
    }
    match client_hello(&record) {
        Some(hello) => Shape::ClientHello(hello),
        None => Shape::Clear(sender(&record)),
    }
}

/// The epoch of records under keys. There is one, since there are no second handshakes: what proofs are
/// bound to stays what protects the association.
const EPOCH: u32 = 1;

/// Explicit nonce and tag of AES-GCM, the shortest that a record under keys can be.
const SHORTEST: usize = 8 + 16;

/// Returns whether a datagram is records to its end, none of them too short to be true.
///
/// libssl (3.0.19) takes a record under keys that is shorter than nonce and tag for a failure of
/// its own, and the association is lost: anyone could end one with 14 bytes. So it never sees any.
fn is_whole(datagram: &[u8]) -> bool {
    let mut rest = Cursor(datagram);
    while !rest.0.is_empty() {
        let Some(record) = rest.record() else { return false };
        if record.epoch > 0 && record.body.len() < SHORTEST {
            return false;
        }
    }
    true
}

/// Returns whether a datagram is one record and no more.
pub(crate) fn is_one_record(datagram: &[u8]) -> bool {
    let mut rest = Cursor(datagram);
    rest.record().is_some() && rest.0.is_empty()
}

/// Returns a fatal alert in clear, in the place of a datagram in clear that is not sent: with its
/// version and sequence number.
pub(crate) fn alert_instead_of(datagram: &[u8], alert: u8) -> Option<Vec<u8>> {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    let [_, major, minor, numbers @ ..] = datagram.first_chunk::<11>()?;
    Some([&[ALERT, *major, *minor], &numbers[..], &[0, 2, FATAL, alert]].concat())
}

/// Returns whether a datagram may go to a handshake under way: what is under keys in it is no
/// larger than a Finished message. libssl keeps up to a hundred records of an epoch that has not
/// begun, which would be more than a megabyte for each half-open handshake.
pub(crate) fn is_for_handshake(datagram: &[u8]) -> bool {
    const FINISHED: usize = 128;
    let mut rest = Cursor(datagram);
    while let Some(record) = rest.record() {
        if record.epoch > 0 && record.body.len() > FINISHED {
            return false;
        }
    }
    true
}

/// Says who can have sent a record in clear. To hand a server's message to a server would end its
/// handshake, and both ends may be on the way to each other at once.
fn sender(record: &Record<'_>) -> Sender {
    let message = record.body.first().filter(|_| record.content_type == HANDSHAKE);
    match message.copied() {
        Some(CLIENT_HELLO | CERTIFICATE_VERIFY | CLIENT_KEY_EXCHANGE) => Sender::Client,
        Some(HELLO_VERIFY_REQUEST) => Sender::Gate,
        Some(
            HELLO_REQUEST | SERVER_HELLO | SERVER_KEY_EXCHANGE | CERTIFICATE_REQUEST
            | SERVER_HELLO_DONE,
        ) => Sender::Server,
        _ => Sender::Either,
    }
}

/// Reads a ClientHello that is one record and not a fragment: a hello that were spread over
/// datagrams would have to be kept for an address that has proved nothing.
fn client_hello(record: &Record<'_>) -> Option<Hello> {
    if record.content_type != HANDSHAKE {
        return None;
    }
    let mut body = Cursor(record.body);
    if body.byte()? != CLIENT_HELLO {
        return None;
    }
    let length = body.number(3)?;
    let _sequence = body.number(2)?;
    let (offset, fragment) = (body.number(3)?, body.number(3)?);
    if offset != 0 || fragment != length || usize::try_from(length) != Ok(body.0.len()) {
        return None;
    }
    let _version = body.number(2)?;
    let random = body.take(32)?.try_into().ok()?;
    Some(Hello { random })
}

struct Record<'a> {
    content_type: u8,
    epoch: u32,
    body: &'a [u8],
}

/// Reads from the front, and nothing from behind the end.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn record(&mut self) -> Option<Record<'a>> {
        let content_type = self.byte()?;
        let major = self.byte()?;
        let _minor = self.byte()?;
        let epoch = self.number(2)?;
        let _sequence = self.take(6)?;
        let length = self.number(2)?;
        let body = self.take(usize::try_from(length).ok()?)?;
        let known = (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&content_type);
        (known && major == 0xfe).then_some(Record { content_type, epoch, body })
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self, bytes: usize) -> Option<u32> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hello, Sender, Shape, alert_instead_of, is_for_handshake, of};

    fn record(content_type: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let mut record = vec![content_type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 7];
        record.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        record.extend(body);
        record
    }

    fn hello(length: u8, offset: u8, fragment: u8) -> Vec<u8> {
        let mut body = vec![1, 0, 0, length, 0, 0, 0, 0, offset, 0, 0, fragment, 0xfe, 0xfd];
        body.extend([7; 32]);
        record(22, 0, &body)
    }

    #[track_caller]
    fn check(datagram: &[u8], expected: Shape) {
        assert_eq!(of(datagram), expected);
    }

    #[test]
    fn a_whole_hello_is_told_from_its_fragments() {
        check(&hello(34, 0, 34), Shape::ClientHello(Hello { random: [7; 32] }));
        check(&hello(35, 0, 34), Shape::Clear(Sender::Client));
        check(&hello(35, 1, 34), Shape::Clear(Sender::Client));
        check(&hello(33, 0, 33), Shape::Clear(Sender::Client));
    }

    #[test]
    fn epochs_tell_keys_from_clear() {
        check(&record(23, 1, &[0; 24]), Shape::Protected);
        check(&record(22, 1, &[0; 24]), Shape::Protected);
        check(&record(23, 1, &[0; 23]), Shape::Garbage);
        check(&record(23, 2, &[0; 24]), Shape::Garbage);
        check(&[record(23, 1, &[0; 24]), vec![23]].concat(), Shape::Garbage);
        check(&record(21, 0, &[2, 40]), Shape::Clear(Sender::Either));
        check(&record(22, 0, &[3, 0]), Shape::Clear(Sender::Gate));
        check(&record(22, 0, &[2, 0]), Shape::Clear(Sender::Server));
        check(&record(23, 0, b"in clear"), Shape::Garbage);
    }

    #[test]
    fn every_prefix_and_every_changed_byte_is_looked_at_in_peace() {
        let whole = hello(34, 0, 34);
        for end in 0..whole.len() {
            check(&whole[..end], Shape::Garbage);
        }
        for at in 0..whole.len() {
            for value in 0..=255 {
                let mut changed = whole.clone();
                changed[at] = value;
                of(&changed);
            }
        }
    }

    #[test]
    fn large_records_under_keys_do_not_reach_a_handshake() {
        let (clear, small) = (record(22, 0, &[11; 1000]), record(22, 1, &[0; 40]));
        let large = record(23, 1, &[0; 200]);
        assert!(is_for_handshake(&[clear.clone(), small.clone()].concat()));
        assert!(!is_for_handshake(&large));
        assert!(!is_for_handshake(&[clear, small, large].concat()));
    }

    #[test]
    fn an_alert_takes_the_place_of_what_it_stands_for() {
        let mut hello = record(22, 0, &[2, 0]);
        let alert = alert_instead_of(&hello, 120).unwrap();
        assert_eq!(alert, record(21, 0, &[2, 120]));
        hello.truncate(10);
        assert_eq!(alert_instead_of(&hello, 120), None);
    }

    #[test]
    fn other_protocols_are_garbage() {
        check(b"GET / HTTP/1.1\r\n\r\n", Shape::Garbage);
        check(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 3, 3, 0, 0, 0, 0, 0], Shape::Garbage);
        check(&[], Shape::Garbage);
    }
}
