//! Commands under a lock that ZooKeeper keeps.

use leasehold_testkit::zookeeper::Server;

use crate::fixture::{Fixture, until_dead};

#[test]
fn a_command_runs_under_a_lock_and_is_stopped_when_it_is_taken_away() {
    let (fixture, server) = (Fixture::new(), Server::start().unwrap_or_else(|error| panic!("{error}")));
    let url = format!("zookeeper://{}/apps/locks", server.address());
    let script = "echo $$; echo $LEASEHOLD_FENCING_TOKEN; while :; do sleep 0.02; done";
    let mut run = fixture.start(&["--store", &url, "--ttl", "3s", "nightly/orders"], script);
    let child = run.pids()[0];
    let token: u64 = run.line().trim().parse().unwrap();
    let busy = fixture.run(&["run", "--store", &url, "--no-wait", "nightly/orders", "--", "true"]);
    assert_eq!(busy.code, Some(75), "{}", busy.stderr);
    assert!(busy.stderr.contains(&format!("pid {}", run.pid())), "{}", busy.stderr);
    let listed = fixture.run(&["list", "--store", &url, "night"]);
    assert!(listed.stdout.contains("nightly/orders"), "{}", listed.stdout);
    let forced = fixture.run(&["force-release", "--store", &url, "--yes", "nightly/orders"]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    let command =
        ["run", "--store", &url, "nightly/orders", "--", "sh", "-c", "echo $LEASEHOLD_FENCING_TOKEN"];
    let next = fixture.run(&command);
    assert!(next.stdout.trim().parse::<u64>().unwrap() > token, "{}", next.stdout);
    let finished = run.end();
    assert_eq!(finished.code, Some(79), "thrown out: {}", finished.stderr);
    until_dead(child);
}

#[test]
fn a_command_runs_over_tls() {
    let fixture = Fixture::new();
    let server = Server::with_tls(true).unwrap_or_else(|error| panic!("{error}"));
    let at = format!("localhost:{}", server.tls_port());
    let url = format!("zookeepers://{at}/apps?{}", server.tls_query());
    let run = fixture.run(&["run", "-n", "--store", &url, "nightly", "--", "true"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let found = fixture.run(&["doctor", "--store", &url]);
    assert_eq!(found.code, Some(0), "{}", found.stderr);
    assert!(found.stdout.contains(&format!("warning  {at} · it is a server alone")), "{}", found.stdout);
    // The controls: a client without a certificate is told at once, and one without TLS finds nobody.
    let bare = format!("zookeepers://{at}?ca={}", server.directory().join("ca.pem").display());
    let refused = fixture.run(&["run", "-n", "--store", &bare, "nightly", "--", "true"]);
    assert_eq!(refused.code, Some(69), "{}", refused.stderr);
    assert!(refused.stderr.contains("demands a certificate"), "{}", refused.stderr);
    let clear = format!("zookeeper://{at}?timeout=1s");
    let refused = fixture.run(&["run", "-n", "--store", &clear, "nightly", "--", "true"]);
    assert!(refused.code == Some(69) && refused.stderr.contains("zookeepers://"), "{}", refused.stderr);
}

#[test]
fn an_ensemble_that_is_not_there_is_69() {
    let fixture = Fixture::new();
    let url = "zookeeper://me:s3cr3t@127.0.0.1:1,127.0.0.1:2?timeout=300ms";
    let nobody = fixture.run(&["run", "-n", "--store", url, "x", "--", "true"]);
    assert_eq!(nobody.code, Some(69), "{}", nobody.stderr);
    assert!(!nobody.stderr.contains("s3cr3t") && nobody.stderr.contains("127.0.0.1:1"), "{}", nobody.stderr);
}

#[test]
fn doctor_says_what_a_server_alone_costs() {
    let (fixture, server) = (Fixture::new(), Server::start().unwrap_or_else(|error| panic!("{error}")));
    let address = server.address();
    let found = fixture.run(&["doctor", "--store", &format!("zookeeper://me:s3cr3t@{address}/apps")]);
    assert_eq!((found.code, found.stderr.as_str()), (Some(0), ""), "{}", found.stdout);
    assert!(found.stdout.contains("found    0 critical, 1 warning, 2 ok"), "{}", found.stdout);
    assert!(
        found.stdout.contains(&format!("warning  {address} · it is a server alone\n")),
        "{}",
        found.stdout
    );
    assert!(found.stdout.contains("  fix      make it an ensemble of three"), "{}", found.stdout);
    assert!(!found.stdout.contains("s3cr3t"), "{}", found.stdout);
    server.kill();
    let nobody = fixture.run(&["doctor", "--store", &format!("zookeeper://{address}?timeout=500ms")]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (Some(69), ""), "{}", nobody.stderr);
}
