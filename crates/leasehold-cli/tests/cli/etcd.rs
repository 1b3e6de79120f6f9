//! Commands under a lock that an etcd cluster keeps.

use leasehold_testkit::etcd::Member;

use crate::fixture::{Fixture, until_dead};

fn member() -> Member {
    Member::start().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_command_runs_under_a_lock_in_etcd_and_the_next_is_told_who_has_it() {
    let (fixture, member) = (Fixture::new(), member());
    let url = format!("etcd://{}", member.address());
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

/// etcdctl's own command would go on.
#[test]
fn a_revoked_lease_stops_its_command() {
    let (fixture, member) = (Fixture::new(), member());
    let url = format!("etcd://{}", member.address());
    let mut run =
        fixture.start(&["--store", &url, "--ttl", "3s", "nightly"], "echo $$; while :; do sleep 0.02; done");
    let child = run.pids()[0];
    for lease in member.ctl(&["lease", "list"]).unwrap().lines().skip(1) {
        member.ctl(&["lease", "revoke", lease]).unwrap();
    }
    let finished = run.end();
    assert_eq!(finished.code, Some(79), "{}", finished.stderr);
    until_dead(child);
}

#[test]
fn nothing_is_left_in_etcd_by_a_command_that_ended() {
    let (fixture, member) = (Fixture::new(), member());
    let url = format!("etcd://{}", member.address());
    let finished = fixture.run(&["run", "--store", &url, "a/b", "--", "true"]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(member.ctl(&["get", "", "--from-key", "--keys-only"]).unwrap().trim(), "");
    assert_eq!(member.ctl(&["lease", "list"]).unwrap().trim(), "found 0 leases");
    let nobody = fixture.run(&[
        "run",
        "-n",
        "--store",
        "etcd://me:s3cr3t@127.0.0.1:1?timeout=300ms",
        "x",
        "--",
        "true",
    ]);
    assert_eq!(nobody.code, Some(69), "{}", nobody.stderr);
    assert!(!nobody.stderr.contains("s3cr3t") && nobody.stderr.contains("127.0.0.1:1"), "{}", nobody.stderr);
}

#[test]
fn doctor_says_what_a_member_alone_costs() {
    let (fixture, member) = (Fixture::new(), member());
    let address = member.address();
    let found = fixture.run(&["doctor", "--store", &format!("etcd://{address}")]);
    assert_eq!((found.code, found.stderr.as_str()), (Some(0), ""), "{}", found.stdout);
    assert!(found.stdout.contains("found    0 critical, 2 warning, 2 ok"), "{}", found.stdout);
    assert!(found.stdout.contains("warning  etcd · it is one member\n"), "{}", found.stdout);
    assert!(found.stdout.contains("  fix      add two members"), "{}", found.stdout);
    // A learner that was never started is no member that fails, and no vote.
    let learner = ["member", "add", "learner", "--learner", "--peer-urls=http://127.0.0.1:1"];
    member.ctl(&learner).unwrap_or_else(|error| panic!("{error}"));
    let found = fixture.run(&["doctor", "--json", "--store", &format!("etcd://{address}")]);
    assert!(found.code == Some(0) && found.stdout.contains("it is one member"), "{}", found.stdout);
    member.kill();
    let nobody = fixture.run(&["doctor", "--store", &format!("etcd://{address}?timeout=500ms")]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (Some(69), ""), "{}", nobody.stderr);
}
