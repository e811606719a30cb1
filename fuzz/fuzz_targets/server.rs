//! A server that hears anything lets nobody in by it.
#![no_main]

use countersign_lab::{Authority, Leaf, Scene};
use countersign_tls::Output;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|wire: &[u8]| {
    thread_local! {
        static SCENE: Scene = {
            let authority = Authority::new("fuzz");
            let issued = authority.issue(Leaf::new().dns("db1.test"));
            Scene::new(&authority).server_shows(&issued).asking("db1.test")
        };
    }
    SCENE.with(|scene| {
        let mut engine = scene.server();
        let mut rest = wire;
        while let Ok(used @ 1..) = engine.handle_input(rest, scene.now()) {
            rest = &rest[used..];
        }
        assert!(!matches!(engine.poll(scene.now()), Ok(Output::Secured(_))));
    });
});
