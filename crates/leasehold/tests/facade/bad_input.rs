//! A12 and its like: what is out of range is refused where it is said, with words, and nothing is written.

use std::time::Duration;

use leasehold::{Client, ErrorKind, Result, Slot};

use crate::bench::Bench;

type Case = (&'static str, fn(&Client) -> Result<()>, ErrorKind, &'static str);

fn ttl(client: &Client, ttl: Duration) -> Result<()> {
    client.mutex("x")?.ttl(ttl).build().map(drop)
}

const CASES: [Case; 17] = [
    ("ttl 0", |it| ttl(it, Duration::ZERO), ErrorKind::Invalid, "0ms is outside"),
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
        "max_hold below ttl",
        |it| it.mutex("x")?.max_hold(Duration::from_secs(1)).build().map(drop),
        ErrorKind::Invalid,
        "max_hold 1s is shorter than the ttl",
    ),
    (
        "long note",
        |it| it.mutex("x")?.note("x".repeat(4097)).build().map(drop),
        ErrorKind::Invalid,
        "4096 bytes",
    ),
    (
        "durable tokens of a store without",
        |it| it.mutex("x")?.require_fencing().build().map(drop),
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
        |it| it.count_down_latch("x", 1)?.remember_for(Duration::ZERO).build().map(drop),
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

#[test]
fn a12_options_that_were_not_built_are_refused_by_the_first_use_and_nothing_is_written() {
    let bench = Bench::new(1);
    let client = bench.client();
    let mutex = client.mutex("x").unwrap().require_fencing();
    let built = mutex.clone().build().unwrap_err().to_string();
    bench.world.block_on(async {
        let endless = Duration::MAX;
        assert_eq!(mutex.lock().await.unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(mutex.try_lock().await.unwrap_err().to_string().contains(&built));
        let error = client.rw_lock("x").unwrap().ttl(endless).with_write(|_| async {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = client.election("x").unwrap().ttl(endless).campaign("me").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = client.multi_lock(["a", "b"]).unwrap().ttl(endless).lock().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let owner = leasehold::Owner::new();
        let error = client.reentrant_mutex("x").unwrap().ttl(endless).lock(&owner).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error =
            client.count_down_latch("x", 2).unwrap().remember_for(endless).count_down().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    });
    assert_eq!(client.clone().ttl(Duration::MAX).mutex("x").unwrap_err().kind(), ErrorKind::Invalid);
    bench.assert_clean(&[&client], "options");
}

#[test]
fn the_order_in_which_options_are_set_does_not_matter() {
    let client = Bench::new(1).client();
    let short = Duration::from_secs(1);
    client.mutex("x").unwrap().max_hold(short).ttl(short).build().unwrap();
    client.mutex("x").unwrap().ttl(short).max_hold(short).build().unwrap();
}
