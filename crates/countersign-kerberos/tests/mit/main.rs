//! The proof against a real MIT KDC. Without one, all of this fails.

mod world;

mod success;

mod failures;

mod clocks;

mod rotation;

mod relays;

mod tampering;

mod names;

mod credentials;

mod at_hand;

mod proxy;

mod files;

mod load;

mod rights;
