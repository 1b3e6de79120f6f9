//! Commands under a lock that stores of different kinds vote on.

use leasehold_testkit::{etcd::Member, memcached, zookeeper::Server};

use crate::stage::Stage;

/// Stores that do not forget have a vote from the beginning, and come to one token.
#[test]
fn etcd_zookeeper_and_sqlite_vote_together_and_memcached_may_not() {
    let stage = Stage::new();
    let etcd = Member::start().unwrap_or_else(|error| panic!("{error}"));
    let zookeeper = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let others = format!("etcd://{};zookeeper://{}", etcd.address(), zookeeper.address());
    let url = format!("quorum:{others};{}", stage.store());
    let mut last = 0;
    for _ in 0..3 {
        let script = "echo $LEASEHOLD_FENCING_TOKEN";
        let held = stage.run(&["run", "--store", &url, "nightly", "--", "sh", "-c", script]);
        assert_eq!(held.code, Some(0), "{}", held.stderr);
        let token: u64 = held.stdout.trim().parse().unwrap();
        assert!(token > last, "{token} comes after {last}");
        last = token;
    }
    let mut run = stage.start(&["--store", &url, "nightly"], "echo $$; while :; do sleep 0.02; done");
    run.pids();
    let busy = stage.run(&["run", "--store", &url, "--no-wait", "nightly", "--", "true"]);
    assert_eq!(busy.code, Some(75), "{}", busy.stderr);
    let shown = stage.run(&["inspect", "--store", &url, "nightly"]);
    let votes = shown.stdout.lines().filter(|line| line.ends_with(" · votes")).count();
    assert_eq!(votes, 3, "{}", shown.stdout);
    drop(run);
    let forgetful = memcached::Server::start().unwrap_or_else(|error| panic!("{error}"));
    let url = format!("quorum:{others};memcached://{}", forgetful.address());
    let refused = stage.run(&["run", "--store", &url, "nightly", "--", "true"]);
    assert!(refused.stderr.contains("cannot be a member of a quorum"), "{}", refused.stderr);
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
}
