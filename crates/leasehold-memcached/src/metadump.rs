//! The keys of the server, from its crawler (`lru_crawler metadump`), on a connection of its own because it may take long.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result, store_kit::in_time};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{client::Client, keys::unescape_text};

/// The time limit of the whole, including the end of another crawl.
const LIMIT: Duration = Duration::from_secs(60);
/// The pause between two attempts while another crawl runs.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// The longest line: a key of 250 bytes, each escaped, and some numbers.
const LINE_MAX: u64 = 2048;
/// The largest number of keys.
const KEYS_MAX: usize = 1_000_000;

/// The end of a crawl.
enum End {
    Done(Vec<String>),
    Busy,
    Refused(String),
}

/// The wanted keys.
pub(crate) async fn keys(client: &Client, wanted: impl Fn(&str) -> bool + Sync) -> Result<Vec<String>> {
    in_time(&client.env, LIMIT, "list of keys", crawl(client, wanted)).await?
}

async fn crawl(client: &Client, wanted: impl Fn(&str) -> bool + Sync) -> Result<Vec<String>> {
    let dialled = in_time(&client.env, client.options.timeout, "connection", client.transport.dial()).await?;
    let mut stream = BufReader::new(dialled?);
    // The hash table has every item once; the LRU queues change while they are crawled.
    let mut which = "hash";
    loop {
        client.check_open()?;
        match ask(&mut stream, which, &wanted).await? {
            End::Done(keys) => return Ok(keys),
            End::Busy => client.env.sleep(BUSY_PAUSE).await,
            End::Refused(_) if which == "hash" => which = "all",
            End::Refused(why) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("the server does not list its keys: {why}"),
                )
                .hint("start it without -X and without no_lru_crawler"));
            }
        }
    }
}

async fn ask(
    stream: &mut BufReader<TcpStream>,
    which: &str,
    wanted: &(impl Fn(&str) -> bool + Sync),
) -> Result<End> {
    let command = format!("lru_crawler metadump {which}\r\n");
    stream.get_mut().write_all(command.as_bytes()).await.map_err(broken)?;
    let mut keys = Vec::new();
    loop {
        let mut line = Vec::new();
        (&mut *stream).take(LINE_MAX).read_until(b'\n', &mut line).await.map_err(broken)?;
        let line = line.strip_suffix(b"\n").ok_or_else(|| corrupt("half a line"))?;
        let line =
            std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).map_err(|_| corrupt("no text"))?;
        if let Some(key) = key(line) {
            if wanted(&key) && keys.len() < KEYS_MAX {
                keys.push(key);
            }
            continue;
        }
        return match line.split(' ').next().unwrap_or_default() {
            "END" => Ok(End::Done(keys)),
            "BUSY" => Ok(End::Busy),
            "ERROR" | "CLIENT_ERROR" | "SERVER_ERROR" => Ok(End::Refused(line.to_string())),
            // A key that is no text belongs to no lock.
            _ if line.starts_with("key=") => continue,
            _ => Err(corrupt("a line of no known kind")),
        };
    }
}

/// `key=a%20b exp=…`.
fn key(line: &str) -> Option<String> {
    unescape_text(line.strip_prefix("key=")?.split(' ').next()?.as_bytes())
}

fn broken(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Unreachable, format!("the connection broke: {source}")).source(source)
}

fn corrupt(why: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the list of keys is not readable: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_lines() {
        assert_eq!(key("key=a%25%20b exp=5 la=1 cas=1 fetch=no cls=1 size=9").as_deref(), Some("a% b"));
        assert_eq!(key("key=%FF exp=5"), None);
        assert_eq!(key("END"), None);
    }
}
