//! `watch` tells each change of a lock.

use std::time::{Duration, Instant};

use leasehold_testkit::redis::Server;
use rustix::process::Signal;
use serde_json::Value;

use crate::fixture::{Fixture, Running, now, until};

fn server() -> Server {
    Server::start().unwrap_or_else(|error| panic!("{error}"))
}

fn watch(fixture: &Fixture, more: &[&str]) -> Running {
    Running::start(&mut fixture.leasehold(&[&["watch"], more, &["job"]].concat()))
}

/// The next event: its name, and the process whose it is.
fn event(watch: &mut Running) -> (String, Value) {
    let line = watch.line();
    let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    assert!(
        line.starts_with("{\"event\":") && event["lock"] == "job" && event["at_ms"].as_u64() > Some(0),
        "{line}"
    );
    (event["event"].as_str().unwrap().to_string(), event["pid"].clone())
}

/// The changes of one lock in order, from a store that pushes them and from one that does not.
#[test]
fn each_change_is_one_line() {
    let (redis, memcached) = (server(), leasehold_testkit::memcached::Server::start().unwrap());
    let fixture = Fixture::new();
    let memcached = format!("memcached://{}", memcached.address());
    // The counter of Memcached is not kept while nobody holds the lock, and that of SQLite is one for all locks: there the end is
    // not told from a release.
    for (store, end) in [(&redis.url(), "forced"), (&fixture.store(), "released"), (&memcached, "released")] {
        let mut watch = watch(&fixture, &["--json", "--store", store]);
        let mut first = fixture.start(&["--store", store, "job"], "echo in; exec sleep 1000");
        assert_eq!(first.line(), "in", "{store}");
        assert_eq!(event(&mut watch), ("granted".into(), first.pid().into()), "{store}");
        let mut second = fixture.start(&["--fair", "--store", store, "job"], "echo in; exec sleep 1000");
        assert_eq!(event(&mut watch), ("waiting".into(), second.pid().into()), "{store}");
        first.send(Signal::TERM);
        assert_eq!(event(&mut watch), ("released".into(), first.pid().into()), "{store}");
        assert_eq!(event(&mut watch), ("granted".into(), second.pid().into()), "{store}");
        assert_eq!(second.line(), "in");
        let forced = fixture.run(&["force-release", "--yes", "--store", store, "job"]);
        assert_eq!(forced.code, Some(0), "{}", forced.stderr);
        assert_eq!(event(&mut watch), (end.into(), second.pid().into()), "{store}");
        watch.send(Signal::INT);
        assert_eq!(watch.end().code, Some(130));
    }
}

/// The next event of a holder whose lock ends by `end`, with another lock granted while it was held.
fn end_beside_another_grant(store: &str, end: impl FnOnce(&Fixture, &Running)) -> String {
    let fixture = Fixture::new();
    let mut watch = watch(&fixture, &["--json", "--store", store]);
    let mut holder = fixture.start(&["--store", store, "job"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in", "{store}");
    assert_eq!(event(&mut watch).0, "granted", "{store}");
    let other = fixture.run(&["run", "--store", store, "other", "--", "true"]);
    assert_eq!(other.code, Some(0), "{store}: {}", other.stderr);
    end(&fixture, &holder);
    let (word, pid) = event(&mut watch);
    // Redisson has no place for a note.
    assert!(pid == holder.pid() || store.contains("redisson"), "{store}: {pid}");
    word
}

/// The counter of an SQLite file rises with the grant of any lock; that of Redis and PostgreSQL does not.
#[test]
fn a_grant_of_another_lock_makes_no_release_forced_and_hides_no_force() {
    let (redis, postgres) = (server(), leasehold_testkit::postgres::Server::start().unwrap());
    let fixture = Fixture::new();
    for store in [fixture.store(), redis.url(), postgres.url()] {
        let word = end_beside_another_grant(&store, |_, holder| holder.send(Signal::TERM));
        assert_eq!(word, "released", "{store}");
    }
    for store in [redis.url(), redis.url() + "?dialect=redisson", postgres.url()] {
        let word = end_beside_another_grant(&store, |fixture, _| {
            let forced = fixture.run(&["force-release", "--yes", "--store", &store, "job"]);
            assert_eq!(forced.code, Some(0), "{store}: {}", forced.stderr);
        });
        assert_eq!(word, "forced", "{store}");
    }
}

/// A holder that is stopped does not renew: jeopardy, then the end of its lease.
#[test]
fn a_stopped_holder_is_in_jeopardy_and_then_lost() {
    let (fixture, redis) = (Fixture::new(), server());
    let mut watch = watch(&fixture, &["--json", "--store", &redis.url()]);
    let (holder, begin) = start(&fixture, &redis, "6s");
    assert_eq!(event(&mut watch).0, "granted");
    until("two renewals", || begin.elapsed() > Duration::from_millis(4500));
    holder.send(Signal::STOP);
    let events: Vec<_> =
        std::iter::from_fn(|| Some(event(&mut watch).0)).take_while(|it| it != "lost").collect();
    // A machine that stands still makes the holder late before it is stopped, too.
    assert!(!events.is_empty() && events.iter().all(|it| it == "jeopardy"), "{events:?}");
    holder.send(Signal::CONT);
}

/// The end that a holder in jeopardy was to have is none once it has renewed.
#[test]
fn a_holder_that_renews_after_its_jeopardy_is_released_and_not_lost() {
    let (fixture, redis) = (Fixture::new(), server());
    let mut watch = watch(&fixture, &["--json", "--store", &redis.url()]);
    let (holder, begin) = start(&fixture, &redis, "12s");
    assert_eq!(event(&mut watch).0, "granted");
    until("two renewals", || begin.elapsed() > Duration::from_secs(9));
    holder.send(Signal::STOP);
    assert_eq!(event(&mut watch).0, "jeopardy");
    holder.send(Signal::CONT);
    until("the end it was to have", || begin.elapsed() > Duration::from_secs(21));
    holder.send(Signal::TERM);
    let end = std::iter::from_fn(|| Some(event(&mut watch).0)).find(|it| it != "jeopardy");
    assert_eq!(end.as_deref(), Some("released"));
}

/// A holder, and the time of its grant. A busy machine renews half of its time to live late.
fn start(fixture: &Fixture, redis: &Server, ttl: &str) -> (Running, Instant) {
    let options = ["--ttl", ttl, "--store", &redis.url(), "job"];
    let mut holder = fixture.start(&options, "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    (holder, now())
}

#[test]
fn text_names_the_time_the_change_and_the_holder_and_escapes_notes() {
    let fixture = Fixture::new();
    let mut holder = fixture.start(&["--note", "a\u{1b}[2Jb", "job"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    let mut watch = watch(&fixture, &[]);
    let line = watch.line();
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(time.len() == 13 && time.ends_with('Z'), "{line}");
    assert!(rest.starts_with("granted   ") && rest.contains(&format!("pid {}", holder.pid())), "{line}");
    assert!(rest.contains("\"a\\u{1b}[2Jb\"") && rest.contains(" · exclusive · fencing token "), "{line}");
    holder.send(Signal::TERM);
    let line = watch.line();
    assert!(line.contains(" released  "), "{line}");
}

#[test]
fn a_store_that_is_away_is_69_and_a_closed_pipe_is_the_end() {
    let fixture = Fixture::new();
    let nobody = fixture.run(&["watch", "--store", "redis://127.0.0.1:1?timeout=300ms", "job"]);
    assert_eq!(nobody.code, Some(69), "{}", nobody.stderr);
    let itself = env!("CARGO_BIN_EXE_leasehold");
    let script = format!("{itself} watch job | head -1");
    let mut sh = std::process::Command::new("sh");
    sh.env("LEASEHOLD_STORE", fixture.store());
    let mut pipe = Running::start(sh.args(["-c", &script]));
    let run = || fixture.run(&["run", "job", "--", "true"]);
    until("the end of watch", || {
        run();
        !crate::fixture::children(pipe.pid())
            .iter()
            .any(|pid| crate::fixture::command_line(*pid).contains("watch"))
    });
    assert!(pipe.line().contains(" granted "));
}
