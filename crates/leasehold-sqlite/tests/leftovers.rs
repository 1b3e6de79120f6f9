//! Leftovers of ended processes, a full disk, and a database that is opened twice.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod common;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use common::{
    PATIENCE, Peer, block_on, detached, env, exclusive, fifo, granted, my_role, name, order, say, text,
};
use leasehold_core::{Claim, ErrorKind, Interest, Outcome, Release, Renewal, Standing, Store};
use leasehold_sqlite::SqliteStore;

const TTL: Duration = Duration::from_secs(30);

/// The body of the other processes of these tests: a test that does nothing unless another starts it.
#[test]
fn role() {
    let Some((role, arguments)) = my_role() else { return };
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match (role.as_str(), arguments.as_slice()) {
        ("hold", [path]) => block_on(hold(path)),
        ("watch", [path]) => block_on(watch(path)),
        ("leftovers", [path]) => leftovers(path),
        ("twice", [path]) => twice(path),
        ("full", [directory]) => block_on(full(Path::new(directory))),
        (role, arguments) => panic!("no role {role} {arguments:?}"),
    }
}

fn open(path: &str) -> SqliteStore {
    SqliteStore::open(path, env()).unwrap()
}

fn at(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("locks.db")
}

async fn hold(path: &str) {
    let store = open(path);
    granted(store.claim(&exclusive("a", TTL)).await);
    say("held");
    order();
}

async fn watch(path: &str) {
    let store = open(path);
    let _wake = store.watch(&name("a"), Interest::Changes).await.unwrap();
    say("watching");
    order();
}

fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.map(|task| fs::read_to_string(task.path().join("comm")).unwrap_or_default());
    names.filter(|name| name.starts_with("leasehold-sql") || name.starts_with("leasehold-wat")).collect()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// In a process of its own, because descriptors and threads are counted.
fn leftovers(path: &str) {
    let env = env();
    let before = descriptors();
    for how in ["close", "drop"] {
        let (one, two) = (open(path), open(path));
        block_on(async {
            let holder = exclusive("a", TTL);
            granted(one.claim(&holder).await);
            let waiter = fifo("a", TTL);
            let wake = two.watch(&waiter.name, Interest::Turn(waiter.id)).await.unwrap();
            let watch = one.watch(&waiter.name, Interest::Changes).await.unwrap();
            assert!(matches!(two.claim(&waiter).await.unwrap(), Standing::Waiting(_)));
            while threads().is_empty() {
                std::thread::yield_now();
            }
            assert!(descriptors() > before);
            if how == "close" {
                one.close().await.unwrap();
                two.close().await.unwrap();
                assert_eq!(threads(), Vec::<String>::new());
            }
            drop((wake, watch));
        });
        drop((one, two));
        let deadline = env.now() + PATIENCE;
        while (!threads().is_empty() || descriptors() > before) && env.now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!((threads(), descriptors()), (Vec::new(), before), "{how}");
    }
    assert_eq!(fs::read_dir(format!("{path}-sessions")).unwrap().count(), 0);
    say("clean");
}

#[test]
fn a_store_that_ends_leaves_no_session_thread_or_descriptor() {
    let directory = tempfile::tempdir().unwrap();
    let peer = Peer::start("leftovers", &[text(&at(&directory))]);
    peer.expect("clean");
    peer.ends();
}

#[test]
fn session_files_of_killed_processes_are_swept_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = at(&directory);
    for _ in 0..3 {
        let mut peer = Peer::start("hold", &[text(&path)]);
        peer.expect("held");
        peer.kill();
    }
    let store = open(text(&path));
    let ticket = detached("b", TTL);
    granted(block_on(store.claim(&ticket)));
    assert!(block_on(store.inspect(&name("a"))).unwrap().holders.is_empty());
    let sessions = fs::read_dir(directory.path().join("locks.db-sessions")).unwrap().count();
    assert_eq!(sessions, 1, "ours");
}

#[test]
fn the_rows_of_a_killed_watcher_go_with_the_next_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = at(&directory);
    let database = || rusqlite::Connection::open(&path).unwrap();
    let rows = || database().query_row("SELECT count(*) FROM claims", [], |row| row.get::<_, i64>(0));
    let store = open(text(&path));
    let mut peer = Peer::start("watch", &[text(&path)]);
    peer.expect("watching");
    assert_eq!(rows().unwrap(), 1);
    peer.kill();
    let claim = exclusive("a", TTL);
    granted(block_on(store.claim(&claim)));
    block_on(store.release(&claim)).unwrap();
    let until = env().now() + PATIENCE;
    while rows().unwrap() > 0 {
        assert!(env().now() < until, "an idle lock costs nothing");
        block_on(env().sleep(Duration::from_millis(5)));
    }
}

/// In a mount namespace of its own, on a small file system.
async fn full(directory: &Path) {
    let store = open(text(&directory.join("locks.db")));
    let held = exclusive("held", TTL);
    granted(store.claim(&held).await);
    let filler = directory.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    let mut refused = None;
    for index in 0..2000 {
        let claim = Claim { note: Some("x".repeat(2000).into()), ..exclusive(&format!("{index}"), TTL) };
        match store.claim(&claim).await {
            Ok(standing) => assert!(matches!(standing, Standing::Granted(_))),
            Err(error) => {
                refused = Some((claim, error));
                break;
            }
        }
    }
    let (claim, error) = refused.expect("the disk is full");
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Exhausted, Outcome::NotApplied), "{error:?}");
    assert!(error.hint_text().unwrap().contains("free space"));
    assert_eq!(store.inspect(&held.name).await.unwrap().holders.len(), 1);
    assert!(store.inspect(&claim.name).await.unwrap().holders.is_empty());
    // The control: what a naive client writes to renew its lock has no room.
    assert!(fs::write(directory.join("naive"), [0; 4096]).is_err());
    for _ in 0..100 {
        let renewal = store.renew(std::slice::from_ref(&held)).await.remove(0).unwrap();
        assert!(matches!(renewal, Renewal::Renewed { .. }), "a log that was moved has room for a renewal");
    }
    assert!(matches!(store.claim(&held).await.unwrap(), Standing::Granted(_)));
    assert_eq!(store.release(&held).await.unwrap(), Release::Released);
    granted(store.claim(&held).await);
    drop(file);
    fs::remove_file(&filler).unwrap();
    granted(store.claim(&claim).await);
    store.close().await.unwrap();
    say("usable");
}

#[test]
fn a_full_disk_refuses_and_the_lock_is_usable_when_there_is_room_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c"]);
    command.arg("mount -t tmpfs -o size=400k tmpfs \"$1\" && shift && exec \"$@\"").arg("sh");
    command.arg(directory.path()).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "role", "--nocapture", "--test-threads=1"]);
    let peer = Peer::start_as(command, "full", &[text(directory.path())]);
    peer.expect("usable");
    peer.ends();
}

/// How many POSIX locks this process has on a file. Each descriptor of a file shows them all; the list of the whole machine in
/// `/proc/locks` leaves some out while other processes lock and unlock.
fn posix_locks(path: &str) -> usize {
    let file = format!(":{}", fs::metadata(path).unwrap().ino());
    let descriptors = fs::read_dir("/proc/self/fdinfo").unwrap();
    let counts = descriptors.map(|descriptor| {
        // The descriptor of this very directory is closed when it is read.
        let text = fs::read_to_string(descriptor.unwrap().path()).unwrap_or_default();
        let locks = text.lines().filter(|line| line.starts_with("lock:") && line.contains(" POSIX "));
        locks.filter(|line| line.split_whitespace().any(|word| word.ends_with(&file))).count()
    });
    counts.max().unwrap_or_default()
}

/// In a process of its own, because locks are counted by process.
fn twice(path: &str) {
    let first = open(path);
    let held = posix_locks(path);
    assert!(held > 0);
    drop(open(path));
    assert_eq!(posix_locks(path), held, "SQLite has lost its locks to a closed descriptor");
    drop(fs::File::open(path).unwrap());
    assert_eq!(posix_locks(path), 0, "the negative control shows nothing");
    drop(first);
    say("kept");
}

#[test]
fn opening_a_database_twice_does_not_drop_the_locks_of_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let peer = Peer::start("twice", &[text(&at(&directory))]);
    peer.expect("kept");
    peer.ends();
}

/// Its process may live: only its time to live ends what it holds. A link stands for the file of another user: it is not
/// followed, and root could read the file.
#[test]
fn a_session_file_that_cannot_be_opened_is_not_taken_for_dead() {
    let directory = tempfile::tempdir().unwrap();
    let path = at(&directory);
    let [holder, other] = [(); 2].map(|()| open(path.to_str().unwrap()));
    block_on(async {
        let mine = exclusive("a", TTL);
        granted(holder.claim(&mine).await);
        let sessions = directory.path().join("locks.db-sessions");
        let session = fs::read_dir(&sessions).unwrap().next().unwrap().unwrap().path();
        let aside = directory.path().join("aside");
        fs::rename(&session, &aside).unwrap();
        std::os::unix::fs::symlink(&aside, &session).unwrap();
        let standing = other.claim(&exclusive("a", TTL)).await.unwrap();
        assert!(matches!(standing, Standing::Held(_)), "{standing:?}");
        assert!(matches!(holder.renew(&[mine]).await[..], [Ok(Renewal::Renewed { .. })]));
    });
}

/// A short run makes three commits, too few for a checkpoint, and the first process that opens the database reads the
/// whole log. Without a checkpoint at the opening, a thousand
/// runs leave three MiB.
#[test]
fn the_log_that_many_short_runs_leave_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("locks.db");
    let mut written = 0;
    for _ in 0..1000 {
        let store = SqliteStore::open(&path, env()).unwrap();
        block_on(async {
            let claim = exclusive("a", TTL);
            granted(store.claim(&claim).await);
            store.release(&claim).await.unwrap();
            store.close().await.unwrap();
        });
        written = fs::metadata(path.with_extension("db-wal")).unwrap().len().max(written);
    }
    assert!(written > 64 << 10 && written < (128 << 10) + (16 << 10), "{written}");
}

/// The state after `kill -9` in a checkpoint: the header counts pages that are still in the log alone. A client that opens the
/// database while another checkpoints meets it too.
#[test]
fn a_checkpoint_that_was_killed_halfway_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let path = at(&directory);
    let holds: Vec<_> = (0..12).map(|at| detached(&format!("{at}{}", "x".repeat(400)), TTL)).collect();
    let store = open(text(&path));
    block_on(async {
        for claim in &holds {
            granted(store.claim(claim).await);
        }
        store.close().await.unwrap();
    });
    let log = directory.path().join("locks.db-wal");
    let (before, frames) = (fs::read(&path).unwrap(), fs::read(&log).unwrap());
    let database = rusqlite::Connection::open(&path).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(database);
    let header = fs::read(&path).unwrap()[..1024].to_vec();
    let pages = u32::from_be_bytes(header[28..32].try_into().unwrap()) as usize;
    assert!(before.len() < pages * 1024, "the control: by its size the file is truncated");
    fs::write(&path, [&header, &before[1024..]].concat()).unwrap();
    fs::write(&log, frames).unwrap();
    let store = open(text(&path));
    block_on(async {
        let renewals = store.renew(&holds).await;
        let all = renewals.iter().all(|renewal| matches!(renewal, Ok(Renewal::Renewed { .. })));
        assert!(all, "{renewals:?}");
    });
    drop(store);
    // The other control: without the log the pages are lost, and that is said.
    fs::remove_file(&log).unwrap();
    fs::write(&path, [&header, &before[1024..]].concat()).unwrap();
    assert_eq!(SqliteStore::open(&path, env()).unwrap_err().kind(), ErrorKind::Corrupt);
}
