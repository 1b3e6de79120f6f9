//! The operation `list`: reads the keys of the server, then the items that may be locks.
//!
//! The keys come from the server's crawler (`lru_crawler metadump`), on a connection of its own because it may take long.

use std::{collections::BTreeSet, time::Duration};

use leasehold_core::{Error, ErrorKind, LockName, Result, Snapshot, store_kit::in_time};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{
    client::Client,
    format,
    keys::{LockKeys, Owner, unescape},
    lock_record::Stored,
    transport::protocol::{Broken, CommandBatch, Reply, read_line},
};

/// The number of items that are read with one batch.
const BATCH_MAX: usize = 64;
/// The time limit of the list of keys, including the end of another crawl.
const CRAWL_MAX: Duration = Duration::from_secs(60);
/// The pause between two attempts while another crawl runs.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// The largest number of keys.
const KEYS_MAX: usize = 1_000_000;

impl Client {
    /// Lists the documents of this library only: a plain key may be anything, such as a cached page.
    pub(crate) async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        let wanted = |key: &str| match LockKeys::owner(key) {
            Owner::Lock(name) => name.as_str().starts_with(prefix),
            Owner::Hashed => true,
            Owner::Other => false,
        };
        let keys = in_time(&self.env, CRAWL_MAX, "list of keys", self.keys(wanted)).await??;
        let mut names = BTreeSet::new();
        for chunk in keys.chunks(BATCH_MAX) {
            self.add_names(chunk, prefix, &mut names).await?;
        }
        let names: Vec<LockName> = names.into_iter().collect();
        let mut found = Vec::new();
        for chunk in names.chunks(BATCH_MAX) {
            if found.len() >= limit {
                break;
            }
            self.add_snapshots(chunk, &mut found).await?;
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Adds the names of the keys' locks that have the prefix. The name behind a hashed key is in its document.
    async fn add_names(&self, keys: &[String], prefix: &str, names: &mut BTreeSet<LockName>) -> Result<()> {
        let mut batch = CommandBatch::new();
        for key in keys {
            match LockKeys::owner(key) {
                Owner::Lock(name) => drop(names.insert(name)),
                Owner::Hashed => batch = batch.get(key),
                Owner::Other => {}
            }
        }
        if batch.wants.is_empty() {
            return Ok(());
        }
        let (replies, _) = self.transport.call(batch).await?;
        names.extend(replies.filter_map(|reply| {
            let Reply::Item(item) = reply else { return None };
            format::decode(&item.value)
                .map(|document| document.name)
                .filter(|it| it.as_str().starts_with(prefix))
        }));
        Ok(())
    }

    async fn add_snapshots(&self, names: &[LockName], found: &mut Vec<Snapshot>) -> Result<()> {
        let all: Vec<LockKeys> = names.iter().map(LockKeys::of).collect();
        let batch = all.iter().fold(CommandBatch::new(), |batch, keys| batch.then(Client::query(keys)));
        let (mut replies, received) = self.transport.call(batch).await?;
        for keys in &all {
            let record = self.parse(keys, &mut replies, &received)?;
            let snapshot = record.snapshot(&keys.name);
            let in_use = !snapshot.holders.is_empty() || !snapshot.waiters.is_empty();
            if in_use && matches!(record.stored, Stored::Own(_)) {
                found.push(snapshot);
            }
        }
        Ok(())
    }

    /// The wanted keys of the server.
    async fn keys(&self, wanted: impl Fn(&str) -> bool + Sync) -> Result<Vec<String>> {
        let dialled = self.transport.in_time("connection", self.transport.dial()).await?;
        let mut stream = BufReader::new(dialled?);
        // The hash table has every item once; the LRU queues change while they are crawled.
        let mut which = "hash";
        loop {
            self.state.check_open()?;
            match crawl(&mut stream, which, &wanted).await? {
                Ok(keys) => return Ok(keys),
                Err(busy) if busy.starts_with("BUSY") => self.env.sleep(BUSY_PAUSE).await,
                Err(_) if which == "hash" => which = "all",
                Err(why) => {
                    let message = format!("the server does not list its keys: {why}");
                    return Err(Error::new(ErrorKind::Unsupported, message)
                        .hint("start it without -X and without no_lru_crawler"));
                }
            }
        }
    }
}

/// The wanted keys, or the line by which the server refuses to list them.
async fn crawl(
    stream: &mut BufReader<TcpStream>,
    which: &str,
    wanted: &(impl Fn(&str) -> bool + Sync),
) -> Result<std::result::Result<Vec<String>, String>> {
    let command = format!("lru_crawler metadump {which}\r\n");
    stream.get_mut().write_all(command.as_bytes()).await.map_err(|error| broken(error.into()))?;
    let mut keys = Vec::new();
    loop {
        let line = read_line(stream).await.map_err(broken)?;
        match line.split(' ').next().unwrap_or_default() {
            "END" => return Ok(Ok(keys)),
            "BUSY" | "ERROR" | "CLIENT_ERROR" | "SERVER_ERROR" => return Ok(Err(line)),
            word if word.starts_with("key=") => {
                keys.extend(key(word).filter(|key| wanted(key) && keys.len() < KEYS_MAX));
            }
            _ => return Err(broken(Broken::Malformed("a line of no known kind"))),
        }
    }
}

/// The key in `key=a%20b`. A key that is no text belongs to no lock.
fn key(word: &str) -> Option<String> {
    unescape(word.strip_prefix("key=")?)
}

fn broken(why: Broken) -> Error {
    match why {
        Broken::Closed => Error::new(ErrorKind::Unreachable, "the connection broke"),
        Broken::Malformed(why) => {
            Error::new(ErrorKind::Corrupt, format!("the list of keys is not readable: {why}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_lines() {
        assert_eq!(key("key=a%25%20b").as_deref(), Some("a% b"));
        assert_eq!(key("key=%FF"), None);
        assert_eq!(key("END"), None);
    }
}
