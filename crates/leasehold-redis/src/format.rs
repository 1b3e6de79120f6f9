//! Requests and replies. A reply of an unexpected form is an error, never a panic.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Result};
use redis::{Cmd, FromRedisValue, Value, aio::MultiplexedConnection, cmd, from_redis_value_ref};

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

/// The reply to one command.
pub(crate) type Reply = std::result::Result<Value, ServerError>;

/// The commands of one verb on one lock, sent in one piece, and the meaning of their replies.
pub(crate) struct Request<'a, T> {
    /// The script that the first command calls. A server that does not have it gets it, and the request again.
    pub(crate) script: Option<&'static Script>,
    pub(crate) commands: Vec<Cmd>,
    pub(crate) read: Box<dyn FnOnce(Vec<Reply>) -> Result<T> + Send + 'a>,
}

impl<'a, T> Request<'a, T> {
    /// A call of a script alone.
    pub(crate) fn call(
        script: &'static Script,
        call: Cmd,
        read: impl FnOnce(&Value) -> Result<T> + Send + 'a,
    ) -> Request<'a, T> {
        let read = move |replies: Vec<Reply>| read(&next(&mut replies.into_iter())?);
        Request { script: Some(script), commands: vec![call], read: Box::new(read) }
    }

    /// Commands without a script.
    pub(crate) fn commands(
        commands: Vec<Cmd>,
        read: impl FnOnce(Vec<Reply>) -> Result<T> + Send + 'a,
    ) -> Request<'a, T> {
        Request { script: None, commands, read: Box::new(read) }
    }
}

/// Sends commands in one piece and reads one reply for each.
///
/// # Errors
/// [`ErrorKind::Unreachable`] when the connection breaks.
pub(crate) async fn exchange(connection: &mut MultiplexedConnection, commands: &[Cmd]) -> Result<Vec<Reply>> {
    let mut pipeline = redis::Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command.clone());
    }
    let sent = connection.send_packed_commands(&pipeline, 0, commands.len()).await;
    let values = sent.map_err(|error| {
        Error::new(ErrorKind::Unreachable, format!("the connection broke: {}", error.category()))
            .hint("the claim is asked for again by its id")
    })?;
    let as_reply = |value| match value {
        Value::ServerError(error) => Err(ServerError::from(&error)),
        value => Ok(value),
    };
    Ok(values.into_iter().map(as_reply).collect())
}

/// The next of several replies.
pub(crate) fn next(replies: &mut impl Iterator<Item = Reply>) -> Result<Value> {
    let missing = || Error::new(ErrorKind::Corrupt, "the server answered nothing").unknown();
    Ok(replies.next().ok_or_else(missing)??)
}

/// A reply, or a part of one, as `T`.
///
/// # Errors
/// [`unexpected`].
pub(crate) fn read<T: FromRedisValue>(value: &Value, expected: &str) -> Result<T> {
    from_redis_value_ref(value).map_err(|_| unexpected(expected, value))
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

/// A text; bytes that are not UTF-8 are replaced.
pub(crate) fn text(value: &Value) -> Result<String> {
    match value {
        Value::BulkString(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        value => read(value, "a text"),
    }
}

/// Milliseconds; `None` for a negative number: without end, or not known.
pub(crate) fn span(ms: i64) -> Option<Duration> {
    u64::try_from(ms).ok().map(Duration::from_millis)
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
pub(crate) fn clock_us(value: &Value) -> Result<u64> {
    let (seconds, micros): (i64, i64) = read(value, "seconds and microseconds")?;
    let number = |part: i64| u64::try_from(part).unwrap_or_default();
    Ok(number(seconds).saturating_mul(1_000_000).saturating_add(number(micros)))
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
