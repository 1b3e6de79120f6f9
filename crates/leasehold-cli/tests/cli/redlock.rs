//! Commands under a lock that a majority of Redis servers keeps.

use std::time::Duration;

use leasehold_testkit::redis::Server;

use crate::fixture::{Fixture, finish, now};

fn servers(count: usize) -> Vec<Server> {
    (0..count).map(|_| Server::start().unwrap_or_else(|error| panic!("{error}"))).collect()
}

fn url(servers: &[Server]) -> String {
    let addresses: Vec<String> = servers.iter().map(Server::address).collect();
    format!("redlock://{}", addresses.join(","))
}

/// Set up, used, one member lost and brought back, and every step is told.
#[test]
fn a_quorum_is_set_up_loses_a_member_and_says_so() {
    let (fixture, servers) = (Fixture::new(), servers(3));
    let url = url(&servers);
    let run =
        |more: &[&str]| fixture.run(&[&["run", "--store", &url], more, &["nightly", "--", "true"]].concat());
    let early = run(&["--no-wait"]);
    assert_eq!(early.code, Some(69), "{}", early.stderr);
    assert!(early.stderr.contains("may have forgotten who holds"), "{}", early.stderr);
    let hint = early.stderr.lines().find(|line| line.starts_with("hint: ")).unwrap();
    assert!(hint.contains("`leasehold promote --store URL`"), "{hint}");
    assert!(!early.stderr.contains("by force"), "nobody did that: {}", early.stderr);
    let promoted = fixture.run(&["promote", "--store", &url]);
    assert_eq!(promoted.code, Some(0), "{}", promoted.stderr);
    assert_eq!(promoted.stdout, format!("promoted 3 members of {url}\n"));
    let first = run(&["--no-wait"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    servers[1].kill();
    let without_one = run(&["--no-wait"]);
    assert_eq!(without_one.code, Some(0), "{}", without_one.stderr);
    servers[1].restart().unwrap();
    let shown = fixture.run(&["inspect", "--store", &url, "nightly"]);
    let votes = shown.stdout.lines().filter(|line| line.ends_with(" · votes")).count();
    assert_eq!(votes, 2, "{}", shown.stdout);
    assert!(shown.stdout.contains("may have forgotten who holds"), "{}", shown.stdout);
    let doctor = fixture.run(&["doctor", "--store", &url]);
    assert!(
        doctor.stdout.contains("2 of 3 members have a vote: all of them are needed"),
        "{}",
        doctor.stdout
    );
    servers[0].kill();
    servers[2].kill();
    let none = run(&["--no-wait"]);
    assert_eq!(none.code, Some(69), "{}", none.stderr);
    for server in &servers {
        assert!(none.stderr.contains(&server.address()), "every member is named: {}", none.stderr);
    }
}

/// A wait goes on while servers that were just started have no vote, and names the way out.
#[test]
fn a_wait_goes_on_through_the_first_minute_of_new_servers() {
    let (fixture, servers) = (Fixture::new(), servers(3));
    let url = format!("{}?longest_lease=10s", url(&servers));
    let ran = fixture.run(&["run", "--store", &url, "--ttl", "5s", "nightly", "--", "echo", "in"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "in\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("may have forgotten who holds"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains(": waiting for ") && ran.stderr.contains("`leasehold promote --store URL`"),
        "{}",
        ran.stderr
    );
}

/// Of a quorum that fails, the members that do their work are not among the reasons.
#[test]
fn a_member_that_grants_is_no_reason_of_a_failure() {
    let (fixture, servers) = (Fixture::new(), servers(3));
    let url = url(&servers);
    assert_eq!(fixture.run(&["promote", "--store", &url]).code, Some(0));
    servers[1].kill();
    servers[2].kill();
    for verb in ["run --no-wait x -- true", "inspect x", "list"] {
        let mut words = verb.split(' ');
        let mut command = fixture.leasehold(&[words.next().unwrap(), "--store", &url]);
        let failed = finish(command.args(words));
        assert_eq!(failed.code, Some(69), "{verb}: {}", failed.stderr);
        let is_named = |server: &Server| failed.stderr.contains(&format!("redis://{}: ", server.address()));
        assert_eq!(
            servers.iter().map(is_named).collect::<Vec<_>>(),
            [false, true, true],
            "{verb}: {}",
            failed.stderr
        );
    }
}

/// N18. Members that hang cost what was asked for, and are named; the release of the claim that they may still receive is not
/// awaited for longer than that of a store that answers.
#[test]
fn n18_a_wait_for_a_quorum_that_hangs_ends_when_it_was_asked_to() {
    let (fixture, servers) = (Fixture::new(), servers(3));
    let url = url(&servers);
    assert_eq!(fixture.run(&["promote", "--store", &url]).code, Some(0));
    servers[1].kill();
    servers[2].pause().unwrap();
    let begin = now();
    let failed = fixture.run(&["run", "--wait", "2s", "--store", &url, "x", "--", "true"]);
    let took = begin.elapsed();
    assert_eq!(failed.code, Some(69), "{}", failed.stderr);
    for server in &servers[1..] {
        assert!(failed.stderr.contains(&format!("redis://{}: ", server.address())), "{}", failed.stderr);
    }
    // What is left: one request of a member, the release, and the end of the client.
    assert!(took < Duration::from_secs(6), "{took:?}");
    servers[2].resume().unwrap();
    // The control: a member that answers is part of a majority, and the claim has left nothing there.
    let answered = fixture.run(&["run", "--wait", "20s", "--store", &url, "x", "--", "true"]);
    assert_eq!(answered.code, Some(0), "{}", answered.stderr);
}

#[test]
fn what_is_no_quorum_is_refused() {
    let (fixture, servers) = (Fixture::new(), servers(2));
    let (one, two) = (servers[0].port(), servers[1].port());
    let replica = Server::builder().replica_of(&servers[0]).start().unwrap_or_else(|error| panic!("{error}"));
    for (url, says, code) in [
        (
            format!("redlock://127.0.0.1:{one},localhost:{one},127.0.0.1:{two}"),
            "it is the same server as",
            78,
        ),
        (
            format!("redlock://127.0.0.1:{one},127.0.0.1:{two},127.0.0.1:{}", replica.port()),
            "it is a replica of",
            78,
        ),
        (format!("redlock://127.0.0.1:{one},127.0.0.1:{one},127.0.0.1:{two}"), "named twice", 64),
        (format!("redlock://127.0.0.1:{one},127.0.0.1:{two}"), "quorum of 2", 64),
        (
            format!("redlock://127.0.0.1:{one},127.0.0.1:{two},127.0.0.1:3,127.0.0.1:4"),
            "a quorum of 4 members",
            78,
        ),
    ] {
        let finished = fixture.run(&["run", "--store", &url, "--no-wait", "x", "--", "true"]);
        assert!(finished.stderr.contains(says), "{url}: {}", finished.stderr);
        assert_eq!(finished.code, Some(code), "{url}: {}", finished.stderr);
    }
    let no_quorum = fixture.run(&["promote", "--store", &servers[0].url()]);
    assert_eq!(no_quorum.code, Some(64), "{}", no_quorum.stderr);
}

/// A majority of any stores: here two files and a server.
#[test]
fn stores_of_several_kinds_vote_together() {
    let (fixture, servers) = (Fixture::new(), servers(1));
    let [a, b] = ["a.db", "b.db"].map(|file| format!("sqlite:{}", fixture.path(file).display()));
    let url = format!("quorum:{a};{b};{};?longest_lease=30s", servers[0].url());
    let print = ["sh", "-c", "echo $LEASEHOLD_FENCING_TOKEN"];
    let token = || {
        let finished = fixture.run(&[&["run", "--store", &url, "nightly", "--"], &print[..]].concat());
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        finished.stdout.trim().parse::<u64>().unwrap()
    };
    let first = token();
    servers[0].kill();
    assert!(token() > first);
}
