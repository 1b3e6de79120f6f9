//! Commands under a lock that a Redis server keeps.

use leasehold_testkit::redis::Server;

use crate::fixture::{Fixture, until_dead};

fn server() -> Server {
    Server::start().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_command_runs_under_a_lock_and_the_next_is_told_who_has_it() {
    let (fixture, server) = (Fixture::new(), server());
    let url = server.url();
    let script = "echo $$; echo $LEASEHOLD_FENCING_TOKEN; while :; do sleep 0.02; done";
    let mut run = fixture.start(&["--store", &url, "--ttl", "3s", "nightly"], script);
    let child = run.pids()[0];
    let token: u64 = run.line().trim().parse().unwrap();
    let busy = fixture.run(&["run", "--store", &url, "--no-wait", "nightly", "--", "true"]);
    assert_eq!(busy.code, Some(75), "{}", busy.stderr);
    assert!(busy.stderr.contains(&format!("pid {}", run.pid())), "{}", busy.stderr);
    let listed = fixture.run(&["list", "--store", &url, "night"]);
    assert!(listed.stdout.contains("nightly"), "{}", listed.stdout);
    let forced = fixture.run(&["force-release", "--store", &url, "--yes", "nightly"]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    let next =
        fixture.run(&["run", "--store", &url, "nightly", "--", "sh", "-c", "echo $LEASEHOLD_FENCING_TOKEN"]);
    assert!(next.stdout.trim().parse::<u64>().unwrap() > token, "{}", next.stdout);
    let finished = run.end();
    assert_eq!(finished.code, Some(79), "thrown out: {}", finished.stderr);
    until_dead(child);
}

/// The lock is deleted under the command: it is stopped at the next renewal, and the exit code says so.
#[test]
fn a_deleted_lock_stops_its_command() {
    let (fixture, server) = (Fixture::new(), server());
    let mut run = fixture.start(
        &["--store", &server.url(), "--ttl", "3s", "nightly"],
        "echo $$; while :; do sleep 0.02; done",
    );
    let child = run.pids()[0];
    server.command(&["DEL", "nightly"]).unwrap();
    let finished = run.end();
    assert_eq!(finished.code, Some(79), "{}", finished.stderr);
    until_dead(child);
}

#[test]
fn a_server_that_is_not_there_is_69_and_a_stranger_is_75() {
    let (fixture, server) = (Fixture::new(), server());
    let nobody =
        fixture.run(&["run", "--store", "redis://:s3cr3t@127.0.0.1:1?timeout=300ms", "x", "--", "true"]);
    assert_eq!(nobody.code, Some(69), "{}", nobody.stderr);
    assert!(!nobody.stderr.contains("s3cr3t") && nobody.stderr.contains("127.0.0.1:1"), "{}", nobody.stderr);
    server.command(&["SET", "x", "4d5f3a2c1b0e4d5f3a2c1b0e4d5f3a2c", "NX", "PX", "60000"]).unwrap();
    let busy = fixture.run(&["run", "--store", &server.url(), "--no-wait", "x", "--", "true"]);
    assert_eq!(busy.code, Some(75), "{}", busy.stderr);
    let shown = fixture.run(&["inspect", "--store", &server.url(), "x"]);
    assert!(shown.stdout.contains("redis-py"), "{}", shown.stdout);
}
