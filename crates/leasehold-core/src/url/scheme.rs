//! [`Scheme`]: the grammar of one URL scheme, as its store states it.

use std::time::Duration;

use super::{invalid::invalid, percent::nearest};
use crate::{Error, LockName, Result};

/// One URL scheme: its names and what may follow it.
#[derive(PartialEq, Eq, Debug)]
pub struct Scheme {
    /// The name that is printed, such as `redis+sentinel`.
    pub name: &'static str,
    /// Other names of it, in lower case.
    pub aliases: &'static [&'static str],
    /// Which parts its URLs have.
    pub form: Form,
    /// The default port; 0 for a scheme without hosts.
    pub port: u16,
    /// Whether connections use TLS.
    pub tls: bool,
    /// The keys of the query besides those of every store, of logins and of TLS.
    pub keys: &'static [Key],
}

/// The parts that follow a scheme.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A name, which may be empty: `memory:NAME`.
    Name,
    /// The path of a file: `sqlite:PATH`.
    File,
    /// The path of a socket, with credentials before it: `redis+unix://PATH`.
    Socket,
    /// Hosts, with credentials before them.
    Hosts {
        /// How many.
        hosts: Hosts,
        /// Whether there may be a user and a password.
        login: bool,
        /// Whether a path may follow.
        path: bool,
    },
    /// Other URLs: `quorum:URL;URL;URL`.
    Members,
}

/// How many hosts a URL names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hosts {
    /// Exactly one.
    One,
    /// One or more of the same cluster.
    Many,
    /// One or more of the same cluster, or none: the store knows where to look.
    Any,
    /// Three or more independent ones, which vote.
    Voters,
}

/// A key of the query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Which values it has.
    pub value: Value,
}

/// The values of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// A duration longer than zero.
    Duration,
    /// A number that is not negative.
    Number,
    /// `true` or `false`.
    Flag,
    /// The path of a file.
    Path,
    /// A name in lower-case letters, digits and hyphens.
    Word,
    /// One of these.
    Choice(&'static [&'static str]),
    /// The beginning of lock names.
    Prefix,
    /// A name with one `*` in it.
    Template,
    /// Any text.
    Text,
    /// A text that is never printed.
    Secret,
}

/// The keys of every store.
const COMMON: &[Key] = &[
    Key { name: "prefix", value: Value::Prefix },
    Key { name: "ttl", value: Value::Duration },
    Key { name: "timeout", value: Value::Duration },
];

/// The key of schemes with a login.
const LOGIN: &[Key] = &[Key { name: "password_file", value: Value::Path }];
/// The keys of schemes with TLS.
const TLS: &[Key] = &[
    Key { name: "ca", value: Value::Path },
    Key { name: "cert", value: Value::Path },
    Key { name: "key", value: Value::Path },
];

impl Scheme {
    /// A scheme with these parts, without TLS, a port or keys of its own.
    pub const fn new(name: &'static str, form: Form) -> Self {
        Scheme { name, aliases: &[], form, port: 0, tls: false, keys: &[] }
    }

    /// Whether it goes by this name, which is in lower case.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// All names it goes by.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        let has_login = matches!(self.form, Form::Socket | Form::Hosts { login: true, .. });
        let login = if has_login { LOGIN } else { &[] };
        let tls = if self.tls { TLS } else { &[] };
        COMMON.iter().chain(login).chain(tls).chain(self.keys)
    }

    /// Finds a key of the query. `known` are the names of all keys of all stores.
    pub(super) fn key(&self, name: &str, known: &[&'static str]) -> Result<&'static Key> {
        if let Some(key) = self.keys().find(|key| key.name == name) {
            return Ok(key);
        }
        let label = self.name;
        let message = match nearest(name, known.iter().copied()) {
            Some(same) if same == name => format!("`{label}` has no use for the key `{name}`"),
            Some(near) => format!("unknown key `{}`: did you mean `{near}`?", name.escape_debug()),
            None => format!("unknown key `{}`", name.escape_debug()),
        };
        let taken: Vec<_> = self.keys().map(|key| key.name).collect();
        Err(invalid(message).hint(format!("`{label}` takes {}", taken.join(", "))))
    }
}

impl Key {
    /// Checks a value and answers its one spelling.
    pub(super) fn check(&self, value: &str) -> Result<String> {
        let name = self.name;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let problem = match self.value {
            Value::Duration => return duration(name, value).map(spell),
            Value::Number => {
                let number: Option<u32> = value.parse().ok();
                let error = || invalid(format!("`{name}={}` is not a number", value.escape_debug()));
                return number.map(|number| number.to_string()).ok_or_else(error);
            }
            Value::Flag => choice(name, value, &["true", "false"]),
            Value::Choice(words) => choice(name, value, words),
            Value::Word if value.is_empty() || !value.chars().all(plain) => {
                Some(invalid(format!("`{name}` is a name in lower-case letters, such as `native`")))
            }
            Value::Prefix if value.is_empty() || value.len() >= LockName::BYTES_MAX => {
                let longest = LockName::BYTES_MAX - 1;
                Some(invalid(format!("`{name}` has 1 to {longest} bytes, for names have at most one more")))
            }
            Value::Template if value.matches('*').count() != 1 || value.len() >= LockName::BYTES_MAX => {
                let message = format!("`{name}` has one `*` for the name of the lock");
                Some(invalid(message).hint(format!("for example {name}=redlock:*")))
            }
            Value::Path | Value::Text | Value::Secret if value.is_empty() => {
                Some(invalid(format!("`{name}` is empty")))
            }
            Value::Path | Value::Text | Value::Secret | Value::Word | Value::Prefix | Value::Template => None,
        };
        problem.map_or_else(|| Ok(value.to_string()), Err)
    }
}

fn choice(name: &str, value: &str, words: &[&str]) -> Option<Error> {
    let listed = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
    (!words.contains(&value)).then(|| invalid(format!("`{name}` is {listed}")))
}

fn duration(name: &str, value: &str) -> Result<Duration> {
    let duration = humantime::parse_duration(value).map_err(|source| {
        invalid(format!("`{name}={}` is not a duration", value.escape_debug()))
            .hint("for example 30s, 500ms or 2m")
            .source(source)
    })?;
    if duration.is_zero() {
        return Err(invalid(format!("`{name}` must be longer than nothing")).hint("for example 30s"));
    }
    Ok(duration)
}

/// A duration as it is read back, exactly.
pub(super) fn spell(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_nanos()) {
        (seconds, 0) => format!("{seconds}s"),
        (0, nanos) if nanos % 1_000_000 == 0 => format!("{}ms", nanos / 1_000_000),
        (0, nanos) => format!("{nanos}ns"),
        (seconds, nanos) => format!("{seconds}s{nanos}ns"),
    }
}
