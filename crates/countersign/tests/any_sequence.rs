//! Any sequence of reads and writes, of any sizes, with sockets that are full and empty at any moment,
//! gives the same bytes: on blocking sockets, on those that do not wait, and on tokio; over records of
//! ours and over those of rustls.

mod world;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use countersign::core::{Policy, QueryTemplate};
use countersign::{TcpListener, TcpStream};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use world::{World, db1};

/// Who carries the records: where TLS 1.2 is let in, rustls.
const CARRIERS: [&str; 2] = ["", "tls.danger-allow-tls12 = true\n"];

/// The same numbers in each run, so that what failed fails again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    fn size(&mut self) -> usize {
        let bound = [2, 70, 1_500, 20_000, 150_000][self.below(5)];
        self.below(bound)
    }

    /// Cuts a text into slices, some of them empty.
    fn slices<'a>(&mut self, mut text: &'a [u8]) -> Vec<IoSlice<'a>> {
        let mut slices = Vec::new();
        for _ in 0..self.below(20) {
            let (slice, rest) = text.split_at(self.below(text.len() + 1));
            slices.push(IoSlice::new(slice));
            text = rest;
        }
        slices.push(IoSlice::new(text));
        slices
    }
}

/// The text of one direction: each byte says where it stands.
fn text(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

/// A pair of streams whose sockets hold little.
fn narrow_pair(world: &World, policy: &str) -> [TcpStream; 2] {
    let listener = TcpListener::bind_with(&world.server(policy), "127.0.0.1:0").unwrap();
    let address = listener.local_addr();
    let server = thread::spawn(move || listener.accept().unwrap().0);
    let client = world.with_policy(Policy::parse(policy, "test").unwrap());
    let client = TcpStream::connect_with(&client, address, &db1()).unwrap();
    let ends = [client, server.join().unwrap()];
    for end in &ends {
        sockopt::set_socket_send_buffer_size(end, 90_000).unwrap();
        sockopt::set_socket_recv_buffer_size(end, 90_000).unwrap();
    }
    ends
}

fn or_nothing(result: io::Result<usize>) -> usize {
    match result {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("{error}"),
    }
}

/// One direction of a conversation on one thread.
#[derive(Default)]
struct Direction {
    written: usize,
    read: usize,
}

impl Direction {
    fn write(&mut self, dice: &mut Dice, mut from: &TcpStream) {
        let data = text(self.written, dice.size());
        self.written += or_nothing(match dice.below(3) {
            0 => from.write(&data),
            1 => from.write_vectored(&dice.slices(&data)),
            _ => from.try_write(&data),
        });
        if dice.below(8) == 0 {
            or_nothing(from.flush().map(|()| 0));
        }
    }

    fn read(&mut self, dice: &mut Dice, mut to: &TcpStream) {
        let mut into = vec![0; dice.size()];
        let (count, is_taken) = match dice.below(4) {
            0 => (or_nothing(to.read(&mut into)), true),
            1 => {
                let at = dice.below(100).min(into.len());
                let (first, rest) = into.split_at_mut(at);
                let (second, third) = rest.split_at_mut(rest.len() / 2);
                let mut slices = [first, second, &mut [], third].map(IoSliceMut::new);
                (or_nothing(to.read_vectored(&mut slices)), true)
            }
            2 => (or_nothing(to.peek(&mut into)), false),
            _ => {
                let (ahead, is_over) = to.look_ahead(into.len()).unwrap();
                assert!(!is_over && ahead <= 64 * 1024);
                let read = or_nothing(to.try_read(&mut into));
                assert!(read >= ahead.min(into.len()), "{ahead} bytes were there, {read} came");
                (read, true)
            }
        };
        assert!(into[..count] == text(self.read, count), "other bytes at {}", self.read);
        self.read += if is_taken { count } else { 0 };
        assert!(self.read <= self.written);
    }
}

#[test]
fn on_sockets_that_do_not_wait() {
    let world = World::new();
    for (carrier, policy) in CARRIERS.iter().enumerate() {
        for round in 0..6 {
            let mut dice = Dice((carrier * 100 + round) as u64);
            let ends = narrow_pair(&world, policy);
            ends.iter().for_each(|end| end.set_nonblocking(true).unwrap());
            let mut directions = [Direction::default(), Direction::default()];
            for _ in 0..400 {
                let side = dice.below(2);
                let (here, there) = (&ends[side], &ends[1 - side]);
                match dice.below(12) {
                    0..5 => directions[side].write(&mut dice, here),
                    5..11 => directions[side].read(&mut dice, there),
                    // Where rustls has no room for it, the keys stay as they are.
                    _ if dice.below(4) == 0 => {
                        let _ = here.change_keys();
                    }
                    _ => assert!(here.query_with(&QueryTemplate::default()).is_ok()),
                }
            }
            // What was accepted arrives, and then the end.
            for (side, direction) in directions.iter_mut().enumerate() {
                let (here, there) = (&ends[side], &ends[1 - side]);
                let mut turns = 0;
                while direction.read < direction.written {
                    or_nothing((&mut &*here).flush().map(|()| 0));
                    direction.read(&mut dice, there);
                    turns += 1;
                    assert!(turns < 1_000_000, "{} of {}", direction.read, direction.written);
                }
                here.shutdown(Shutdown::Write).unwrap();
                there.set_nonblocking(false).unwrap();
                assert_eq!((&mut &*there).read(&mut [0; 9]).unwrap(), 0, "an end");
                there.set_nonblocking(true).unwrap();
            }
        }
    }
}

const MUCH: usize = 1_500_000;

/// Writes on a thread of its own, as it comes.
fn write_all(mut to: &TcpStream, mut dice: Dice) {
    let mut written = 0;
    while written < MUCH {
        let data = text(written, dice.size().min(MUCH - written));
        written += match dice.below(2) {
            0 => to.write(&data).unwrap(),
            _ => to.write_vectored(&dice.slices(&data)).unwrap(),
        };
    }
    to.shutdown(Shutdown::Write).unwrap();
}

fn read_all(mut from: &TcpStream, mut dice: Dice) {
    let mut read = 0;
    loop {
        let mut into = vec![0; 1 + dice.size()];
        let count = match dice.below(3) {
            0 => from.read(&mut into).unwrap(),
            1 => {
                let at = dice.below(9).min(into.len());
                let (first, second) = into.split_at_mut(at);
                from.read_vectored(&mut [first, second].map(IoSliceMut::new)).unwrap()
            }
            _ => {
                let peeked = from.peek(&mut into).unwrap();
                let seen = into[..peeked].to_vec();
                let count = from.read(&mut into).unwrap();
                assert!(into.starts_with(&seen[..peeked.min(count)]), "it was peeked at");
                count
            }
        };
        if count == 0 {
            break;
        }
        assert!(into[..count] == text(read, count), "other bytes at {read}");
        read += count;
    }
    assert_eq!(read, MUCH);
}

#[test]
fn on_sockets_that_wait_while_others_ask_and_change_keys() {
    let world = World::new();
    for (seed, policy) in CARRIERS.iter().enumerate() {
        let seed = seed as u64;
        let ends = narrow_pair(&world, policy);
        let [one, other] = &ends;
        thread::scope(|scope| {
            let sides = [(one, other, 1), (other, one, 3)];
            let movers = sides.map(|(from, to, number)| {
                let writer = scope.spawn(move || write_all(from, Dice(seed * 10 + number)));
                [writer, scope.spawn(move || read_all(to, Dice(seed * 10 + number + 1)))]
            });
            let mut turns = 0;
            while !movers.iter().flatten().all(thread::ScopedJoinHandle::is_finished) {
                turns += 1;
                for end in &ends {
                    // Each makes the peer answer, and 64 with no data in between are refused. So is
                    // a change once that direction has ended.
                    let _ = (turns <= 20).then(|| end.change_keys());
                    assert!(end.query_with(&QueryTemplate::default().with_sa_ids()).is_ok());
                    assert!(end.look_ahead(10).is_ok());
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
    }
}

/// Writes as it comes, and now and then gives up waiting.
async fn write_on_tokio(mut to: impl AsyncWrite + Unpin, mut dice: Dice) {
    let mut written = 0;
    while written < MUCH {
        let data = text(written, dice.size().min(MUCH - written));
        let slices = dice.slices(&data);
        let patience = Duration::from_micros(dice.below(300) as u64);
        let wrote = match dice.below(4) {
            0 => timeout(patience, to.write(&data)).await.ok(),
            1 => timeout(patience, to.write_vectored(&slices)).await.ok(),
            2 => Some(to.write(&data).await),
            _ => Some(to.write_vectored(&slices).await),
        };
        written += wrote.map_or(0, Result::unwrap);
        match dice.below(10) {
            0 => to.flush().await.unwrap(),
            1 => tokio::task::yield_now().await,
            _ => {}
        }
    }
    to.shutdown().await.unwrap();
}

async fn read_on_tokio(mut from: impl AsyncRead + Unpin, mut dice: Dice) {
    let mut read = 0;
    loop {
        let mut into = vec![0; 1 + dice.size()];
        if dice.below(20) == 0 {
            assert_eq!(from.read(&mut []).await.unwrap(), 0);
        }
        let count = match dice.below(2) {
            0 => from.read(&mut into).await.unwrap(),
            _ => {
                let patience = Duration::from_micros(dice.below(300) as u64);
                match timeout(patience, from.read(&mut into)).await {
                    Ok(count) => count.unwrap(),
                    // It has taken nothing.
                    Err(_) => continue,
                }
            }
        };
        if count == 0 {
            break;
        }
        assert!(into[..count] == text(read, count), "other bytes at {read}");
        read += count;
    }
    assert_eq!(read, MUCH);
}

async fn both_ways_on_tokio(ends: [TcpStream; 2], seed: u64) {
    let [one, other] = ends.map(|end| countersign::tokio::TcpStream::from_blocking(end).unwrap());
    let ((from_one, to_one), (from_other, to_other)) = (one.into_split(), other.into_split());
    let tasks = [
        tokio::spawn(write_on_tokio(to_one, Dice(seed))),
        tokio::spawn(write_on_tokio(to_other, Dice(seed + 1))),
        tokio::spawn(read_on_tokio(from_one, Dice(seed + 2))),
        tokio::spawn(read_on_tokio(from_other, Dice(seed + 3))),
    ];
    for task in tasks {
        timeout(Duration::from_secs(120), task).await.expect("nobody sleeps for ever").unwrap();
    }
}

#[tokio::test]
async fn on_tokio_with_one_thread() {
    let world = World::new();
    for (seed, policy) in (10..).zip(CARRIERS) {
        both_ways_on_tokio(narrow_pair(&world, policy), seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_tokio_with_several_threads() {
    let world = World::new();
    for (seed, policy) in (20..).zip(CARRIERS) {
        both_ways_on_tokio(narrow_pair(&world, policy), seed).await;
    }
}

/// Messages of any size there and back, one at a time: whoever missed a word of the reactor would
/// sleep for ever.
#[tokio::test]
async fn on_tokio_one_message_at_a_time() {
    let world = World::new();
    for policy in CARRIERS {
        one_message_at_a_time(narrow_pair(&world, policy)).await;
    }
}

async fn one_message_at_a_time(ends: [TcpStream; 2]) {
    let [one, other] = ends.map(|end| countersign::tokio::TcpStream::from_blocking(end).unwrap());
    let (mut one, (mut reader, mut writer)) = (one, other.into_split());
    let echo = tokio::spawn(async move {
        let mut queue = VecDeque::new();
        let mut into = [0; 3_000];
        loop {
            let count = reader.read(&mut into).await.unwrap();
            if count == 0 {
                return;
            }
            queue.extend(&into[..count]);
            writer.write_all(queue.make_contiguous()).await.unwrap();
            writer.flush().await.unwrap();
            queue.clear();
        }
    });
    let mut dice = Dice(30);
    for _ in 0..1_500 {
        let bound = [2, 100, 6_000][dice.below(3)];
        let data = text(0, 1 + dice.below(bound));
        let mut back = vec![0; data.len()];
        let round_trip = async {
            one.write_all(&data).await.unwrap();
            one.flush().await.unwrap();
            let (first, rest) = back.split_at_mut(data.len() / 3);
            one.read_exact(first).await.unwrap();
            one.read_exact(rest).await.unwrap();
        };
        timeout(Duration::from_secs(60), round_trip).await.expect("an answer");
        assert!(back == data);
    }
    drop(one);
    echo.await.unwrap();
}
