//! Memcached's protocol: [`CommandBatch`] writes commands, [`read_reply`] reads the reply to one, strictly: a malformed
//! reply ends the connection.
//!
//! Keys come from [`LockKeys`](crate::keys::LockKeys) only, so that no name can end a command and begin another.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Marks the documents of locks among the items of a server that others use too ("LEAS").
const FLAGS: u32 = 0x4c45_4153;

/// Commands, and the kind of reply to each.
#[derive(Default, Debug)]
pub(crate) struct CommandBatch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) wants: Vec<Want>,
}

/// A number for each command, so that its reply is never taken for that to another.
fn opaque() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl CommandBatch {
    pub(crate) fn new() -> CommandBatch {
        CommandBatch::default()
    }

    /// Reads value, CAS unique and remaining time.
    pub(crate) fn get(self, key: &str) -> CommandBatch {
        let opaque = opaque();
        self.command(Want::Meta(opaque), format_args!("mg {key} v c t O{opaque}\r\n"))
    }

    /// Stores an item if there is none. Never `ms`, which deletes a present item when it fails, whatever its mode.
    pub(crate) fn add(self, key: &str, ttl: u64, value: &[u8]) -> CommandBatch {
        let size = value.len();
        self.command(Want::Storage, format_args!("add {key} {FLAGS} {ttl} {size}\r\n")).data(value)
    }

    /// Replaces the item that has this CAS unique. `ttl` is in seconds, or above 30 days the second of the server's
    /// calendar; a negative one deletes.
    pub(crate) fn cas(self, key: &str, ttl: i64, value: &[u8], cas: u64) -> CommandBatch {
        let size = value.len();
        self.command(Want::Storage, format_args!("cas {key} {FLAGS} {ttl} {size} {cas}\r\n")).data(value)
    }

    /// Deletes the item that has this CAS unique.
    pub(crate) fn delete(self, key: &str, cas: u64) -> CommandBatch {
        let opaque = opaque();
        self.command(Want::Meta(opaque), format_args!("md {key} C{cas} O{opaque}\r\n"))
    }

    /// Extends the item that has this CAS unique, which gets another. The server allocates nothing, so it works when memory
    /// is full. The item is marked as stale, which changes nothing else.
    pub(crate) fn extend(self, key: &str, cas: u64, ttl: u64) -> CommandBatch {
        let opaque = opaque();
        self.command(Want::Meta(opaque), format_args!("md {key} C{cas} I T{ttl} O{opaque}\r\n"))
    }

    /// Reads the server's counters.
    pub(crate) fn stats(self) -> CommandBatch {
        self.command(Want::Stats, format_args!("stats\r\n"))
    }

    /// Reads the server's settings.
    pub(crate) fn settings(self) -> CommandBatch {
        self.command(Want::Stats, format_args!("stats settings\r\n"))
    }

    /// Appends another batch.
    pub(crate) fn then(mut self, other: CommandBatch) -> CommandBatch {
        self.bytes.extend(other.bytes);
        self.wants.extend(other.wants);
        self
    }

    fn command(mut self, want: Want, line: std::fmt::Arguments<'_>) -> CommandBatch {
        // Writing into memory does not fail.
        let _ = self.bytes.write_fmt(line);
        self.wants.push(want);
        self
    }

    fn data(mut self, value: &[u8]) -> CommandBatch {
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
        self
    }
}

/// The kind of reply to a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    /// `add` and `cas`: one word.
    Storage,
    /// A meta command with this opaque number, which its reply repeats.
    Meta(u64),
    /// `stats`: lines up to `END`.
    Stats,
}

/// The reply to one command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    /// `STORED`, `HD`.
    Done,
    /// `NOT_STORED`, `EXISTS`, `EX`, `NS`: another item is present.
    Other,
    /// `NOT_FOUND`, `NF`, `EN`.
    Nothing,
    /// `VA`.
    Item(Item),
    /// `STAT`s.
    Stats(Vec<(String, String)>),
    /// `ERROR`, `CLIENT_ERROR`, `SERVER_ERROR`.
    Refused(String),
}

/// An item as returned by `mg … v c t`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Item {
    pub(crate) value: Vec<u8>,
    pub(crate) cas: u64,
    /// The remaining ticks of the server's clock; `None` without an end.
    pub(crate) ttl: Option<u64>,
    /// Whether it was extended in place since it was stored.
    pub(crate) stale: bool,
}

/// The reason why a connection cannot be used any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Broken {
    /// It is closed.
    Closed,
    /// The server has sent this, which is not the protocol.
    Malformed(&'static str),
}

use Broken::Malformed;

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Broken {
        Broken::Closed
    }
}

/// The longest line that is not a value.
const LINE_MAX: usize = 4096;
/// The largest value: a foreign item may be larger than any document.
const VALUE_MAX: u64 = 64 << 20;
/// The largest number of statistics.
const STATS_MAX: usize = 4096;

/// Reads the reply to one command.
pub(crate) async fn read_reply(read: &mut (impl AsyncBufRead + Unpin), want: Want) -> Result<Reply, Broken> {
    match want {
        Want::Storage => storage(&read_line(read).await?),
        Want::Meta(opaque) => meta(read, opaque).await,
        Want::Stats => stats(read).await,
    }
}

/// Reads a line; without its end.
pub(crate) async fn read_line(read: &mut (impl AsyncBufRead + Unpin)) -> Result<String, Broken> {
    let mut line = Vec::new();
    read.take(LINE_MAX as u64).read_until(b'\n', &mut line).await?;
    if line.pop_if(|last| *last == b'\n').is_none() {
        return Err(if line.len() < LINE_MAX { Broken::Closed } else { Malformed("a line without end") });
    }
    line.pop_if(|last| *last == b'\r');
    String::from_utf8(line).map_err(|_| Malformed("a line that is no text"))
}

async fn meta(read: &mut (impl AsyncBufRead + Unpin), opaque: u64) -> Result<Reply, Broken> {
    let line = read_line(read).await?;
    let mut words = line.split_ascii_whitespace();
    let reply = match words.next().unwrap_or_default() {
        "HD" => Reply::Done,
        "EX" | "NS" => Reply::Other,
        "EN" | "NF" => Reply::Nothing,
        "VA" => {
            let size = words.next().and_then(number).filter(|size| *size <= VALUE_MAX);
            let size = size.ok_or(Malformed("a value without a size, or too large"))?;
            Reply::Item(Item { value: value(read, size).await?, ..Item::default() })
        }
        _ => return Ok(Reply::Refused(refusal(&line)?)),
    };
    flagged(reply, words, opaque)
}

async fn value(read: &mut (impl AsyncBufRead + Unpin), size: u64) -> Result<Vec<u8>, Broken> {
    let mut value = Vec::new();
    if (read.take(size + 2).read_to_end(&mut value).await? as u64) < size + 2 {
        return Err(Broken::Closed);
    }
    if !value.ends_with(b"\r\n") {
        return Err(Malformed("a value longer than its size"));
    }
    value.truncate(value.len() - 2);
    Ok(value)
}

async fn stats(read: &mut (impl AsyncBufRead + Unpin)) -> Result<Reply, Broken> {
    let mut stats = Vec::new();
    loop {
        let line = read_line(read).await?;
        if line == "END" {
            return Ok(Reply::Stats(stats));
        }
        let Some(stat) = line.strip_prefix("STAT ") else {
            let refused = Reply::Refused(refusal(&line)?);
            return if stats.is_empty() { Ok(refused) } else { Err(Malformed("half a list")) };
        };
        if stats.len() == STATS_MAX {
            return Err(Malformed("a list without end"));
        }
        let (name, value) = stat.split_once(' ').unwrap_or((stat, ""));
        stats.push((name.to_string(), value.to_string()));
    }
}

fn storage(line: &str) -> Result<Reply, Broken> {
    match line {
        "STORED" => Ok(Reply::Done),
        "NOT_STORED" | "EXISTS" => Ok(Reply::Other),
        "NOT_FOUND" => Ok(Reply::Nothing),
        // After any other error the server would take the value for commands.
        _ if line.starts_with("SERVER_ERROR") => Ok(Reply::Refused(line.to_string())),
        _ => Err(Malformed("an answer to another command than the one sent")),
    }
}

fn refusal(line: &str) -> Result<String, Broken> {
    let known = line == "ERROR" || line.starts_with("CLIENT_ERROR") || line.starts_with("SERVER_ERROR");
    if known { Ok(line.to_string()) } else { Err(Malformed("a line of no known kind")) }
}

/// Reads the flags that follow. The opaque number proves that it is the reply to this command; old servers omit it with
/// `EN`.
fn flagged<'a>(mut reply: Reply, flags: impl Iterator<Item = &'a str>, opaque: u64) -> Result<Reply, Broken> {
    let mut proved = reply == Reply::Nothing;
    for flag in flags {
        let mut rest = flag.chars();
        let (kind, rest) = (rest.next().unwrap_or_default(), rest.as_str());
        match (kind, &mut reply) {
            ('O', _) if number(rest) == Some(opaque) => proved = true,
            ('O', _) => return Err(Malformed("the answer to another command")),
            ('c', Reply::Item(item)) => item.cas = number(rest).ok_or(Malformed("no CAS unique"))?,
            ('t', Reply::Item(_)) if rest == "-1" => {}
            ('t', Reply::Item(item)) => item.ttl = Some(number(rest).ok_or(Malformed("no time to live"))?),
            ('X', Reply::Item(item)) => item.stale = true,
            ('W' | 'Z', Reply::Item(_)) => {}
            _ => return Err(Malformed("a flag that was not asked for")),
        }
    }
    if proved { Ok(reply) } else { Err(Malformed("an answer that does not say to what")) }
}

/// A number of digits only.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;
