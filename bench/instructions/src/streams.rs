//! Two sockets over the loopback interface, both used by one thread: what our shell adds to the
//! engine. What the kernel does is not counted.

use std::thread;

use countersign::{Context, TcpListener, TcpStream};
use countersign_lab::{Authority, Leaf};

use crate::counted;
use crate::engines::MESSAGE;

pub(crate) fn bulk(times: usize) {
    let (mut client, mut server) = connected();
    // What the first bytes need is made now.
    counted::socket_round_trips(&mut client, &mut server, 1);
    assert_eq!(counted::socket_bulk(&mut client, &mut server, times), times << 20);
}

pub(crate) fn round_trips(times: usize) {
    let (mut client, mut server) = connected();
    counted::socket_bulk(&mut client, &mut server, 1);
    let moved = counted::socket_round_trips(&mut client, &mut server, times);
    assert_eq!(moved, times * 2 * MESSAGE);
}

fn connected() -> (TcpStream, TcpStream) {
    let authority = Authority::new("root");
    let issued = authority.issue(Leaf::new().dns("db1.test"));
    let server = Context::builder().anchors(authority.anchors()).credential(issued.credential());
    let listener = server.build().expect("a context");
    let listener = TcpListener::bind_with(&listener, "127.0.0.1:0").expect("a listener");
    let address = listener.local_addr();
    let accepting = thread::spawn(move || listener.accept().expect("a client").0);
    let client = Context::builder().anchors(authority.anchors()).build().expect("a context");
    let name = "db1.test".parse().expect("a name");
    let client = TcpStream::connect_with(&client, address, &name).expect("a server");
    (client, accepting.join().expect("the acceptor does not panic"))
}
