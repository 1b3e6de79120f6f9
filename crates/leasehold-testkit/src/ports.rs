//! Free ports.
//!
//! They lie below the range of ports for outgoing connections. Otherwise a client that reconnects to a stopped server may
//! get that very port as its own, connect to itself, and keep the server from coming back.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher, Hasher},
    net::{IpAddr, TcpListener},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
};

use crate::{Error, Result};

const FIRST: u16 = 10_000;

/// A port without a listener. It is not reserved: when the server cannot get it, take another one.
pub(crate) fn free(address: IpAddr) -> Result<u16> {
    listener(address).and_then(|listener| {
        let bound = listener.local_addr();
        bound.map(|bound| bound.port()).map_err(|error| Error(format!("a bound port is not known: {error}")))
    })
}

pub(crate) fn listener(address: IpAddr) -> Result<TcpListener> {
    let end = end();
    let tries = end - FIRST;
    let found = (0..tries).find_map(|_| TcpListener::bind((address, next(end))).ok());
    found.ok_or_else(|| Error(format!("there is no free port on {address} from {FIRST} to {end}")))
}

/// Every process begins at a random port, and hands out each port once before any of them twice.
fn next(end: u16) -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let start = RandomState::new().build_hasher().finish() % u64::from(u16::MAX);
    let next = NEXT.get_or_init(|| AtomicU16::new(u16::try_from(start).unwrap_or(FIRST)));
    FIRST + next.fetch_add(1, Ordering::Relaxed) % (end - FIRST)
}

fn end() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok());
    first.filter(|first| *first > FIRST + 1_000).unwrap_or(u16::MAX)
}
