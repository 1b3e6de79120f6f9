//! [`Probe`]: the observed state of an ensemble.

use std::{collections::BTreeMap, time::Duration};

/// The answer of a member to a four-letter command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Its lines, by the text before the first `:` or `=`.
    Fields(BTreeMap<String, String>),
    /// It does not belong to a majority.
    ServesNobody,
    /// Its configuration forbids the command.
    NotAllowed,
    /// No answer, for this reason.
    None(String),
}

impl Answer {
    pub(super) fn of(word: &str, text: &str) -> Answer {
        if text.contains("not currently serving requests") {
            return Answer::ServesNobody;
        }
        if text.contains("is not executed because it is not in the whitelist") {
            return Answer::NotAllowed;
        }
        let fields: BTreeMap<String, String> = text
            .lines()
            .filter_map(|line| line.split_once([':', '=']))
            .map(|(key, value)| (key.trim().to_string(), value.trim().to_string()))
            .collect();
        match fields.is_empty() {
            true => Answer::None(format!("it does not answer `{word}`")),
            false => Answer::Fields(fields),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        match self {
            Answer::Fields(fields) => fields.get(key).map(String::as_str),
            _ => None,
        }
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }
}

/// The observed state of one member.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Its address, as the URL has it.
    pub(super) node: String,
    /// Whether the connection leaves this machine in clear text.
    pub(super) is_remote: bool,
    /// Its state.
    pub(super) srvr: Answer,
    /// Its configuration.
    pub(super) conf: Answer,
}

/// The observed state of an ensemble.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// The members that the URL names.
    pub(super) readings: Vec<Reading>,
    pub(super) session_asked: Duration,
    /// The session timeout that the servers granted.
    pub(super) session_timeout: Duration,
    /// The content of the node that lists the members of the ensemble.
    pub(super) config: Option<String>,
    /// Whether everybody may change the children of the chroot.
    pub(super) is_open: Option<bool>,
    pub(super) has_login: bool,
    pub(super) chroot: String,
}

impl Probe {
    /// The number of voting members: `server.1=host:2888:3888:participant;0.0.0.0:2181`. `None` for a standalone server.
    pub(super) fn participants(&self) -> Option<usize> {
        let lines = self.config.as_ref()?.lines().filter(|line| line.starts_with("server."));
        let count = lines.filter(|line| !line.contains(":observer")).count();
        (count > 0).then_some(count)
    }

    /// The configured range of session timeouts in milliseconds.
    pub(super) fn session_range_ms(&self) -> Option<(u64, u64)> {
        self.readings.iter().find_map(|reading| {
            Some((reading.conf.number("minSessionTimeout")?, reading.conf.number("maxSessionTimeout")?))
        })
    }
}
