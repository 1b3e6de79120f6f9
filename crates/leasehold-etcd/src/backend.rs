//! [`BACKEND`]: the store by its URL.

use std::sync::Arc;

use leasehold_core::{
    Env, Finding, Result, Store,
    backend::Backend,
    store_kit::Access,
    url::{Form, Hosts, Key, ParsedUrl, Scheme, Value},
};

use crate::{EtcdOptions, EtcdStore};

const FORM: Form = Form::Hosts { hosts: Hosts::Many, login: true, path: false };

/// `etcd://h1,h2`, and `etcds://` over TLS.
pub static BACKEND: Backend = Backend {
    schemes: &[
        Scheme { port: 2379, ..Scheme::new("etcd", FORM) },
        Scheme {
            port: 2379,
            tls: true,
            keys: &[Key { name: "server_name", value: Value::Text }],
            ..Scheme::new("etcds", FORM)
        },
    ],
    examples: &["etcd://h1,h2,h3"],
    check: None,
    capability: |url| Ok(options(url).capability()),
    open: |url, member, env| Box::pin(open(url, member.is_some(), env)),
    diagnose: |url, env| Box::pin(diagnose(url, env)),
    promote: None,
};

async fn open(url: &ParsedUrl, is_member: bool, env: &Env) -> Result<Arc<dyn Store>> {
    Ok(match is_member {
        true => Arc::new(EtcdStore::new(options(url), env.clone())?),
        false => Arc::new(EtcdStore::open(options(url), env.clone()).await?),
    })
}

async fn diagnose(url: &ParsedUrl, env: &Env) -> Result<Vec<Finding>> {
    let store = EtcdStore::new(options(url), env.clone())?;
    let findings = store.diagnose().await;
    // It holds nothing.
    let _ = store.close().await;
    findings
}

/// The options that a URL sets.
fn options(url: &ParsedUrl) -> EtcdOptions {
    let mut options = EtcdOptions::new(url.addresses.clone());
    options.access = Access::of(url);
    options.timeout = url.options.timeout().unwrap_or(options.timeout);
    options.url = url.to_string();
    options
}
