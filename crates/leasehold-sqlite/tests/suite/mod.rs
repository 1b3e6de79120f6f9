//! The conformance suite on one database file, with several processes.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use leasehold_conformance::{Fixture, process};
use leasehold_core::{Env, Result, Store};
use leasehold_sqlite::SqliteStore;

async fn open(env: Env, path: PathBuf) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore::open(path, env)?))
}

/// Runs the suite on a file and on these, or what this process was started for by it.
pub(crate) fn run(label: &'static str, others: Vec<(&'static str, Fixture)>) -> ExitCode {
    let env = Env::system().expect("this machine can start a thread");
    if let Ok(path) = std::env::var(process::TAKER) {
        return process::taker(&env, open(env.clone(), path.into()));
    }
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let path = directory.path().join("locks.db");
    let address = path.display().to_string();
    let connect_env = env.clone();
    let fixture = Fixture::new(env, move || open(connect_env.clone(), path.clone()))
        .taker(move || process::this_program(&address));
    leasehold_conformance::main(others.into_iter().chain([(label, fixture)]).collect())
}
