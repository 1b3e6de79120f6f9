//! What there is to choose from.

use leasehold_core::{Capability, ErrorKind, Result};

use crate::StoreUrl;

/// A URL of each kind of store; hosts stand for any others.
const KINDS: &[&str] = &[
    "memory:",
    "sqlite:locks.db",
    "redis://host",
    "redis://host?dialect=plain",
    "redis+sentinel://h1,h2,h3/master",
    "redis+cluster://h1,h2,h3",
    "redlock://h1,h2,h3",
    "memcached://host",
    "zookeeper://h1,h2,h3",
    "zookeeper://h1,h2,h3?dialect=kazoo",
    "etcd://h1,h2,h3",
];

/// Every kind of store that is built in, by an example of its URL, and what it can do. No I/O.
///
/// ```
/// for (url, capability) in leasehold::stores().unwrap() {
///     println!("{url}: fair queue {}, lock-delay {}", capability.fifo, capability.lock_delay);
/// }
/// ```
///
/// # Errors
/// None that can be met: the URLs are good ones.
pub fn stores() -> Result<Vec<(&'static str, Capability)>> {
    let mut found = Vec::new();
    for text in KINDS {
        match StoreUrl::parse(text)?.capability() {
            Ok(capability) => found.push((*text, capability)),
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
