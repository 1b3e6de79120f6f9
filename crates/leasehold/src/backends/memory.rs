//! `memory:`: locks of one process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use leasehold_core::{
    BoxFuture, Capability, Env, Finding, Result, Store,
    backend::{Backend, nothing_to_check},
    memory::Memory,
    url::{Form, ParsedUrl, Scheme},
};

/// `memory:` and `memory:NAME`.
pub(super) static BACKEND: MemoryBackend = MemoryBackend;

#[derive(Debug)]
pub(super) struct MemoryBackend;

static SCHEMES: [Scheme; 1] = [Scheme { aliases: &["mem"], ..Scheme::new("memory", Form::Name) }];

impl Backend for MemoryBackend {
    fn schemes(&self) -> &'static [Scheme] {
        &SCHEMES
    }

    fn examples(&self) -> &'static [&'static str] {
        &["memory:"]
    }

    fn capability(&self, _: &ParsedUrl) -> Result<Capability> {
        Ok(Memory::CAPABILITY)
    }

    fn open<'a>(&'a self, url: &'a ParsedUrl, env: &'a Env) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async move { Ok(Arc::new(shared(url.text()?, env)) as Arc<dyn Store>) })
    }

    fn diagnose<'a>(&'a self, url: &'a ParsedUrl, _: &'a Env) -> BoxFuture<'a, Result<Vec<Finding>>> {
        let why = "its locks end with the process that has them";
        Box::pin(async move { Ok(nothing_to_check(url, why)) })
    }
}

/// All clients of one name in one process are clients of the same locks.
fn shared(name: String, env: &Env) -> Memory {
    static MEMORIES: Mutex<BTreeMap<String, Memory>> = Mutex::new(BTreeMap::new());
    let mut memories = MEMORIES.lock().unwrap_or_else(PoisonError::into_inner);
    memories.entry(name).or_insert_with(|| Memory::new(env.clone())).client()
}
