//! Every key that the server has, by its crawler. On a connection of its own: it may take long.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{client::ClientState, percent::unescape_text};

/// How long all of it may take; another crawl may have to end first.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two questions whether the other crawl has ended.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// The longest line: a key of 250 bytes, each escaped, and some numbers.
const LINE_MAX: u64 = 2048;
/// The most keys that are taken.
const KEYS_MAX: usize = 1_000_000;

/// How a crawl ended.
enum End {
    Done(Vec<String>),
    Busy,
    Refused(String),
}

/// The keys that `wanted` takes.
pub(crate) async fn keys(session: &ClientState, wanted: impl Fn(&str) -> bool + Sync) -> Result<Vec<String>> {
    let until = session.env.now() + LIMIT;
    let crawled = session.env.until(until, crawl(session, wanted)).await;
    crawled
        .unwrap_or_else(|| Err(Error::new(ErrorKind::TimedOut, format!("no list of keys within {LIMIT:?}"))))
}

async fn crawl(session: &ClientState, wanted: impl Fn(&str) -> bool + Sync) -> Result<Vec<String>> {
    let until = session.env.now() + session.options.timeout;
    let dialled = session.env.until(until, session.node.dial()).await;
    let timed_out = || Error::new(ErrorKind::TimedOut, "no connection in time");
    let mut stream = BufReader::new(dialled.ok_or_else(timed_out)??);
    // The hash table has every item once; the queues that are crawled otherwise change meanwhile.
    let mut which = "hash";
    loop {
        session.refuse_closed()?;
        match ask(&mut stream, which, &wanted).await? {
            End::Done(keys) => return Ok(keys),
            End::Busy => session.env.sleep(BUSY_PAUSE).await,
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
            // A key that is no text is nobody's lock.
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

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the list of keys is not readable: {what}"))
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
