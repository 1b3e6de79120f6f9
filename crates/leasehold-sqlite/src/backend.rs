//! [`BACKEND`]: the store by its URL.

use std::sync::Arc;

use leasehold_core::{
    Env, Error, ErrorKind, Result, Store,
    backend::{Backend, LazyStore, Opening},
    url::{Form, ParsedUrl, Scheme},
};

use crate::{doctor::diagnose, options::SqliteOptions, platform::Thread, store::SqliteStore};

/// `sqlite:PATH`.
pub static BACKEND: Backend = Backend {
    schemes: &[Scheme { aliases: &["file"], ..Scheme::new("sqlite", Form::File) }],
    examples: &["sqlite:locks.db"],
    check: Some(check),
    capability: |_| Ok(SqliteStore::CAPABILITY),
    open: |url, member, env| match member {
        Some(_) => Box::pin(open_member(url, env)),
        None => open(url.clone(), env.clone()),
    },
    diagnose: |url, _| Box::pin(async { Ok(vec![diagnose(&url.file()?)]) }),
    promote: None,
};

fn check(url: &mut ParsedUrl) -> Result<()> {
    if url.file()?.as_os_str() == ":memory:" {
        let message = "`sqlite::memory:` would be seen by this process alone";
        return Err(Error::new(ErrorKind::Invalid, message).hint("use `memory:`"));
    }
    Ok(())
}

/// A file whose disk is not there yet is opened later.
async fn open_member(url: &ParsedUrl, env: &Env) -> Result<Arc<dyn Store>> {
    match open(url.clone(), env.clone()).await {
        Err(error) if error.is_transient() => {
            let (place, env) = (url.clone(), env.clone());
            let later = move || open(place.clone(), env.clone());
            Ok(Arc::new(LazyStore::new(url.to_string(), SqliteStore::CAPABILITY, later)))
        }
        opened => opened,
    }
}

/// Opens the file on a thread of its own: it may wait for other writers, and the caller's thread has other tasks.
fn open(url: ParsedUrl, env: Env) -> Opening<'static> {
    Box::pin(async move {
        let mut options = SqliteOptions::default();
        options.timeout = url.options.timeout().unwrap_or(options.timeout);
        let path = url.file()?;
        let (answer, opened) = tokio::sync::oneshot::channel();
        let open = move || {
            // Without a receiver, the store is closed by its drop.
            let _ = answer.send(SqliteStore::open_with(path, env, options));
        };
        Thread::spawn("leasehold-open", open)?;
        let gone = |_| Error::new(ErrorKind::Closed, "the thread that opens the store has ended");
        Ok(Arc::new(opened.await.map_err(gone)??) as Arc<dyn Store>)
    })
}
