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

fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.map(|task| fs::read_to_string(task.path().join("comm")).unwrap_or_default());
    names.filter(|name| name.starts_with("leasehold-sql") || name.starts_with("leasehold-ino")).collect()
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
