//! [`BACKEND`]: the store by its URL.

use std::sync::Arc;

use leasehold_core::{
    BoxFuture, Capability, Env, Error, ErrorKind, Finding, Result, Store,
    backend::{Backend, LazyStore, QuorumMembership, nothing_to_check},
    url::{Form, ParsedUrl, Scheme},
};

use crate::{SqliteOptions, SqliteStore, watcher::Thread};

/// `sqlite:PATH`.
pub static BACKEND: SqliteBackend = SqliteBackend;

/// SQLite files.
#[derive(Debug)]
pub struct SqliteBackend;

static SCHEMES: [Scheme; 1] = [Scheme { aliases: &["file"], ..Scheme::new("sqlite", Form::File) }];

impl Backend for SqliteBackend {
    fn schemes(&self) -> &'static [Scheme] {
        &SCHEMES
    }

    fn examples(&self) -> &'static [&'static str] {
        &["sqlite:locks.db"]
    }

    fn check(&self, url: &mut ParsedUrl) -> Result<()> {
        if url.file()?.as_os_str() == ":memory:" {
            let message = "`sqlite::memory:` would be seen by this process alone";
            return Err(Error::new(ErrorKind::Invalid, message).hint("use `memory:`"));
        }
        Ok(())
    }

    fn capability(&self, _: &ParsedUrl) -> Result<Capability> {
        Ok(SqliteOptions::default().capability())
    }

    fn open<'a>(&'a self, url: &'a ParsedUrl, env: &'a Env) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        open(url.clone(), env.clone())
    }

    /// A file whose disk is not there yet is opened later.
    fn open_member<'a>(
        &'a self,
        url: &'a ParsedUrl,
        _: QuorumMembership,
        env: &'a Env,
    ) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async move {
            match self.open(url, env).await {
                Err(error) if error.is_transient() => {
                    let (place, env) = (url.clone(), env.clone());
                    let later = move || open(place.clone(), env.clone());
                    Ok(Arc::new(LazyStore::new(url.to_string(), SqliteStore::CAPABILITY, later)) as _)
                }
                opened => opened,
            }
        })
    }

    fn diagnose<'a>(&'a self, url: &'a ParsedUrl, _: &'a Env) -> BoxFuture<'a, Result<Vec<Finding>>> {
        let why = "a file that is not safe for locks is refused when it is opened";
        Box::pin(async move { Ok(nothing_to_check(url, why)) })
    }
}

/// Opens the file on a thread of its own: it may wait for other writers, and the caller's thread has other tasks.
fn open(url: ParsedUrl, env: Env) -> BoxFuture<'static, Result<Arc<dyn Store>>> {
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
