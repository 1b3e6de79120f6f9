//! What the tests share: a store on a server of the kit.
#![allow(dead_code, reason = "each test program uses a part of it")]

use leasehold_core::{Env, Error, ErrorKind, Result};
use leasehold_memcached::{MemcachedOptions, MemcachedStore};

pub(crate) fn env() -> Env {
    Env::system().expect("this machine can start a thread")
}

/// Options of one word each: `PORT`, `text`, `strict`.
pub(crate) fn options(words: &str) -> Result<MemcachedOptions> {
    let mut options = MemcachedOptions::new("127.0.0.1", 1);
    for word in words.split(' ') {
        match word {
            "text" => options.text_only = true,
            "strict" => options.strict = true,
            port => {
                let port = port.parse().map_err(|_| Error::new(ErrorKind::Invalid, format!("`{word}`")))?;
                options = MemcachedOptions::new("127.0.0.1", port);
            }
        }
    }
    Ok(options)
}

pub(crate) async fn open(env: Env, words: String) -> Result<MemcachedStore> {
    MemcachedStore::open(options(&words)?, env).await
}
