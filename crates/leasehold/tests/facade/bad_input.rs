//! A12 and its like: what is out of range is refused where it is said, with words, and nothing is written.

use std::time::Duration;

use leasehold::{Client, ErrorKind, Result, Slot};

use crate::bench::Bench;

type Case = (&'static str, fn(&Client) -> Result<()>, ErrorKind, &'static str);

fn ttl(client: &Client, ttl: Duration) -> Result<()> {
    client.mutex("x")?.with_terms(|terms| terms.ttl(ttl)).map(drop)
}

const CASES: [Case; 17] = [
    ("ttl 0", |it| ttl(it, Duration::ZERO), ErrorKind::Invalid, "0ns is outside"),
    ("ttl below min", |it| ttl(it, Duration::from_millis(1)), ErrorKind::Invalid, "10ms to"),
    ("ttl above max", |it| ttl(it, Duration::from_secs(1 << 40)), ErrorKind::Invalid, "outside"),
    ("ttl endless", |it| ttl(it, Duration::MAX), ErrorKind::Invalid, "outside"),
    ("empty name", |it| it.mutex("").map(drop), ErrorKind::Invalid, "may not be empty"),
    ("long name", |it| it.rw_lock("x".repeat(513)).map(drop), ErrorKind::Invalid, "513"),
    ("0 permits", |it| it.semaphore("x", 0).map(drop), ErrorKind::Invalid, "permits"),
    ("latch of 0", |it| it.count_down_latch("x", 0).map(drop), ErrorKind::Invalid, "permits"),
    ("no names", |it| it.multi_lock([""; 0]).map(drop), ErrorKind::Invalid, "at least one name"),
    ("a bad name of many", |it| it.multi_lock(["a", ""]).map(drop), ErrorKind::Invalid, "may not be empty"),
    (
        "hold_max below ttl",
        |it| it.mutex("x")?.with_terms(|terms| terms.hold_max(Duration::from_secs(1))).map(drop),
        ErrorKind::Invalid,
        "hold_max 1s is shorter than the ttl",
    ),
    (
        "long note",
        |it| it.mutex("x")?.with_terms(|terms| terms.note("x".repeat(4097))).map(drop),
        ErrorKind::Invalid,
        "4096 bytes",
    ),
    (
        "durable tokens of a store without",
        |it| it.mutex("x")?.with_terms(|terms| terms.require_fencing()).map(drop),
        ErrorKind::Unsupported,
        "memory has no fencing tokens that survive",
    ),
    (
        "slot of no length",
        |it| it.once_per("x", Slot::every(Duration::ZERO)).map(drop),
        ErrorKind::Invalid,
        "slot",
    ),
    (
        "job without a name",
        |it| it.once_per("x".repeat(600), Slot::named("1")).map(drop),
        ErrorKind::Invalid,
        "512",
    ),
    (
        "remembered for nothing",
        |it| it.count_down_latch("x", 1)?.remember_for(Duration::ZERO).map(drop),
        ErrorKind::Invalid,
        "outside",
    ),
    ("election without a name", |it| it.election("").map(drop), ErrorKind::Invalid, "may not be empty"),
];

#[test]
fn a12_bad_input_is_refused_with_words_and_nothing_is_written() {
    let bench = Bench::new(1);
    let client = bench.client();
    for (name, call, kind, says) in CASES {
        let error = call(&client).expect_err(name);
        assert_eq!(error.kind(), kind, "{name}");
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
    bench.assert_clean(&[&client], "bad input");
}

#[test]
fn a12_taking_no_permits_or_more_than_there_are_is_refused_before_anything_is_sent() {
    let bench = Bench::new(1);
    let client = bench.client();
    let semaphore = client.semaphore("x", 3).unwrap();
    for take in [0, 4, u32::MAX] {
        let error = bench.world.block_on(semaphore.try_acquire_many(take)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{take}");
    }
    bench.assert_clean(&[&client], "permits");
}
