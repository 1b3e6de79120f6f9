//! [`BACKEND`]: the store by its URL.

use std::sync::Arc;

use leasehold_core::{
    BoxFuture, Capability, Env, Finding, Result, Store,
    backend::{Backend, QuorumMembership},
    url::{Form, Hosts, Key, ParsedUrl, Scheme, Value},
};

use crate::{EtcdEndpoint, EtcdOptions, EtcdStore};

/// `etcd://h1,h2`, and `etcds://` over TLS.
pub static BACKEND: EtcdBackend = EtcdBackend;

/// etcd clusters.
#[derive(Debug)]
pub struct EtcdBackend;

const FORM: Form = Form::Hosts { hosts: Hosts::Many, login: true, path: false };

static SCHEMES: [Scheme; 2] = [
    Scheme { port: 2379, ..Scheme::new("etcd", FORM) },
    Scheme {
        port: 2379,
        tls: true,
        keys: &[Key { name: "ca", value: Value::Path }],
        ..Scheme::new("etcds", FORM)
    },
];

impl Backend for EtcdBackend {
    fn schemes(&self) -> &'static [Scheme] {
        &SCHEMES
    }

    fn examples(&self) -> &'static [&'static str] {
        &["etcd://h1,h2,h3"]
    }

    fn capability(&self, url: &ParsedUrl) -> Result<Capability> {
        Ok(options(url).capability())
    }

    fn open<'a>(&'a self, url: &'a ParsedUrl, env: &'a Env) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(
            async move { Ok(Arc::new(EtcdStore::open(options(url), env.clone()).await?) as Arc<dyn Store>) },
        )
    }

    fn open_member<'a>(
        &'a self,
        url: &'a ParsedUrl,
        _: QuorumMembership,
        env: &'a Env,
    ) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async move { Ok(Arc::new(EtcdStore::new(options(url), env.clone())?) as Arc<dyn Store>) })
    }

    fn diagnose<'a>(&'a self, url: &'a ParsedUrl, env: &'a Env) -> BoxFuture<'a, Result<Vec<Finding>>> {
        Box::pin(async move {
            let store = EtcdStore::new(options(url), env.clone())?;
            let findings = store.diagnose().await;
            // It holds nothing.
            let _ = store.close().await;
            findings
        })
    }
}

/// The options that a URL sets.
fn options(url: &ParsedUrl) -> EtcdOptions {
    let endpoints = url.addresses.iter().map(|address| EtcdEndpoint::new(address.host.clone(), address.port));
    let mut options = EtcdOptions::new(endpoints.collect());
    options.user.clone_from(&url.credentials.user);
    options.password = url.credentials.password.reveal().to_string();
    options.tls = url.scheme.tls;
    options.ca = url.options.get("ca").map(Into::into);
    options.timeout = url.options.timeout().unwrap_or(options.timeout);
    options.url = url.to_string();
    options
}
