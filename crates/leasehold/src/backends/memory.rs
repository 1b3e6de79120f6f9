//! `memory:`: locks of one process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use leasehold_core::{
    Env, Store,
    backend::{Backend, nothing_to_check},
    memory::Memory,
    url::{Form, Scheme},
};

/// `memory:` and `memory:NAME`.
pub(super) static BACKEND: Backend = Backend {
    schemes: &[Scheme { aliases: &["mem"], ..Scheme::new("memory", Form::Name) }],
    examples: &["memory:"],
    check: None,
    capability: |_| Ok(Memory::CAPABILITY),
    open: |url, _, env| Box::pin(async move { Ok(Arc::new(shared(url.text()?, env)) as Arc<dyn Store>) }),
    diagnose: |url, _| {
        let why = "its locks end with the process that has them";
        Box::pin(async move { Ok(nothing_to_check(url, why)) })
    },
    promote: None,
};

/// All clients of one name in one process are clients of the same locks.
fn shared(name: String, env: &Env) -> Memory {
    static MEMORIES: Mutex<BTreeMap<String, Memory>> = Mutex::new(BTreeMap::new());
    let mut memories = MEMORIES.lock().unwrap_or_else(PoisonError::into_inner);
    memories.entry(name).or_insert_with(|| Memory::new(env.clone())).client()
}
