//! [`BACKEND`]: the store by its URL.

use std::sync::Arc;

use leasehold_core::{
    BoxFuture, Capability, Env, Error, ErrorKind, Finding, Result, Store,
    backend::{Backend, QuorumMembership},
    url::{
        Address, Form, Hosts, Key, ParsedUrl, Scheme, Value,
        percent::{decode, encode_path},
    },
};

use crate::{ZooKeeperDialect, ZooKeeperOptions, ZooKeeperStore};

/// `zookeeper://h1,h2[/chroot]`.
pub static BACKEND: ZooKeeperBackend = ZooKeeperBackend;

/// ZooKeeper ensembles.
#[derive(Debug)]
pub struct ZooKeeperBackend;

static SCHEMES: [Scheme; 1] = [Scheme {
    aliases: &["zk"],
    port: 2181,
    keys: &[Key { name: "dialect", value: Value::Word }],
    ..Scheme::new("zookeeper", Form::Hosts { hosts: Hosts::Many, login: true, path: true })
}];

impl Backend for ZooKeeperBackend {
    fn schemes(&self) -> &'static [Scheme] {
        &SCHEMES
    }

    fn examples(&self) -> &'static [&'static str] {
        &["zookeeper://h1,h2,h3", "zookeeper://h1,h2,h3?dialect=kazoo"]
    }

    fn check(&self, url: &mut ParsedUrl) -> Result<()> {
        let chroot = decode(url.path.trim_end_matches('/'), "the chroot")?;
        let bad = |part: &str| matches!(part, "" | "." | "..");
        if chroot.split('/').skip(1).any(bad) || chroot.chars().any(char::is_control) {
            let message = "the chroot has an empty, relative or unprintable part";
            return Err(
                Error::new(ErrorKind::Invalid, message).hint("for example zookeeper://h1,h2/apps/locks")
            );
        }
        url.path = encode_path(chroot.as_bytes()).to_string();
        Ok(())
    }

    fn capability(&self, url: &ParsedUrl) -> Result<Capability> {
        options(url).map(|options| options.capability())
    }

    fn open<'a>(&'a self, url: &'a ParsedUrl, env: &'a Env) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async move {
            Ok(Arc::new(ZooKeeperStore::open(options(url)?, env.clone()).await?) as Arc<dyn Store>)
        })
    }

    fn open_member<'a>(
        &'a self,
        url: &'a ParsedUrl,
        _: QuorumMembership,
        env: &'a Env,
    ) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(
            async move { Ok(Arc::new(ZooKeeperStore::new(options(url)?, env.clone())?) as Arc<dyn Store>) },
        )
    }

    fn diagnose<'a>(&'a self, url: &'a ParsedUrl, env: &'a Env) -> BoxFuture<'a, Result<Vec<Finding>>> {
        Box::pin(async move {
            let store = ZooKeeperStore::open(options(url)?, env.clone()).await?;
            let findings = store.diagnose().await;
            // It holds nothing; its session ends.
            let _ = store.close().await;
            findings
        })
    }
}

/// The options that a URL sets. The session lasts as long as the locks of the URL: a lock lasts no longer than its
/// client's session.
fn options(url: &ParsedUrl) -> Result<ZooKeeperOptions> {
    let mut options = ZooKeeperOptions::new(url.addresses.iter().map(Address::to_string).collect());
    options.chroot = url.text()?;
    options.user.clone_from(&url.credentials.user);
    options.password = url.credentials.password.reveal().to_string();
    options.dialect = match url.options.dialect() {
        None | Some("native" | "curator") => ZooKeeperDialect::Curator,
        Some("kazoo") => ZooKeeperDialect::Kazoo,
        Some(other) => {
            let hint = "there are `curator`, which is ours, and `kazoo`";
            return Err(ParsedUrl::unsupported_dialect(other, hint));
        }
    };
    options.session = url.options.ttl().unwrap_or(options.session);
    options.timeout = url.options.timeout().unwrap_or(options.timeout);
    options.url = url.to_string();
    Ok(options)
}
