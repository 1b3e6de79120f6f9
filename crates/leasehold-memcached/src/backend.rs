//! [`BACKEND`]: the store by its URL.

use std::sync::Arc;

use leasehold_core::{
    Env, Error, ErrorKind, Finding, Result, Store,
    backend::Backend,
    url::{Form, Hosts, Key, ParsedUrl, Scheme, Value},
};

use crate::{MemcachedOptions, MemcachedStore};

/// `memcached://host`.
pub static BACKEND: Backend = Backend {
    schemes: &[Scheme {
        port: 11211,
        keys: &[Key { name: "dialect", value: Value::Word }, Key { name: "strict", value: Value::Flag }],
        ..Scheme::new("memcached", Form::Hosts { hosts: Hosts::One, login: false, path: false })
    }],
    examples: &["memcached://host"],
    check: None,
    capability: |url| options(url).map(|options| options.capability()),
    open: |url, _, env| Box::pin(open(url, env)),
    diagnose: |url, env| Box::pin(diagnose(url, env)),
    promote: None,
};

async fn open(url: &ParsedUrl, env: &Env) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(MemcachedStore::open(options(url)?, env.clone()).await?))
}

async fn diagnose(url: &ParsedUrl, env: &Env) -> Result<Vec<Finding>> {
    let store = MemcachedStore::new(options(url)?, env.clone())?;
    let findings = store.diagnose().await;
    // It holds nothing.
    let _ = store.close().await;
    findings
}

/// The options that a URL sets.
fn options(url: &ParsedUrl) -> Result<MemcachedOptions> {
    if let Some(dialect) = url.options.dialect().filter(|dialect| *dialect != "native") {
        let hint = "there is `native`, which excludes clients that lock with `add`";
        return Err(ParsedUrl::unsupported_dialect(dialect, hint));
    }
    let Some(address) = url.addresses.first() else {
        return Err(Error::new(ErrorKind::Invalid, format!("`{url}` names no host")));
    };
    let mut options = MemcachedOptions::new(address.host.clone(), address.port);
    options.timeout = url.options.timeout().unwrap_or(options.timeout);
    options.strict = url.options.flag("strict");
    options.url = url.to_string();
    Ok(options)
}
