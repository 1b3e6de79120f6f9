//! What the tests share: a store on a server of the kit.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::Duration;

use leasehold_core::{Env, Error, ErrorKind, Result, url::Address};
use leasehold_zookeeper::{ZooKeeperDialect, ZooKeeperOptions, ZooKeeperStore};

pub(crate) fn env() -> Env {
    Env::system().expect("this machine can start a thread")
}

/// Options of one word each: `servers=HOST:PORT,…`, `chroot=PATH`, `session=MILLISECONDS`, `login=USER:PASSWORD`, `kazoo`,
/// `ca=PATH` for TLS, with `cert=PATH` and `key=PATH`.
pub(crate) fn options(words: &str) -> Result<ZooKeeperOptions> {
    let mut options = ZooKeeperOptions::new(Vec::new());
    // Longer than any case lasts: what is freed earlier is not freed by the end of a session.
    options.session = Duration::from_secs(60);
    options.timeout = Duration::from_secs(20);
    for word in words.split(' ') {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let invalid = || Error::new(ErrorKind::Invalid, format!("`{word}`"));
        let span = || value.parse().map(Duration::from_millis).map_err(|_| invalid());
        match key {
            "servers" => {
                let address = |server: &str| {
                    let (host, port) = server.rsplit_once(':')?;
                    Some(Address::new(host, port.parse().ok()?))
                };
                options.servers = value.split(',').map(address).collect::<Option<_>>().ok_or_else(invalid)?;
            }
            "chroot" => options.chroot = value.into(),
            "session" => options.session = span()?,
            "timeout" => options.timeout = span()?,
            "login" => {
                let (user, password) = value.split_once(':').ok_or_else(invalid)?;
                (options.access.user, options.access.password) = (user.into(), password.into());
            }
            "ca" => (options.access.tls, options.access.ca) = (true, Some(value.into())),
            "cert" => options.access.cert = Some(value.into()),
            "key" => options.access.key = Some(value.into()),
            "kazoo" => options.dialect = ZooKeeperDialect::Kazoo,
            _ => return Err(invalid()),
        }
    }
    Ok(options)
}

pub(crate) async fn open(env: Env, words: String) -> Result<ZooKeeperStore> {
    ZooKeeperStore::open(options(&words)?, env).await
}
