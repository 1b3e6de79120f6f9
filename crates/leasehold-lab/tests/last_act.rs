//! A guard that is dropped as the last act of a process: real processes that end at once, and Redis.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use leasehold::Client;
use leasehold_testkit::redis::Server;

const EXITS: usize = 50;
const URL: &str = "LEASEHOLD_TEST_URL";
const NAME: &str = "LEASEHOLD_TEST_LOCK";
const ACT: &str = "LEASEHOLD_TEST_ACT";

/// The process that ends. Without the variables it is a test that has nothing to do.
#[test]
fn process_that_ends() {
    let Ok(url) = std::env::var(URL) else { return };
    let client = Client::blocking_connect(url.as_str()).unwrap();
    let mutex = client.mutex(std::env::var(NAME).unwrap()).unwrap();
    match std::env::var(ACT).unwrap().as_str() {
        "close" => {
            drop(mutex.blocking_lock().unwrap());
            client.blocking_close(Duration::from_secs(10)).unwrap();
        }
        "with" => mutex.blocking_with(|lease| lease.check().unwrap()).unwrap(),
        _ => drop(mutex.blocking_lock().unwrap()),
    }
    std::process::exit(0);
}

/// Whether a process that ends by `act` leaves its lock behind.
fn leaves_its_lock(server: &Server, client: &Client, name: &str, act: &str) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process_that_ends"])
        .envs([(URL, format!("redis://{}", server.address()).as_str()), (NAME, name), (ACT, act)])
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "{act}");
    !client.blocking_inspect(name).unwrap().holders.is_empty()
}

fn nothing_is_left(act: &str) {
    let server = Server::start().unwrap();
    let client = Client::blocking_connect(format!("redis://{}", server.address())).unwrap();
    let left =
        (0..EXITS).filter(|exit| leaves_its_lock(&server, &client, &format!("{act} {exit}"), act)).count();
    assert_eq!(left, 0, "of {EXITS} exits");
    // The control: a process that ends without waiting leaves its lock, sooner or later.
    let mut exits = 0..EXITS * 10;
    let leaves = |exit: usize| leaves_its_lock(&server, &client, &format!("drop {exit}"), "drop");
    assert!(exits.any(leaves), "the control leaves nothing");
}

#[test]
fn a21_a_client_that_is_closed_leaves_nothing_in_fifty_exits() {
    nothing_is_left("close");
}

#[test]
fn a21_work_under_a_lock_ends_with_its_release_in_fifty_exits() {
    nothing_is_left("with");
}
