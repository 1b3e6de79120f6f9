//! Requests and replies. A reply of an unexpected form is an error, never a panic.

use std::{fmt::Display, sync::LazyLock, time::Duration};

use leasehold_core::{Error, ErrorKind, Result};
use redis::{Cmd, FromRedisValue, RedisWrite, Value, cmd, from_redis_value_ref};
use smallvec::{SmallVec, smallvec};

use crate::error::ServerError;

const INCLUDE: &str = "-- include prelude.lua\n";
const INCLUDE_LOCKS: &str = "-- include locks.lua\n";
const LOCKS: &str = include_str!("../scripts/redisson/locks.lua");

/// A script and its SHA-1.
#[derive(Debug)]
pub(crate) struct Script {
    text: String,
    hash: String,
    /// Those that a server gets with it, for it will be asked for them soon.
    companions: &'static [&'static LazyLock<Script>],
}

impl Script {
    pub(crate) fn new(text: &str) -> Script {
        let text = text.replacen(INCLUDE, include_str!("../scripts/native/prelude.lua"), 1);
        let text = text.replacen(INCLUDE_LOCKS, LOCKS, 1);
        let hash = redis::Script::new(&text).get_hash().to_string();
        Script { text, hash, companions: &[] }
    }

    /// One of several that a server gets together.
    pub(crate) fn of(text: &str, companions: &'static [&'static LazyLock<Script>]) -> Script {
        Script { companions, ..Script::new(text) }
    }

    /// `SCRIPT LOAD` for it and its companions.
    pub(crate) fn load_all(&self) -> Vec<Cmd> {
        let others = self.companions.iter().filter(|other| other.hash != self.hash).map(|it| it.load());
        others.chain([self.load()]).collect()
    }

    /// `SCRIPT LOAD`. Scripts sent by EVAL may be evicted, loaded ones are not.
    pub(crate) fn load(&self) -> Cmd {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(&self.text);
        load
    }

    /// `EVALSHA` with its keys; arguments are to follow.
    pub(crate) fn call<K: Display>(&self, keys: &[K]) -> Cmd {
        let mut call = Cmd::with_capacity(8 + 2 * keys.len(), 192 + 64 * keys.len());
        call.arg("EVALSHA").arg(&self.hash).arg(keys.len());
        keys.iter().for_each(|key| call.write_arg_fmt(key));
        call
    }
}

/// The reply to one command.
pub(crate) type Reply = std::result::Result<Value, ServerError>;

/// Commands, of which there is mostly one.
pub(crate) type Commands = SmallVec<[Cmd; 1]>;
/// The replies to commands.
pub(crate) type Replies = SmallVec<[Reply; 1]>;

/// The commands of one verb on one lock, sent in one piece, and the meaning of their replies.
pub(crate) struct Request<'a, T> {
    /// The script that the first command calls. A server that does not have it gets it, and the request again.
    pub(crate) script: Option<&'static Script>,
    pub(crate) commands: Commands,
    pub(crate) read: Box<dyn FnOnce(Replies) -> Result<T> + Send + 'a>,
}

impl<'a, T> Request<'a, T> {
    /// A call of a script alone.
    pub(crate) fn call(
        script: &'static Script,
        call: Cmd,
        read: impl FnOnce(&Value) -> Result<T> + Send + 'a,
    ) -> Request<'a, T> {
        let read = move |replies: Replies| read(&next(&mut replies.into_iter())?);
        Request { script: Some(script), commands: smallvec![call], read: Box::new(read) }
    }

    /// Commands without a script.
    pub(crate) fn commands(
        commands: impl IntoIterator<Item = Cmd>,
        read: impl FnOnce(Replies) -> Result<T> + Send + 'a,
    ) -> Request<'a, T> {
        Request { script: None, commands: commands.into_iter().collect(), read: Box::new(read) }
    }
}

/// A value as the reply to one command.
pub(crate) fn as_reply(value: Value) -> Reply {
    match value {
        Value::ServerError(error) => Err(ServerError::from(&error)),
        value => Ok(value),
    }
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

/// A section of INFO.
pub(crate) fn info(section: &str) -> Cmd {
    let mut info = cmd("INFO");
    info.arg(section);
    info
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
    fn all_scripts_that_draw_tokens_know_how_far_they_stay_behind_the_clock() {
        let slack = leasehold_core::FencingToken::SLACK_US.to_string();
        for text in [
            &*Script::new(INCLUDE).text,
            include_str!("../scripts/native/claim.lua"),
            include_str!("../scripts/native/claim_quiet.lua"),
            include_str!("../scripts/native/claim_vote.lua"),
            include_str!("../scripts/redisson/locks.lua"),
            include_str!("../scripts/redisson/claim_quiet.lua"),
        ] {
            assert_eq!(text.matches(&slack).count(), 1);
        }
    }

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
