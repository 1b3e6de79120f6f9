//! [`Probe`]: what was seen of an ensemble.

use std::{collections::BTreeMap, time::Duration};

/// What a member said to a command of four letters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Its lines, by what stands before the first `:` or `=`.
    Seen(BTreeMap<String, String>),
    /// It does not belong to a majority.
    ServesNobody,
    /// It is not configured to answer that.
    NotAllowed,
    /// Nothing, or why there was no answer.
    Silent(String),
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
            true => Answer::Silent(format!("it does not answer `{word}`")),
            false => Answer::Seen(fields),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        match self {
            Answer::Seen(fields) => fields.get(key).map(String::as_str),
            _ => None,
        }
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }
}

/// What was seen of one member.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Its address, as the URL has it.
    pub(super) node: String,
    /// Whether the way there leaves this machine.
    pub(super) is_remote: bool,
    /// What it is and does.
    pub(super) srvr: Answer,
    /// How it is configured.
    pub(super) conf: Answer,
}

/// What was seen of an ensemble.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// The members that the URL names.
    pub(super) looks: Vec<Reading>,
    pub(super) session_asked: Duration,
    /// What the servers made of it.
    pub(super) session_lasts: Duration,
    /// The node in which an ensemble writes down its members.
    pub(super) config: Option<String>,
    /// Whether anybody may change what is under the chroot.
    pub(super) is_open: Option<bool>,
    pub(super) has_login: bool,
    pub(super) chroot: String,
}

impl Probe {
    /// How many members vote: `server.1=host:2888:3888:participant;0.0.0.0:2181`. `None` for a server that is alone.
    pub(super) fn participants(&self) -> Option<usize> {
        let lines = self.config.as_ref()?.lines().filter(|line| line.starts_with("server."));
        let count = lines.filter(|line| !line.contains(":observer")).count();
        (count > 0).then_some(count)
    }

    /// What a member is configured to bind sessions to, in milliseconds.
    pub(super) fn session_range_ms(&self) -> Option<(u64, u64)> {
        self.looks.iter().find_map(|look| {
            Some((look.conf.number("minSessionTimeout")?, look.conf.number("maxSessionTimeout")?))
        })
    }
}
