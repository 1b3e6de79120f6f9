//! [`UrlOptions`]: the options that the query of a URL sets.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{
    invalid::invalid,
    percent::decode,
    scheme::{Scheme, spell},
};
use crate::Result;

/// The options that the query of a URL sets, checked. `None` leaves the store's default.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct UrlOptions(BTreeMap<&'static str, String>);

impl UrlOptions {
    /// Reads a query. `known` are the names of all keys of all stores.
    pub(super) fn parse(scheme: &Scheme, query: &str, known: &[&'static str]) -> Result<Self> {
        let mut options = UrlOptions::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = scheme.key(name, known)?;
            let value = key.check(&decode(value, &format!("the value of `{name}`"))?)?;
            if options.0.insert(key.name, value).is_some() {
                return Err(invalid(format!("the key `{name}` is there twice")));
            }
        }
        Ok(options)
    }

    /// Sets an option.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.0.insert(key, value.into());
        self
    }

    /// Sets a duration.
    #[must_use]
    pub fn with_duration(self, key: &'static str, value: Duration) -> Self {
        self.with(key, spell(value))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The value of a key that is a duration.
    pub fn duration(&self, key: &str) -> Option<Duration> {
        self.get(key).and_then(|text| humantime::parse_duration(text).ok())
    }

    /// The value of a key that is a number.
    pub fn number(&self, key: &str) -> Option<u32> {
        self.get(key).and_then(|text| text.parse().ok())
    }

    /// Whether a flag is set to `true`.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key) == Some("true")
    }

    /// The prefix of all names, so that the tenants of one store do not meet.
    pub fn prefix(&self) -> Option<&str> {
        self.get("prefix")
    }

    /// The time to live of locks that do not state their own.
    pub fn ttl(&self) -> Option<Duration> {
        self.duration("ttl")
    }

    /// How long to wait for an answer of the store, and for how long to ask again.
    pub fn timeout(&self) -> Option<Duration> {
        self.duration("timeout")
    }

    /// The wire format, where the store has several.
    pub fn dialect(&self) -> Option<&str> {
        self.get("dialect")
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that are set: keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(key, value)| (*key, value.as_str()))
    }
}

/// Without passwords.
impl fmt::Debug for UrlOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(key, value)| (key, if str::ends_with(key, "password") { "***" } else { value });
        f.debug_map().entries(self.iter().map(shown)).finish()
    }
}
