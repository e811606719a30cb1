//! A client and a server that meet again and again, each time by the session of the last.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign_core::{Admission, Asked, Timestamp};
use countersign_lab::{Ending, Pair, Scene};
use countersign_tls::{ClientConfig, Engine, ServerConfig};

use crate::counted;
use crate::engines::scene;

/// What both share between their connections.
pub(crate) struct Town {
    client: ClientConfig,
    server: ServerConfig,
    asked: Asked,
    admission: Arc<Admission>,
    now: Timestamp,
    at: SocketAddr,
}

impl Town {
    fn new(scene: &Scene) -> Self {
        Self {
            client: scene.client_config(),
            server: scene.server_config(),
            asked: scene.asked(),
            admission: scene.admission(),
            now: scene.now(),
            at: Scene::CLIENT.parse().expect("an address"),
        }
    }

    /// Runs a handshake, and lets the server say a word.
    pub(crate) fn meet(&self) -> Ending {
        let client = Engine::client(&self.client, self.asked.clone(), self.now);
        let server = Engine::server(&self.server, self.admission.clone(), self.at);
        let (client, server) = (client.expect("a client"), server.expect("a server"));
        let mut pair = Pair::new(client, server, self.now);
        let ending = pair.handshake();
        assert_eq!(pair.server_sends(b"x"), 1);
        ending
    }
}

pub(crate) fn resumed(times: usize) {
    let town = Town::new(&scene());
    // The first has nothing to resume.
    town.meet();
    for ending in counted::resumed(&town, times) {
        let (client, server) = (ending.client.expect("a client"), ending.server.expect("a server"));
        assert!(client.is_resumed() && server.is_resumed(), "both resume it");
    }
}
