//! `leasehold doctor`, and what other verbs say of a server that may lose locks.

use leasehold_testkit::redis::{Builder, Replicated, Server};

use crate::fixture::{Finished, Fixture};

const PASSWORD: &str = "s3cr3t-of-the-test";

fn start(builder: Builder) -> Server {
    builder.start().unwrap_or_else(|error| panic!("{error}"))
}

fn doctor(store: &str, more: &[&str]) -> Finished {
    let finished = Fixture::new().run(&[&["doctor", "--store", store], more].concat());
    let all = format!("{}{}", finished.stdout, finished.stderr);
    assert!(!all.contains(PASSWORD), "a password is shown: {all}");
    finished
}

#[test]
fn a_durable_server_is_well() {
    let server = start(Server::builder().aof().password(PASSWORD));
    let finished = doctor(&server.url(), &[]);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{}", finished.stdout);
    let (address, info) = (server.address(), server.info("server"));
    let mut lines = finished.stdout.lines();
    assert_eq!(lines.next(), Some(&*format!("store    redis://:***@{address}")), "{}", finished.stdout);
    assert_eq!(lines.next(), Some("found    0 critical, 0 warning, 6 ok"), "{}", finished.stdout);
    assert_eq!(lines.next(), Some(""));
    let found: Vec<&str> = lines.collect();
    let expected = [
        "it is a master".to_string(),
        format!("Redis {}", info["redis_version"]),
        "it evicts nothing (maxmemory-policy noeviction)".to_string(),
        "1 of ".to_string(),
        "it syncs every write to disk (appendfsync always)".to_string(),
        "its clock agrees with this machine's".to_string(),
    ];
    assert_eq!(found.len(), expected.len(), "{}", finished.stdout);
    for (line, expected) in found.iter().zip(expected) {
        assert!(line.starts_with(&format!("ok       {address} · {expected}")), "{line}");
    }
}

#[test]
fn red_is_78_and_says_why_and_what_to_do() {
    let server = start(Server::builder().password(PASSWORD).arg("maxmemory-policy", "allkeys-lru"));
    let finished = doctor(&server.url(), &[]);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(78), ""), "{}", finished.stdout);
    let address = server.address();
    let expected = format!(
        "found    1 critical, 1 warning, 4 ok

critical {address} · it may evict locks when its memory is full (maxmemory-policy allkeys-lru)
  why      a lock that is evicted lets a second holder in while the first is at work
  fix      CONFIG SET maxmemory-policy noeviction, and in redis.conf; or give locks a server of their own

warning  {address} · it keeps nothing on disk: a restart loses every lock
  why      after a restart, a second holder gets in while the first is at work
  fix      CONFIG SET appendonly yes and appendfsync always, and in redis.conf

ok       {address} · it is a master
"
    );
    assert!(finished.stdout.contains(&expected), "{}", finished.stdout);
}

#[test]
fn in_json_it_is_an_array() {
    let servers = Replicated::with(1, |builder| builder.password(PASSWORD));
    let servers = servers.unwrap_or_else(|error| panic!("{error}"));
    let replica = servers.replica(0);
    let finished = doctor(&replica.url(), &["--json"]);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(78), ""), "{}", finished.stdout);
    assert_eq!(finished.stdout.lines().count(), 1, "{}", finished.stdout);
    let findings: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let first = &findings[0];
    assert_eq!((&first["severity"], &first["node"]), (&"critical".into(), &replica.address().into()));
    assert_eq!(first["what"], "it is a replica");
    for key in ["why", "fix"] {
        assert!(first[key].as_str().is_some_and(|text| !text.is_empty()), "{first}");
    }
    // Amber alone is no failure.
    let finished = doctor(&servers.master().url(), &["--json"]);
    assert!(finished.code == Some(0) && finished.stdout.contains("\"warning\""), "{}", finished.stdout);
}

#[test]
fn who_is_not_there_is_69() {
    let server = start(Server::builder().password(PASSWORD));
    let wrong = format!("redis://:not-the-{PASSWORD}@{}", server.address());
    let finished = doctor(&wrong, &[]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(69), ""), "{}", finished.stderr);
    server.kill();
    for more in [&[][..], &["--json"]] {
        let finished = doctor(&server.url(), more);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(69), ""), "{}", finished.stderr);
        assert!(finished.stderr.contains("hint"), "{}", finished.stderr);
    }
}

/// A20. A file and a directory in which no lock can be taken. The control is a look at the file, which can be read and written.
#[test]
fn a20_a_database_that_cannot_be_used_is_critical() {
    let fixture = Fixture::new();
    let (junk, missing) = (fixture.path("junk.db"), fixture.path("missing/locks.db"));
    std::fs::write(&junk, "this is the file of another program. ".repeat(9)).unwrap();
    for (path, words) in [(&junk, "is not a SQLite database"), (&missing, "make the directory first")] {
        let store = format!("sqlite:{}", path.display());
        let found = fixture.run(&["doctor", "--json", "--store", &store]);
        assert!(found.code == Some(78) && found.stdout.contains(words), "{}{}", found.stdout, found.stderr);
        let run = fixture.run(&["run", "--no-wait", "--store", &store, "x", "--", "true"]);
        assert!(run.code != Some(0) && run.stderr.contains(words), "{:?} {}", run.code, run.stderr);
    }
    assert!(std::fs::OpenOptions::new().read(true).write(true).open(&junk).is_ok(), "the control");
    assert!(!missing.parent().unwrap().exists(), "nothing was written");
}

#[test]
fn other_stores_have_nothing_to_check() {
    let fixture = Fixture::new();
    let finished = fixture.run(&["doctor"]);
    let ok = "ok       sqlite · the database is made at its first use\n";
    assert!(finished.code == Some(0) && finished.stdout.ends_with(ok), "{}", finished.stdout);
    let finished = fixture.run(&["doctor", "--store", "memory:"]);
    let ok = "ok       memory · there is nothing to check for memory:\n";
    assert!(finished.code == Some(0) && finished.stdout.ends_with(ok), "{}", finished.stdout);
    assert_eq!(std::fs::read_dir(fixture.path("")).unwrap().count(), 0, "nothing was written");
    // Nobody listens at port 1.
    let finished = fixture.run(&["doctor", "--store", "etcd://127.0.0.1:1?timeout=300ms"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(69), ""), "{}", finished.stderr);
}

#[test]
fn other_verbs_warn_of_eviction_and_refuse_it_when_strict() {
    let server = start(Server::builder().password(PASSWORD).arg("maxmemory-policy", "allkeys-random"));
    let (fixture, url) = (Fixture::new(), server.url());
    let what = format!(
        "{} may evict locks when its memory is full (maxmemory-policy allkeys-random)",
        server.address()
    );
    let finished = fixture.run(&["run", "--store", &url, "x", "--", "echo", "done"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "done\n"), "{}", finished.stderr);
    let warning = format!("warning: {what}: set maxmemory-policy to noeviction\n");
    assert_eq!(finished.stderr, warning);
    let finished = fixture.run(&["list", "--json", "--store", &url]);
    let event: serde_json::Value = serde_json::from_str(finished.stderr.trim()).unwrap();
    assert_eq!((finished.code, &event["event"]), (Some(0), &"warning".into()), "{}", finished.stderr);
    let strict = format!("{url}?strict=true");
    for line in [&["run", "x", "--store", &strict, "--", "echo", "done"][..], &["list", "--store", &strict]] {
        let finished = fixture.run(line);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(78), ""), "{}", finished.stderr);
        let says = |words: &str| finished.stderr.contains(words) && !finished.stderr.contains(PASSWORD);
        assert!(says(&what) && says("\nhint: set maxmemory-policy to noeviction"), "{}", finished.stderr);
    }
    // It looks, strict or not.
    assert_eq!(doctor(&strict, &[]).code, Some(78));
}
