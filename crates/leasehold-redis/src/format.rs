//! Requests and replies. A reply of an unexpected form is an error, never a panic.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result};
use redis::{Cmd, RedisError, Value, aio::MultiplexedConnection, cmd};

use crate::error::ServerError;

const INCLUDE: &str = "-- include prelude.lua\n";
const PRELUDE: &str = include_str!("../scripts/native/prelude.lua");

/// A script and its SHA-1.
#[derive(Debug)]
pub(crate) struct Script {
    text: String,
    hash: String,
}

impl Script {
    pub(crate) fn new(text: &str) -> Script {
        let text = text.replacen(INCLUDE, PRELUDE, 1);
        let hash = redis::Script::new(&text).get_hash().to_string();
        Script { text, hash }
    }

    /// `SCRIPT LOAD`. Scripts sent by EVAL may be evicted, loaded ones are not.
    pub(crate) fn load(&self) -> Cmd {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(&self.text);
        load
    }

    /// `EVALSHA` with its keys; arguments are to follow.
    pub(crate) fn call<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Cmd {
        let keys: Vec<&str> = keys.into_iter().collect();
        let mut call = cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys);
        call
    }
}

/// The commands of one verb on one lock, sent in one piece.
pub(crate) struct Request<'a> {
    /// The script that the first command calls. A server that does not have it gets it, and the request again.
    pub(crate) script: Option<&'a Script>,
    pub(crate) commands: Vec<Cmd>,
}

impl<'a> Request<'a> {
    /// A call of a script alone.
    pub(crate) fn call(script: &'a Script, call: Cmd) -> Request<'a> {
        Request { script: Some(script), commands: vec![call] }
    }

    /// Commands without a script.
    pub(crate) fn commands(commands: Vec<Cmd>) -> Request<'static> {
        Request { script: None, commands }
    }
}

/// The reply to one command.
pub(crate) type Reply = std::result::Result<Value, ServerError>;

/// Sends commands in one piece and reads one reply for each.
///
/// # Errors
/// [`ErrorKind::Unreachable`] when the connection breaks.
pub(crate) async fn exchange(connection: &mut MultiplexedConnection, commands: &[Cmd]) -> Result<Vec<Reply>> {
    let sent = match commands {
        [command] => connection.send_packed_command(command).await.map(|value| vec![value]),
        _ => {
            let mut pipeline = redis::Pipeline::with_capacity(commands.len());
            for command in commands {
                pipeline.add_command(command.clone());
            }
            connection.send_packed_commands(&pipeline, 0, commands.len()).await
        }
    };
    match sent {
        Ok(values) => Ok(values.into_iter().map(as_reply).collect()),
        Err(error) => match ServerError::of(&error) {
            Some(reply) if commands.len() == 1 => Ok(vec![Err(reply)]),
            _ => Err(broken(&error)),
        },
    }
}

fn broken(error: &RedisError) -> Error {
    Error::new(ErrorKind::Unreachable, format!("the connection broke: {}", error.category()))
        .hint("the claim is asked for again by its id")
}

fn as_reply(value: Value) -> Reply {
    match value {
        Value::ServerError(error) => Err(ServerError::from(&error)),
        value => Ok(value),
    }
}

/// Removes the first reply of several.
pub(crate) fn first(replies: &mut Vec<Reply>) -> Result<Value> {
    if replies.is_empty() {
        return Err(Error::new(ErrorKind::Corrupt, "the server answered nothing").unknown());
    }
    Ok(replies.remove(0)?)
}

/// The error of a reply that is not what was expected.
pub(crate) fn unexpected(expected: &str, found: &Value) -> Error {
    let mut found = format!("{found:?}");
    if let Some((end, _)) = found.char_indices().nth(120) {
        found.truncate(end);
    }
    Error::new(ErrorKind::Corrupt, format!("expected {expected}, and the server answered {found}"))
        .unknown()
        .hint("is something between this client and the server, or is it no Redis?")
}

/// The elements of an array; none for nil.
pub(crate) fn list(value: Value, expected: &str) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        // RESP3 answers some lists of pairs as maps.
        Value::Map(pairs) => Ok(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()),
        Value::Nil => Ok(Vec::new()),
        other => Err(unexpected(expected, &other)),
    }
}

pub(crate) fn number(value: Option<&Value>) -> Result<i64> {
    let parsed = match value {
        Some(Value::Int(number)) => Some(*number),
        Some(Value::BulkString(bytes)) => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    parsed.ok_or_else(|| unexpected("a number", value.unwrap_or(&Value::Nil)))
}

/// A text; `None` for nil.
pub(crate) fn text(value: Option<&Value>) -> Result<Option<String>> {
    match value {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::BulkString(bytes)) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
        Some(Value::SimpleString(text) | Value::VerbatimString { text, .. }) => Ok(Some(text.clone())),
        Some(Value::Int(number)) => Ok(Some(number.to_string())),
        Some(Value::Okay) => Ok(Some("OK".to_string())),
        Some(other) => Err(unexpected("a text", other)),
    }
}

/// The bytes of a bulk string; `None` for anything else.
pub(crate) fn bytes(value: Option<&Value>) -> Option<&[u8]> {
    match value {
        Some(Value::BulkString(bytes)) => Some(bytes),
        _ => None,
    }
}

/// Milliseconds; `None` for a negative number: without end, or not known.
pub(crate) fn span(value: Option<&Value>) -> Result<Option<Duration>> {
    Ok(u64::try_from(number(value)?).ok().map(Duration::from_millis))
}

/// A duration as an argument.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// One field of the reply to INFO.
pub(crate) fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The reply to TIME in microseconds since 1970.
pub(crate) fn clock_us(value: Value) -> Result<u64> {
    let parts = list(value, "seconds and microseconds")?;
    let part = |at: usize| number(parts.get(at)).map(|number| u64::try_from(number).unwrap_or_default());
    Ok(part(0)?.saturating_mul(1_000_000).saturating_add(part(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prelude_is_in_those_that_include_it_once_and_nowhere_else() {
        let with = [
            include_str!("../scripts/native/claim.lua"),
            include_str!("../scripts/native/release.lua"),
            include_str!("../scripts/native/renew_entry.lua"),
            include_str!("../scripts/native/inspect.lua"),
            include_str!("../scripts/native/force_release.lua"),
        ];
        for text in with {
            let script = Script::new(text);
            assert_eq!(script.text.matches("local KEEP_MS").count(), 1);
            assert!(!script.text.contains(INCLUDE));
        }
        assert!(!Script::new(include_str!("../scripts/shared/renew.lua")).text.contains("KEEP_MS"));
    }
}
