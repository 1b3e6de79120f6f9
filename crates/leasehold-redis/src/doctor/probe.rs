//! [`Probe`]: the readings of one server.

use std::collections::BTreeMap;

use leasehold_core::Result;
use redis::{Cmd, Value, cmd};

use crate::{
    client::Client,
    format::{Replies, clock_us, read, text},
    options::{Dialect, Servers},
    transport::Node,
};

/// The settings that are read, none of them a secret. Each is a request: before Redis 7, `CONFIG GET` takes one name.
const SETTINGS: &[&str] = &[
    "appendonly",
    "appendfsync",
    "save",
    "stop-writes-on-bgsave-error",
    "maxmemory",
    "maxmemory-policy",
    "min-replicas-to-write",
    "min-replicas-max-lag",
    "cluster-node-timeout",
    "cluster-require-full-coverage",
    "timeout",
];

type Fields = BTreeMap<String, String>;

/// Fields that a server returned, and the code of its refusal if it did not return all.
#[derive(Clone, Default, Debug)]
pub(super) struct Reading {
    pub(super) fields: Fields,
    pub(super) refused: Option<String>,
}

impl Reading {
    /// The fields in replies. A refused login is an error of the whole diagnosis.
    fn of(replies: Replies, fields: impl Fn(&Value) -> Result<Fields>) -> Result<Reading> {
        let mut reading = Reading::default();
        for reply in replies {
            match reply {
                Ok(value) => reading.fields.extend(fields(&value)?),
                Err(error) if matches!(&*error.code, "NOAUTH" | "WRONGPASS") => return Err(error.into()),
                Err(error) => reading.refused = Some(error.code),
            }
        }
        Ok(reading)
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
#[derive(Clone, Default, Debug)]
pub(super) struct Probe {
    pub(super) node: String,
    /// Whether the server was addressed as a node of a Cluster.
    pub(super) is_cluster: bool,
    /// The option `min_replicas`.
    pub(super) min_replicas: u32,
    pub(super) info: Reading,
    pub(super) config: Reading,
    /// CLUSTER INFO; empty when the server is no node of one.
    pub(super) cluster: Reading,
    /// TIME, in microseconds, as `us`.
    pub(super) time: Reading,
    pub(super) skew: Option<Skew>,
    /// The refusal to publish where the clients of the dialect's library listen.
    pub(super) channels: Reading,
    /// The pattern of those channels.
    pub(super) channel_pattern: String,
}

/// A channel that no client listens to, of those on which releases are announced, and the pattern of all of them.
fn channel(dialect: &Dialect) -> Option<(String, String)> {
    match dialect {
        Dialect::Redisson => Some(("redisson_lock__channel:leasehold".into(), "redisson_*".into())),
        Dialect::Spring { registry } => {
            Some((format!("{registry}-channel:leasehold"), format!("{registry}-channel:*")))
        }
        Dialect::Native | Dialect::Plain { .. } => None,
    }
}

impl Probe {
    /// Reads a server.
    pub(super) async fn read(client: &Client, node: &Node) -> Result<Probe> {
        let (options, limit) = (&client.options, client.options.timeout);
        let is_cluster = matches!(options.servers, Servers::Cluster(_));
        // This opens the connection, so that TIME below takes one round trip and nothing else.
        let info = Reading::of(node.call(&[cmd("INFO")], limit).await?, read_lines)?;
        let settings = SETTINGS.iter().map(|name| cmd("CONFIG").arg("GET").arg(*name).to_owned());
        let settings = node.call(&settings.collect::<Vec<Cmd>>(), limit).await?;
        let config = Reading::of(settings, |value| read(value, "a setting and its value"))?;
        let mut cluster = Reading::default();
        if is_cluster || info.is("cluster_enabled", "1") {
            let command = cmd("CLUSTER").arg("INFO").to_owned();
            cluster = Reading::of(node.call(&[command], limit).await?, read_lines)?;
        }
        let mut channels = Reading::default();
        let mut channel_pattern = String::new();
        if let Some((channel, pattern)) = channel(&options.dialect) {
            channel_pattern = pattern;
            let publish = cmd("PUBLISH").arg(channel).arg("0").to_owned();
            channels = Reading::of(node.call(&[publish], limit).await?, |_| Ok(Fields::default()))?;
        }
        let before = client.env.wall_us();
        let time = node.call(&[cmd("TIME")], limit).await?;
        let after = client.env.wall_us();
        let time = Reading::of(time, |value| Ok([("us".into(), clock_us(value)?.to_string())].into()))?;
        let skew = time.number("us").map(|server| Skew::new(server, before, after));
        let (node, min_replicas) = (node.endpoint.to_string(), options.min_replicas);
        Ok(Probe {
            node,
            is_cluster,
            min_replicas,
            info,
            config,
            cluster,
            time,
            skew,
            channels,
            channel_pattern,
        })
    }

    /// A probe of a server that answers every request with a text, for fuzz targets.
    #[cfg(any(test, fuzzing))]
    pub(super) fn of_text(text: &str, is_cluster: bool) -> Probe {
        let reading = Reading { fields: lines(text), refused: None };
        let skew = reading.number("skew_us").map(|server_us| Skew::new(server_us, 1_000_000, 1_000_500));
        let (info, config, cluster) = (reading.clone(), reading.clone(), reading);
        let (node, min_replicas) = ("db:6379".to_string(), 1);
        Probe { node, is_cluster, min_replicas, info, config, cluster, skew, ..Probe::default() }
    }

    /// The refused commands, each with the code of the refusal.
    pub(super) fn refusals(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("INFO", &self.info.refused),
            ("CONFIG GET", &self.config.refused),
            ("CLUSTER INFO", &self.cluster.refused),
            ("TIME", &self.time.refused),
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

/// The fields of INFO and CLUSTER INFO.
fn read_lines(value: &Value) -> Result<Fields> {
    Ok(lines(&text(value)?))
}

pub(super) fn lines(text: &str) -> Fields {
    let pairs = text.lines().filter_map(|line| line.trim_end().split_once(':'));
    pairs.map(|(key, value)| (key.to_string(), value.to_string())).collect()
}
