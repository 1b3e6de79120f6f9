//! Replies of a Redis server.

use std::io::{BufRead, Read};

use crate::{Error, Result, error::Context};

/// The longest text.
const TEXT_BYTES_MAX: i64 = 64 << 20;
const ELEMENTS_MAX: i64 = 1 << 20;
const DEPTH_MAX: usize = 16;

/// A reply of RESP2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// There is nothing.
    Nil,
    /// A number.
    Int(i64),
    /// A simple or a bulk string; what is not UTF-8 is replaced.
    Text(String),
    /// The server's refusal, such as `NOSCRIPT …`.
    Error(String),
    /// Several replies.
    Array(Vec<Reply>),
}

impl Reply {
    /// The text of a string; `None` for everything else.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, also when it came as a string.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Whether there is nothing.
    pub fn is_nil(&self) -> bool {
        *self == Self::Nil
    }

    /// The server's refusal.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array; none for everything else.
    pub fn items(&self) -> &[Reply] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    /// The reply, unless it is a refusal.
    pub fn accepted(self) -> Result<Reply> {
        match self {
            Self::Error(text) => Err(Error(format!("Redis refuses: {text}"))),
            reply => Ok(reply),
        }
    }

    pub(crate) fn read(from: &mut impl BufRead) -> Result<Self> {
        Self::read_nested(from, DEPTH_MAX)
    }

    fn read_nested(from: &mut impl BufRead, depth: usize) -> Result<Self> {
        let mut line = String::new();
        let length = from.read_line(&mut line).context(|| "no reply".into())?;
        if length == 0 {
            return Err(Error("no reply: the connection was closed".into()));
        }
        let line = line.trim_end_matches(['\r', '\n']);
        let unknown = || Error(format!("not a reply: {line:?}"));
        let (kind, rest) = line.split_at_checked(1).ok_or_else(unknown)?;
        let number = || rest.parse::<i64>().map_err(|_| unknown());
        match kind {
            "+" => Ok(Self::Text(rest.into())),
            "-" => Ok(Self::Error(rest.into())),
            ":" => number().map(Self::Int),
            "$" | "*" if number()? < 0 => Ok(Self::Nil),
            "$" => bulk(from, number()?.min(TEXT_BYTES_MAX)),
            "*" if depth > 0 => {
                let items = 0..number()?.min(ELEMENTS_MAX);
                items.map(|_| Self::read_nested(from, depth - 1)).collect::<Result<_>>().map(Self::Array)
            }
            _ => Err(unknown()),
        }
    }
}

fn bulk(from: &mut impl Read, length: i64) -> Result<Reply> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default() + 2];
    from.read_exact(&mut bytes).context(|| "half a reply".into())?;
    bytes.truncate(bytes.len() - 2);
    Ok(Reply::Text(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_as_redis_writes_them() {
        let mut bytes = &b"*5\r\n+OK\r\n:7\r\n$-1\r\n$4\r\na\r\nb\r\n*1\r\n-ERR no\r\n"[..];
        let inner = Reply::Array(vec![Reply::Error("ERR no".into())]);
        let wanted =
            [Reply::Text("OK".into()), Reply::Int(7), Reply::Nil, Reply::Text("a\r\nb".into()), inner];
        assert_eq!(Reply::read(&mut bytes), Ok(Reply::Array(wanted.into())));
        assert!(Reply::read(&mut bytes).is_err());
    }
}
