//! Foreign files are refused and left as they are; claims of before a restart are carried over.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod common;

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use common::{block_on, detached, env, exclusive, fifo, granted, name};
use leasehold_core::{
    Binding, Claim, Env, Error, ErrorKind, Moment, Renewal, Stance, Standing, Store, env::Environment,
};
use leasehold_sqlite::{SqliteOptions, SqliteStore};
use rusqlite::Connection;

const TTL: Duration = Duration::from_secs(30);

fn refused(path: &Path) -> Error {
    let error = SqliteStore::open(path, env()).unwrap_err();
    assert!(error.hint_text().is_some(), "{error:?}");
    assert!(error.to_string().starts_with("open on sqlite:"), "{error}");
    error
}

/// Everything in a directory, byte for byte.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap_or_default()))
        .collect();
    files.sort();
    files
}

fn made(path: &Path) {
    let store = SqliteStore::open(path, env()).unwrap();
    granted(block_on(store.claim(&detached("a", TTL))));
    block_on(store.close()).unwrap();
    let database = Connection::open(path).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

#[test]
fn foreign_newer_and_damaged_files_are_refused_and_untouched() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil, ErrorKind); 7] = [
        ("text", |path| fs::write(path, "these are my notes\n".repeat(100)).unwrap(), ErrorKind::Corrupt),
        ("short", |path| fs::write(path, "SQLite format 3\0").unwrap(), ErrorKind::Corrupt),
        (
            "another program",
            |path| {
                let database = Connection::open(path).unwrap();
                database.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE mine (x);").unwrap();
            },
            ErrorKind::Corrupt,
        ),
        (
            "newer",
            |path| {
                made(path);
                Connection::open(path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
            },
            ErrorKind::Corrupt,
        ),
        (
            "truncated",
            |path| {
                made(path);
                let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                file.set_len(file.metadata().unwrap().len() - 1024).unwrap();
            },
            ErrorKind::Corrupt,
        ),
        ("directory", |path| fs::create_dir(path).unwrap(), ErrorKind::Corrupt),
        (
            "hard link",
            |path| {
                made(path);
                fs::hard_link(path, path.with_extension("other")).unwrap();
            },
            ErrorKind::Unsafe,
        ),
    ];
    for (what, spoil, kind) in cases {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("locks.db");
        spoil(&path);
        let before = contents(directory.path());
        let error = refused(&path);
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert_eq!(contents(directory.path()), before, "{what}");
    }
}

#[test]
fn damaged_pages_are_reported_by_the_verb_that_meets_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("locks.db");
    made(&path);
    let mut bytes = fs::read(&path).unwrap();
    bytes[1024..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    let error = match SqliteStore::open(&path, env()) {
        Err(error) => error,
        Ok(store) => block_on(store.claim(&exclusive("a", TTL))).unwrap_err(),
    };
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn a_missing_or_unusable_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = refused(&directory.path().join("missing/locks.db"));
    assert_eq!(missing.kind(), ErrorKind::Unreachable);
    let read_only = refused(Path::new("/proc/locks.db"));
    assert_eq!(read_only.kind(), ErrorKind::Unreachable);
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(refused(&file.join("locks.db")).kind(), ErrorKind::Unreachable);
    let dangling = directory.path().join("link");
    symlink(directory.path().join("nowhere/at all"), &dangling).unwrap();
    let mut options = SqliteOptions::default();
    options.create_directories = true;
    let store = SqliteStore::open_with(directory.path().join("x/y/locks.db"), env(), options).unwrap();
    granted(block_on(store.claim(&exclusive("a", TTL))));
}

#[test]
fn an_empty_file_becomes_a_database_and_keeps_its_rights() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("locks.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
    let store = SqliteStore::open(&path, env()).unwrap();
    granted(block_on(store.claim(&exclusive("a", TTL))));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o600, 0o600);
    let private = directory.path().join("private.db");
    SqliteStore::open(&private, env()).unwrap();
    assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_database_deleted_between_two_runs_leaves_tokens_growing_and_no_ghosts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("locks.db");
    let mut last = None;
    for _ in 0..5 {
        let store = SqliteStore::open(&path, env()).unwrap();
        let token = granted(block_on(store.claim(&detached("a", TTL))));
        assert!(Some(token) > last);
        last = Some(token);
        drop(store);
        // The log stays behind and must not be replayed into the next database.
        fs::remove_file(&path).unwrap();
    }
}

/// The machine, some time after it was started again: the clock counts anew, the calendar goes on.
#[derive(Debug)]
struct Restarted {
    env: Env,
    clock_behind: Duration,
    calendar_ahead: Duration,
}

impl Environment for Restarted {
    fn now(&self) -> Moment {
        self.env.now() - self.clock_behind
    }

    fn wall_us(&self) -> u64 {
        self.env.wall_us() + self.calendar_ahead.as_micros() as u64
    }

    fn sleep_until(&self, moment: Moment) -> leasehold_core::BoxFuture<'static, ()> {
        self.env.sleep_until(moment + self.clock_behind)
    }

    fn spawn(&self, task: leasehold_core::BoxFuture<'static, ()>) {
        self.env.spawn(task);
    }

    fn random(&self) -> u128 {
        self.env.random()
    }
}

fn boot(id: &str) -> SqliteOptions {
    let mut options = SqliteOptions::default();
    options.boot_id = Some(id.to_owned());
    options
}

/// The end of every process that has the database open: its session files are there, and nobody locks them.
fn power_off(path: &Path) {
    for session in std::fs::read_dir(path.with_extension("db-sessions")).unwrap() {
        let session = session.unwrap().path();
        let unlocked = session.with_extension("new");
        std::fs::write(&unlocked, b"").unwrap();
        std::fs::rename(unlocked, session).unwrap();
    }
}

/// Containers of one machine may each see an identity of their own.
#[test]
fn a_live_holder_keeps_its_lock_before_a_process_that_sees_another_boot() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("locks.db");
    let holder = SqliteStore::open_with(&path, env(), boot("one")).unwrap();
    let claim = exclusive("a", TTL);
    block_on(async { granted(holder.claim(&claim).await) });
    let other = SqliteStore::open_with(&path, env(), boot("two")).unwrap();
    let kept_out = block_on(other.claim(&exclusive("a", TTL))).unwrap();
    assert!(matches!(kept_out, Standing::Held(_)), "{kept_out:?}");
    let renewed = block_on(holder.renew(std::slice::from_ref(&claim))).remove(0).unwrap();
    assert!(matches!(renewed, Renewal::Renewed { .. }));
    // The control: without a locked session file the other boot is a restart, and the lock is free.
    power_off(&path);
    let after = SqliteStore::open_with(&path, env(), boot("three")).unwrap();
    block_on(async { granted(after.claim(&exclusive("a", TTL)).await) });
}

/// Some containers keep their identity over a restart of the machine, whose clock begins anew.
#[test]
fn a_restart_is_seen_by_the_clock_when_the_identity_of_the_boot_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("locks.db");
    let before = SqliteStore::open_with(&path, env(), boot("one")).unwrap();
    block_on(async { granted(before.claim(&detached("minute", Duration::from_secs(60))).await) });
    power_off(&path);
    let restarted = Env::new(Restarted {
        env: env(),
        clock_behind: env().now().since(Moment::from_nanos(5_000_000_000)),
        calendar_ahead: Duration::from_secs(50),
    });
    let after = SqliteStore::open_with(&path, restarted, boot("one")).unwrap();
    let left = block_on(after.inspect(&name("minute"))).unwrap().holders[0].expires_in.unwrap();
    assert!(left <= Duration::from_secs(10), "{left:?}");
}

#[test]
fn a_restart_of_the_machine_frees_the_dead_and_carries_the_rest_over_by_the_calendar() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("locks.db");
    let before = SqliteStore::open_with(&path, env(), boot("one")).unwrap();
    let bound = exclusive("bound", TTL);
    let delaying = Claim { lock_delay: Duration::from_secs(9), ..exclusive("delaying", TTL) };
    let (short, long) =
        (detached("short", Duration::from_secs(10)), detached("long", Duration::from_secs(100)));
    let waiting = Claim { binding: Binding::Ttl, ..fifo("long", TTL) };
    let token = block_on(async {
        granted(before.claim(&bound).await);
        granted(before.claim(&delaying).await);
        granted(before.claim(&short).await);
        let token = granted(before.claim(&long).await);
        assert!(matches!(before.claim(&waiting).await.unwrap(), Standing::Waiting(_)));
        token
    });
    power_off(&path);
    let restarted = Env::new(Restarted {
        env: env(),
        clock_behind: env().now().since(Moment::from_nanos(5_000_000_000)),
        calendar_ahead: Duration::from_secs(60),
    });
    let after = SqliteStore::open_with(&path, restarted.clone(), boot("two")).unwrap();
    block_on(async {
        let again =
            |text: &str| Claim { id: leasehold_core::ClaimId::mint(&restarted), ..exclusive(text, TTL) };
        assert!(granted(after.claim(&again("bound")).await) > token);
        assert!(granted(after.claim(&again("short")).await) > token);
        let shut = after.inspect(&delaying.name).await.unwrap();
        assert_eq!(shut.holders[0].stance, Stance::Delaying);
        let seen = after.inspect(&name("long")).await.unwrap();
        assert!(seen.waiters.is_empty());
        assert_eq!(seen.holders[0].fence, Some(token));
        let left = seen.holders[0].expires_in.unwrap();
        assert!(left > Duration::from_secs(30) && left <= Duration::from_secs(40), "{left:?}");
        let renewal = after.renew(std::slice::from_ref(&long)).await.remove(0).unwrap();
        assert!(matches!(renewal, Renewal::Renewed { .. }), "a ticket is enough");
    });
    // The next opening in the same boot changes nothing.
    let third = SqliteStore::open_with(&path, restarted, boot("two")).unwrap();
    assert_eq!(block_on(third.inspect(&name("bound"))).unwrap().holders.len(), 1);
}

#[test]
fn a_calendar_that_was_set_back_keeps_a_hold_for_the_longest_time_to_live_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("locks.db");
    let years_ahead = Duration::from_secs(3 * 365 * 24 * 3600);
    let wrong = Env::new(Restarted { env: env(), clock_behind: Duration::ZERO, calendar_ahead: years_ahead });
    let before = SqliteStore::open_with(&path, wrong, boot("one")).unwrap();
    block_on(async { granted(before.claim(&detached("minute", Duration::from_secs(60))).await) });
    power_off(&path);
    let after = SqliteStore::open_with(&path, env(), boot("two")).unwrap();
    let left = block_on(after.inspect(&name("minute"))).unwrap().holders[0].expires_in.unwrap();
    assert!(left <= after.capability().ttl_max && left < years_ahead, "{left:?}");
}

/// A lock-delay that runs already when the machine stops. The control: the same hold without one is free after the restart.
#[test]
fn a_lock_delay_that_runs_is_carried_over_a_restart_of_the_machine() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("locks.db");
    let before = SqliteStore::open_with(&path, env(), boot("one")).unwrap();
    let shut = Claim { lock_delay: Duration::from_secs(100), ..detached("shut", Duration::from_millis(100)) };
    let plain = detached("plain", shut.ttl);
    block_on(async {
        granted(before.claim(&shut).await);
        granted(before.claim(&plain).await);
        env().sleep(shut.ttl * 2).await;
        // The claim of another writes that the hold has ended and its delay runs.
        assert!(matches!(before.claim(&exclusive("shut", TTL)).await.unwrap(), Standing::Held(_)));
        assert_eq!(before.inspect(&shut.name).await.unwrap().holders[0].stance, Stance::Delaying);
    });
    power_off(&path);
    let restarted = Env::new(Restarted {
        env: env(),
        clock_behind: env().now().since(Moment::from_nanos(5_000_000_000)),
        calendar_ahead: Duration::from_secs(60),
    });
    let after = SqliteStore::open_with(&path, restarted, boot("two")).unwrap();
    block_on(async {
        assert!(matches!(after.claim(&exclusive("shut", TTL)).await.unwrap(), Standing::Held(_)));
        granted(after.claim(&exclusive("plain", TTL)).await);
        let left = after.inspect(&shut.name).await.unwrap().holders[0].expires_in.unwrap();
        assert!(left > Duration::from_secs(30) && left <= Duration::from_secs(40), "{left:?}");
    });
}
