//! Uncontended lock and unlock in one process: `cargo bench -p leasehold-benches --bench pairs`.
//!
//! Peers in the same run: a file lock of the kernel, and the two bare SQLite transactions that a lock and an unlock
//! cannot do without.

use std::{fs::File, path::Path};

use divan::{Bencher, counter::ItemsCount};
use leasehold::{Client, Mutex};
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime of one thread starts")
}

fn mutex(runtime: &Runtime, url: &str) -> Mutex {
    let client = runtime.block_on(Client::connect(url)).expect("the store opens");
    client.mutex("pair").expect("the name is valid")
}

async fn pair(mutex: &Mutex) {
    let guard = mutex.lock().await.expect("the store answers");
    guard.release().await.expect("the store answers");
}

fn pairs_on(bencher: Bencher<'_, '_>, url: &str) {
    let runtime = runtime();
    let mutex = mutex(&runtime, url);
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| runtime.block_on(pair(&mutex)));
}

#[divan::bench(sample_count = 200, sample_size = 500)]
fn leasehold_memory(bencher: Bencher<'_, '_>) {
    pairs_on(bencher, "memory:pairs");
}

#[divan::bench(sample_count = 200, sample_size = 100)]
fn leasehold_sqlite(bencher: Bencher<'_, '_>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    pairs_on(bencher, &format!("sqlite:{}", directory.path().join("locks.db").display()));
}

#[divan::bench(sample_count = 200, sample_size = 100)]
fn limit_two_bare_sqlite_transactions(bencher: Bencher<'_, '_>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let connection = bare(&directory.path().join("bare.db"));
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        write(&connection, "INSERT INTO holds(name, owner, expires) VALUES ('pair', randomblob(16), 1)");
        write(&connection, "DELETE FROM holds WHERE name = 'pair'");
    });
}

#[divan::bench(sample_count = 200, sample_size = 1000)]
fn peer_flock_of_an_open_file(bencher: Bencher<'_, '_>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = File::create(directory.path().join("lock")).expect("the directory is writable");
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        file.lock().expect("nobody else locks it");
        file.unlock().expect("it is locked");
    });
}

fn bare(path: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(path).expect("the directory is writable");
    let setup = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;
                 CREATE TABLE holds(name TEXT PRIMARY KEY, owner BLOB, expires INTEGER) WITHOUT ROWID;";
    connection.execute_batch(setup).expect("the statements are valid");
    connection
}

fn write(connection: &rusqlite::Connection, statement: &str) {
    let run = |sql: &str| {
        connection.prepare_cached(sql).and_then(|mut it| it.execute([])).expect("a valid statement")
    };
    run("BEGIN IMMEDIATE");
    run(statement);
    run("COMMIT");
}
