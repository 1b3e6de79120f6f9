//! A store of one file, for several processes: the sample of the store author's guide, and the backend on which the
//! cases of the `process` promise are tried.

#[path = "file/codec.rs"]
mod codec;
#[path = "file/store.rs"]
mod store;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use leasehold_conformance::{Fixture, process};
use leasehold_core::{Env, Store};
use store::FileStore;

fn main() -> ExitCode {
    let env = Env::system().expect("this machine can start a thread");
    let open =
        |env: Env, path: PathBuf| async move { Ok(Arc::new(FileStore::open(env, &path)?) as Arc<dyn Store>) };
    if let Ok(path) = std::env::var(process::TAKER) {
        return process::taker(&env, open(env.clone(), path.into()));
    }
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let path = directory.path().join("locks");
    let address = path.display().to_string();
    let connect_env = env.clone();
    let fixture = Fixture::new(env, move || open(connect_env.clone(), path.clone()))
        .taker(move || process::this_program(&address));
    leasehold_conformance::main(vec![("file", fixture)])
}
