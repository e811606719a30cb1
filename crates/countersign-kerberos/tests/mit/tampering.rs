//! Somebody changes bits on the way. Whatever he changes, the proof fails or proves the same.

use countersign_core::{EncryptionType, TicketEncryption};
use countersign_kerberos::Exchange;
use countersign_lab::Realm;

use crate::world::{From, SERVER, client, give, in_realm, outcome, server, talk_over, work};

/// Lets one bit of the message that `from` sends first be another, for every bit of it, and
/// returns in how many cases the proof came about all the same.
fn each_bit(realm: &Realm, from: From, kind: u8) -> (usize, usize) {
    let (mut tried, mut proved) = (0, 0);
    loop {
        let mut is_past_the_end = true;
        let ending = talk_over(client(realm, SERVER), server(realm, "server"), |sender, wire| {
            if sender == from
                && wire.get(4) == Some(&kind)
                && let Some(byte) = wire.get_mut(tried / 8)
            {
                *byte ^= 1 << (tried % 8);
                is_past_the_end = false;
            }
        });
        if is_past_the_end {
            return (tried, proved);
        }
        if let Ok(server) = ending.server {
            assert_eq!(server.principal(), "alice@EXAMPLE.TEST", "bit {tried}");
            assert_eq!(server.service().to_string(), "host/server.example.test@EXAMPLE.TEST");
            let aes = EncryptionType::AES256_SHA1;
            let found = TicketEncryption { ticket: aes, session_key: aes, subkey: aes };
            assert_eq!(server.encryption(), found, "bit {tried}");
            // A server is satisfied only by a client that was.
            assert!(ending.client.is_ok(), "bit {tried}: {:?}", ending.client);
            proved += 1;
        }
        if let Ok(client) = ending.client {
            assert_eq!(client.principal(), "host/server.example.test@EXAMPLE.TEST", "bit {tried}");
        }
        tried += 1;
    }
}

#[test]
fn a_changed_request_proves_nothing_else() {
    in_realm(|realm| {
        let (tried, proved) = each_bit(realm, From::Client, b'T');
        assert!(tried > 5000, "{tried}");
        // Name and realm in a ticket are outside its encryption, and nobody looks at them; the
        // name beside the ticket is confirmed by both sides letter by letter.
        assert!((1..500).contains(&proved), "{proved} of {tried}");
    });
}

#[test]
fn a_changed_reply_proves_nothing_else() {
    in_realm(|realm| {
        let (tried, proved) = each_bit(realm, From::Server, b'R');
        assert!(tried > 1000, "{tried}");
        assert!(proved < 40, "{proved} of {tried}");
    });
}

#[test]
fn a_changed_confirmation_proves_nothing() {
    in_realm(|realm| {
        let (mut tried, mut proved) = (0, 0);
        for bit in 0..33 * 8 {
            let (mut client, mut server): (Exchange, Exchange) =
                (client(realm, SERVER), server(realm, "server"));
            let mut wire = Vec::new();
            work(&mut client);
            client.transmit(&mut wire);
            give(&mut server, &wire);
            wire.clear();
            server.transmit(&mut wire);
            give(&mut client, &wire);
            wire.clear();
            client.transmit(&mut wire);
            assert_eq!(wire.len(), 33, "a confirmation is 28 bytes, and 5 of head");
            wire[bit / 8] ^= 1 << (bit % 8);
            give(&mut server, &wire);
            tried += 1;
            proved += usize::from(outcome(&mut server).is_ok());
        }
        assert_eq!((tried, proved), (264, 0));
    });
}
