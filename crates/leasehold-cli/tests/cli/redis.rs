//! Commands under a lock that a Redis server keeps.

use leasehold_testkit::redis::Server;
use rustix::process::Signal;

use crate::fixture::{Fixture, Running, finish, until_dead};

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

/// Locks, readers and permits of Java are shown by client and thread, listed, and ended by force; the doctor names a right
/// that is missing.
#[test]
fn locks_of_redisson_are_shown_listed_and_ended() {
    let rights = "java on >pw ~* &* +@all";
    let server = Server::builder().user(rights).start().unwrap_or_else(|error| panic!("{error}"));
    let (fixture, owner) = (Fixture::new(), "123e4567-e89b-12d3-a456-426614174000:42");
    let url = format!("{}?dialect=redisson", server.url().replace("redis://", "redis://java:pw@"));
    for write in [
        &["HSET", "jobs-lock", owner, "2"][..],
        &["HSET", "jobs-read", "mode", "read", owner, "1"],
        &["SET", &format!("{{jobs-read}}:{owner}:rwlock_timeout:1"), "1", "PX", "60000"],
        &["SET", "jobs-permit", "2"],
        &["ZADD", "{jobs-permit}:timeout", "922337203685477", "0123456789abcdef"],
        &["SET", "jobs-other", "x"],
    ] {
        server.command(write).unwrap().accepted().unwrap();
    }
    let with = |verb: &[&str]| fixture.run(&[&verb[..1], &["--store", &url], &verb[1..]].concat());
    for (name, says) in
        [("lock", "thread 42, taken 2 times"), ("read", "thread 42"), ("permit", "3031323334")]
    {
        let shown = with(&["inspect", &format!("jobs-{name}")]);
        assert!(shown.stdout.contains(says), "{name}: {} {}", shown.stdout, shown.stderr);
    }
    let listed = with(&["list", "jobs-"]);
    assert_eq!((listed.code, listed.stdout.matches("Redisson").count()), (Some(0), 3), "{}", listed.stdout);
    let kept_out = with(&["run", "--no-wait", "jobs-lock", "--", "true"]);
    assert_eq!(kept_out.code, Some(75), "{}", kept_out.stderr);
    for name in ["jobs-lock", "jobs-read", "jobs-permit"] {
        assert_eq!(with(&["force-release", "--yes", name]).code, Some(0), "{name}");
    }
    assert_eq!(with(&["list", "jobs-"]).stdout.matches("Redisson").count(), 0);
    assert_eq!(with(&["run", "--no-wait", "jobs-lock", "--", "true"]).code, Some(0));
    // Control: a key that is no lock is not touched.
    assert_ne!(with(&["force-release", "--yes", "jobs-other"]).code, Some(0));
    assert_eq!(server.command(&["GET", "jobs-other"]).unwrap().text(), Some("x"));
    server.command(&["ACL", "SETUSER", "java", "resetchannels"]).unwrap().accepted().unwrap();
    let doctor = with(&["doctor"]);
    assert!(doctor.stdout.contains("may not publish the releases of its dialect"), "{}", doctor.stdout);
    let mut run = fixture.leasehold(&["run", "--store", &url, "--no-wait", "jobs-lock", "--", "true"]);
    let run = run.env("LEASEHOLD_LOG", "warn").output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.contains("wakes nobody"), "{said}");
}

/// A user who may not publish is told so by the doctor, and by the log of a release.
#[test]
fn who_may_not_wake_springs_waiters_is_told_so() {
    let server = Server::builder().user("java on >pw ~* &* +@all").start().unwrap();
    let fixture = Fixture::new();
    let url = server.url().replace("redis://", "redis://java:pw@") + "?dialect=spring&template=locks:*";
    let says_it = |is_said: bool| {
        let doctor = fixture.run(&["doctor", "--store", &url]).stdout;
        let hint = "may not publish the releases of its dialect";
        assert_eq!(doctor.contains(hint) && doctor.contains("&locks-channel:*"), is_said, "{doctor}");
        let mut run = fixture.leasehold(&["run", "--store", &url, "x", "--", "true"]);
        let run = finish(run.env("LEASEHOLD_LOG", "warn"));
        assert_eq!((run.code, run.stderr.contains("wakes nobody")), (Some(0), is_said), "{}", run.stderr);
    };
    says_it(false);
    server.command(&["ACL", "SETUSER", "java", "resetchannels"]).unwrap().accepted().unwrap();
    says_it(true);
}

/// A format without a place for notes refuses those of the user, and does not guess about a run.
#[test]
fn a_dialect_without_notes_says_so() {
    let (fixture, server) = (Fixture::new(), server());
    let store = format!("{}?dialect=redisson", server.url());
    for refused in [
        &["run", "--note", "mine", "x", "--", "true"][..],
        &["elect", "--value", "10.0.0.7", "x", "--", "true"],
        &["hold", "--note", "mine", "--for", "1m", "x"],
    ] {
        let said = fixture.run(&[&refused[..1], &["--store", &store], &refused[1..]].concat());
        assert!(
            said.code == Some(64) && said.stderr.contains("keeps no notes"),
            "{refused:?}: {}",
            said.stderr
        );
    }
    let slot = |options: &[&str]| {
        let run = ["run", "--store", &store, "--slot", "a", "x", "--", "true"];
        let said = fixture.run(&[options, &run].concat());
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        said.stderr
    };
    slot(&[]);
    assert!(slot(&[]).contains("`x` runs or has run in this slot"));
    assert!(slot(&["--json"]).contains(r#""finished":null"#));
    let plain = format!("{}?dialect=plain", server.url());
    for (url, says) in [(&plain, "was not held\n"), (&server.url(), "its fencing counter was raised")] {
        let forced = fixture.run(&["force-release", "--yes", "--store", url, "free"]);
        assert!(forced.code == Some(0) && forced.stderr.contains(says), "{}", forced.stderr);
    }
}

/// The command that `inspect` prints releases the lock, or none is printed.
#[test]
fn the_way_to_a_forced_release_is_one_that_works() {
    let server = Server::builder().password("s3cret").start().unwrap();
    let fixture = Fixture::new();
    let address = server.address().to_string();
    std::fs::write(fixture.path("url"), format!("redis://:s3cret@{address}\n")).unwrap();
    let toml = "[stores.prod]\nurl_file = \"url\"\n[stores.java]\nurl_file = \"java\"\n";
    std::fs::write(fixture.path("leasehold.toml"), toml).unwrap();
    std::fs::write(fixture.path("java"), format!("redis://:s3cret@{address}?dialect=redisson\n")).unwrap();
    let with = |arguments: &[&str]| {
        let mut command = fixture.leasehold(arguments);
        finish(command.env("LEASEHOLD_CONFIG", fixture.path("leasehold.toml")))
    };
    assert_eq!(with(&["hold", "--store", "prod", "--for", "1m", "x"]).code, Some(0));
    let shown = with(&["inspect", "--store", "prod", "x"]).stdout;
    assert!(shown.contains("leasehold force-release --store prod x"), "{shown}");
    assert_eq!(with(&["force-release", "--yes", "--store", "prod", "x"]).code, Some(0));
    let java = ["HSET", "y", "123e4567-e89b-12d3-a456-426614174000:42", "1"];
    server.command(&java).unwrap().accepted().unwrap();
    let shown = with(&["inspect", "--store", "prod", "y"]).stdout;
    assert!(shown.contains("with `dialect=redisson` in the URL") && !shown.contains("taken"), "{shown}");
    assert_eq!(with(&["force-release", "--yes", "--store", "java", "y"]).code, Some(0));
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
    let nobody = fixture.run(&[
        "run",
        "-n",
        "--store",
        "redis://:s3cr3t@127.0.0.1:1?timeout=300ms",
        "x",
        "--",
        "true",
    ]);
    assert_eq!(nobody.code, Some(69), "{}", nobody.stderr);
    assert!(!nobody.stderr.contains("s3cr3t") && nobody.stderr.contains("127.0.0.1:1"), "{}", nobody.stderr);
    server.command(&["SET", "x", "4d5f3a2c1b0e4d5f3a2c1b0e4d5f3a2c", "NX", "PX", "60000"]).unwrap();
    let busy = fixture.run(&["run", "--store", &server.url(), "--no-wait", "x", "--", "true"]);
    assert_eq!(busy.code, Some(75), "{}", busy.stderr);
    let shown = fixture.run(&["inspect", "--store", &server.url(), "x"]);
    assert!(shown.stdout.contains("redis-py"), "{}", shown.stdout);
}

/// C15. The data of the server are deleted during a hold that ends before its first renewal.
#[test]
fn c15_a_flush_that_only_the_release_finds_is_no_success() {
    let (fixture, server) = (Fixture::new(), server());
    let go = fixture.path("go");
    let script = format!("echo ready; while [ ! -e {} ]; do sleep 0.02; done", go.display());
    for (is_flushed, code) in [(false, 0), (true, 79)] {
        let mut run = fixture.start(&["--store", &server.url(), "--ttl", "10m", "--json", "x"], &script);
        assert_eq!(run.line(), "ready");
        if is_flushed {
            server.command(&["FLUSHALL"]).unwrap();
        }
        std::fs::write(&go, "").unwrap();
        let finished = run.end();
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert_eq!(finished.stderr.contains("\"event\":\"released\""), !is_flushed, "{}", finished.stderr);
        std::fs::remove_file(&go).unwrap();
    }
}

/// N14. The server comes up later than its client: that is a wait like any other, and said once. The control does not wait.
#[test]
fn n14_a_store_that_is_away_at_the_start_is_waited_for() {
    let (fixture, server) = (Fixture::new(), server());
    let url = format!("{}?timeout=500ms", server.url());
    server.kill();
    let control = fixture.run(&["run", "--no-wait", "--store", &url, "x", "--", "true"]);
    assert_eq!(control.code, Some(69), "{}", control.stderr);
    let verbs: [&[&str]; 3] = [
        &["run", "--wait", "1m", "x", "--", "echo", "in"],
        &["elect", "y", "--", "echo", "in"],
        &["hold", "--wait", "1m", "--for", "1m", "z"],
    ];
    let mut waiting = verbs.map(|verb| {
        let arguments = [&verb[..1], &["--store", &url], &verb[1..]].concat();
        Running::start(&mut fixture.leasehold(&arguments))
    });
    for run in &mut waiting {
        let line = run.stderr_line();
        assert!(line.starts_with("waiting for the store · "), "{line}");
    }
    server.restart().unwrap();
    for run in waiting {
        let finished = run.end();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{}", finished.stdout);
        assert!(!finished.stdout.is_empty());
    }
}

/// N15. An outage takes the leadership and does not end the campaign.
#[test]
fn n15_a_campaign_for_ever_outlives_an_outage() {
    let (fixture, server) = (Fixture::new(), server());
    let url = format!("{}?timeout=500ms", server.url());
    let elect = |more: &[&str]| {
        let options = ["elect", "--ttl", "1s", "--store", &url];
        let arguments =
            [&options[..], more, &["boss", "--", "sh", "-c", "echo leads; exec sleep 1000"]].concat();
        let mut run = Running::start(&mut fixture.leasehold(&arguments));
        assert_eq!(run.line(), "leads");
        run
    };
    let mut forever = elect(&["--forever"]);
    server.kill();
    while !forever.stderr_line().starts_with("waiting for the store · claim") {}
    server.restart().unwrap();
    assert_eq!(forever.line(), "leads");
    forever.send(Signal::TERM);
    assert_eq!(forever.end().code, Some(143));
    // The control: a campaign that is not for ever ends with its lease.
    let once = elect(&[]);
    server.kill();
    assert_eq!(once.end().code, Some(79));
}

/// N16. A server that accepts and never answers: every verb obeys a signal while it connects.
#[test]
fn n16_a_signal_ends_the_wait_for_a_connection() {
    let fixture = Fixture::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}?timeout=10m", silent.local_addr().unwrap());
    let verbs: [&[&str]; 4] = [
        &["hold", "--for", "1m", "x"],
        &["run", "x", "--", "true"],
        &["elect", "x", "--", "true"],
        &["inspect", "x"],
    ];
    for verb in verbs {
        let arguments = [&verb[..1], &["--store", &url], &verb[1..]].concat();
        let run = Running::start(&mut fixture.leasehold(&arguments));
        let _connection = silent.accept().unwrap();
        run.send(Signal::INT);
        // `inspect` has nothing to tidy up, and leaves the signal to the system.
        let code = run.end().code;
        assert!(matches!(code, Some(130) | None), "{verb:?}: {code:?}");
    }
}
