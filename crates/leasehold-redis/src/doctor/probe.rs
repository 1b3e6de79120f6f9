//! [`Probe`]: the readings of one server.

use std::collections::BTreeMap;

/// How the server was addressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Single,
    Sentinel,
    Cluster,
}

/// Fields that a server returned, and the code of its refusal if it did not return all.
#[derive(Clone, Default, Debug)]
pub(super) struct Reading {
    pub(super) fields: BTreeMap<String, String>,
    pub(super) refused: Option<String>,
}

impl Reading {
    /// The fields in the lines of INFO and of CLUSTER INFO.
    pub(super) fn of_lines(text: &str) -> Reading {
        let pairs = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        let fields = pairs.map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Reading { fields, refused: None }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str)
    }

    pub(super) fn is(&self, key: &str, value: &str) -> bool {
        self.get(key) == Some(value)
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }
}

/// The offset of the server's clock from the local one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Skew {
    /// Server minus local, in microseconds, at the middle of the round trip.
    pub(super) ahead_us: i64,
    /// The uncertainty: half of the round trip.
    pub(super) uncertainty_us: u64,
}

impl Skew {
    pub(super) fn new(server_us: u64, before_us: u64, after_us: u64) -> Skew {
        let uncertainty_us = after_us.saturating_sub(before_us) / 2;
        let local = before_us.saturating_add(uncertainty_us);
        let signed = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
        Skew { ahead_us: signed(server_us).saturating_sub(signed(local)), uncertainty_us }
    }

    /// The least offset that the readings allow.
    pub(super) fn at_least_us(self) -> u64 {
        self.ahead_us.unsigned_abs().saturating_sub(self.uncertainty_us)
    }
}

/// The readings of one server.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) node: String,
    pub(super) kind: Kind,
    /// The option `min_replicas`.
    pub(super) min_replicas: u32,
    pub(super) info: Reading,
    pub(super) config: Reading,
    /// CLUSTER INFO; empty when the server is no node of one.
    pub(super) cluster: Reading,
    pub(super) skew: Option<Skew>,
    pub(super) time_refused: Option<String>,
}

impl Probe {
    /// A probe without readings.
    pub(super) fn new(node: String, kind: Kind, min_replicas: u32) -> Probe {
        let (info, config, cluster) = Default::default();
        Probe { node, kind, min_replicas, info, config, cluster, skew: None, time_refused: None }
    }

    /// The refused commands, each with the code of the refusal.
    pub(super) fn refusals(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("INFO", &self.info.refused),
            ("CONFIG GET", &self.config.refused),
            ("CLUSTER INFO", &self.cluster.refused),
            ("TIME", &self.time_refused),
        ];
        all.into_iter().filter_map(|(command, code)| Some((command, code.as_deref()?))).collect()
    }

    /// The number of connected replicas: `slave0:ip=…,state=online,…`.
    pub(super) fn replicas(&self) -> Option<u64> {
        let connected = self.info.number("connected_slaves")?;
        let lines = self.info.fields.iter().filter(|(key, value)| {
            let number = key.strip_prefix("slave").unwrap_or_default();
            !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
                && value.split(',').any(|part| part == "state=online")
        });
        Some(connected.min(lines.count() as u64))
    }
}
