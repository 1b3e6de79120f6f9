//! [`BACKEND`]: the store by its URL.

use std::sync::Arc;

use leasehold_core::{
    BoxFuture, Capability, Env, Error, ErrorKind, Finding, Result, Store,
    backend::Backend,
    url::{Form, Hosts, Key, ParsedUrl, Scheme, Value},
};

use crate::{MemcachedOptions, MemcachedStore};

/// `memcached://host`.
pub static BACKEND: MemcachedBackend = MemcachedBackend;

/// Memcached servers.
#[derive(Debug)]
pub struct MemcachedBackend;

static SCHEMES: [Scheme; 1] = [Scheme {
    port: 11211,
    keys: &[Key { name: "dialect", value: Value::Word }, Key { name: "strict", value: Value::Flag }],
    ..Scheme::new("memcached", Form::Hosts { hosts: Hosts::One, login: false, path: false })
}];

impl Backend for MemcachedBackend {
    fn schemes(&self) -> &'static [Scheme] {
        &SCHEMES
    }

    fn examples(&self) -> &'static [&'static str] {
        &["memcached://host"]
    }

    fn capability(&self, url: &ParsedUrl) -> Result<Capability> {
        options(url).map(|options| options.capability())
    }

    fn open<'a>(&'a self, url: &'a ParsedUrl, env: &'a Env) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async move {
            Ok(Arc::new(MemcachedStore::open(options(url)?, env.clone()).await?) as Arc<dyn Store>)
        })
    }

    fn diagnose<'a>(&'a self, url: &'a ParsedUrl, env: &'a Env) -> BoxFuture<'a, Result<Vec<Finding>>> {
        Box::pin(async move {
            let store = MemcachedStore::new(options(url)?, env.clone())?;
            let findings = store.diagnose().await;
            // It holds nothing.
            let _ = store.close().await;
            findings
        })
    }
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
