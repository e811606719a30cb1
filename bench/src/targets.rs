//! The table of target names: what a look-up costs, and what a name keeps.

use std::hint::black_box;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use countersign_core::{PeerName, TargetTable};

use crate::child::{Helper, resident, say_and_wait};
use crate::cpu;
use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::peers::Peer;

pub(crate) const FIGURES: &[Figure] = &[Figure {
    id: "targets",
    title: "look-up of the name for an address",
    note: "Addresses in an order that no cache foresees; `exact` has an entry for address and port, \
        `none` has none of the four that are looked for. Memory is resident, the name's text included.",
    columns: &[
        Column::lower("exact", "ns", Against::Nothing),
        Column::lower("none", "ns", Against::Nothing),
        Column::lower("memory of a name", "B", Against::Nothing),
    ],
    summary: &[0],
    cases: &[
        Case::with(Peer::Countersign, 10_000, "names"),
        Case::with(Peer::Countersign, 100_000, "names"),
        Case::with(Peer::Countersign, 1_000_000, "names"),
    ],
    run,
}];

/// How many look-ups are timed.
const LOOKUPS: usize = 2_000_000;

fn run(_: &Bench, case: Case) -> io::Result<Vec<f64>> {
    let mut child = Helper::start(&["targets", &case.number().to_string()])?;
    Ok(vec![child.number()?, child.number()?, child.number()?])
}

/// The child that has the table.
pub(crate) fn child(count: usize) -> io::Result<()> {
    let before = resident()?;
    let mut table = TargetTable::default();
    for index in 0..count {
        let name: PeerName = format!("postgres/db{index:07}.example.com")
            .parse()
            .map_err(|error| io::Error::other(format!("no name: {error}")))?;
        table.insert(address(index, 5432), name);
    }
    let memory = (resident()? - before) / count as f64;
    println!("{}", lookup(&table, count, 5432, true)?);
    println!("{}", lookup(&table, count, 5433, false)?);
    say_and_wait(&memory.to_string())
}

/// Returns nanoseconds of one look-up.
fn lookup(table: &TargetTable, count: usize, port: u16, expected: bool) -> io::Result<f64> {
    // Odd, so it visits every index before it comes back to one, if `count` is no multiple of it.
    const STEP: usize = 7_368_787;
    let (mut index, mut found) = (0, 0);
    let spent = cpu::of_this_thread();
    for _ in 0..LOOKUPS {
        index = (index + STEP) % count;
        found += usize::from(black_box(table.lookup(address(index, port))).is_some());
    }
    let each = (cpu::of_this_thread() - spent) * 1e9 / LOOKUPS as f64;
    let all = if expected { LOOKUPS } else { 0 };
    if found != all {
        return Err(io::Error::other(format!("{found} of {LOOKUPS} found, expected {all}")));
    }
    Ok(each)
}

fn address(index: usize, port: u16) -> SocketAddr {
    let bits = 0x0a00_0000_u32 | u32::try_from(index).expect("at most a million");
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(bits)), port)
}
