//! Uncontended lock and unlock in one process. `cargo bench -p leasehold-sqlite` prints pairs a second.

use std::time::Duration;

use leasehold_core::{Claim, ClaimId, Env, LockName, Standing, Store};
use leasehold_sqlite::SqliteStore;

fn main() {
    divan::main();
}

#[divan::bench(counters = [divan::counter::ItemsCount::new(1u32)], min_time = 2)]
fn pair(bencher: divan::Bencher<'_, '_>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let env = Env::system().expect("the machine");
    let store = SqliteStore::open(directory.path().join("locks.db"), env.clone()).expect("a new database");
    let name = LockName::new("bench").expect("a name");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    bencher.bench_local(|| {
        runtime.block_on(async {
            let claim = Claim::new(name.clone(), ClaimId::mint(&env), Duration::from_secs(30));
            let standing = store.claim(&claim).await.expect("a claim");
            assert!(matches!(standing, Standing::Granted(_)));
            store.release(&claim).await.expect("a release");
        });
    });
    runtime.block_on(store.close()).expect("a close");
}
