//! [`BACKEND`]: the store by its URL.

use std::sync::Arc;

use leasehold_core::{
    Env, Error, ErrorKind, Finding, Result, Store,
    backend::Backend,
    store_kit::Access,
    url::{
        Form, Hosts, Key, ParsedUrl, Scheme, Value,
        percent::{decode, encode_path},
    },
};

use crate::{ZooKeeperDialect, ZooKeeperOptions, ZooKeeperStore};

const FORM: Form = Form::Hosts { hosts: Hosts::Many, login: true, path: true };
const KEYS: &[Key] = &[Key { name: "dialect", value: Value::Word }];

/// `zookeeper://h1,h2[/chroot]`, and `zookeepers://` over TLS.
pub static BACKEND: Backend = Backend {
    schemes: &[
        Scheme { aliases: &["zk"], port: 2181, keys: KEYS, ..Scheme::new("zookeeper", FORM) },
        Scheme { aliases: &["zks"], port: 2281, tls: true, keys: KEYS, ..Scheme::new("zookeepers", FORM) },
    ],
    examples: &["zookeeper://h1,h2,h3", "zookeeper://h1,h2,h3?dialect=kazoo"],
    check: Some(check),
    capability: |url| options(url).map(|options| options.capability()),
    open: |url, member, env| Box::pin(open(url, member.is_some(), env)),
    diagnose: |url, env| Box::pin(diagnose(url, env)),
    promote: None,
};

fn check(url: &mut ParsedUrl) -> Result<()> {
    let chroot = decode(url.path.trim_end_matches('/'), "the chroot")?;
    let bad = |part: &str| matches!(part, "" | "." | "..");
    if chroot.split('/').skip(1).any(bad) || chroot.chars().any(char::is_control) {
        let message = "the chroot has an empty, relative or unprintable part";
        return Err(Error::new(ErrorKind::Invalid, message).hint("for example zookeeper://h1,h2/apps/locks"));
    }
    url.path = encode_path(chroot.as_bytes()).to_string();
    Ok(())
}

async fn open(url: &ParsedUrl, is_member: bool, env: &Env) -> Result<Arc<dyn Store>> {
    Ok(match is_member {
        true => Arc::new(ZooKeeperStore::new(options(url)?, env.clone())?),
        false => Arc::new(ZooKeeperStore::open(options(url)?, env.clone()).await?),
    })
}

async fn diagnose(url: &ParsedUrl, env: &Env) -> Result<Vec<Finding>> {
    let store = ZooKeeperStore::open(options(url)?, env.clone()).await?;
    let findings = store.diagnose().await;
    // It holds nothing; its session ends.
    let _ = store.close().await;
    findings
}

/// The options that a URL sets. The session lasts as long as the locks of the URL: a lock lasts no longer than its
/// client's session.
fn options(url: &ParsedUrl) -> Result<ZooKeeperOptions> {
    let mut options = ZooKeeperOptions::new(url.addresses.clone());
    options.chroot = url.text()?;
    options.access = Access::of(url);
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
