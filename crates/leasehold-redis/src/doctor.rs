//! The diagnosis of the servers: readings are taken here, and [`rules`] turns them into findings.

mod probe;
mod rules;

use leasehold_core::{Finding, Result};
use redis::{Cmd, cmd};

use self::probe::{Kind, Probe, Reading, Skew};
use crate::{
    client::ClientState,
    error::ServerError,
    format::{Reply, clock_us, list, text},
    options::Servers,
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

/// The findings about every master, the worst first.
pub(crate) async fn diagnose(state: &ClientState) -> Result<Vec<Finding>> {
    state.check_open()?;
    let (mut findings, mut failure, mut answered) = (Vec::new(), None, false);
    for node in state.masters().await? {
        match read(state, &node).await {
            Ok(probe) => {
                answered = true;
                findings.extend(rules::findings(&probe));
            }
            Err(error) => {
                findings.push(rules::silent(&node.endpoint().to_string(), &error.to_string()));
                failure = failure.or(Some(error));
            }
        }
    }
    match failure {
        Some(error) if !answered => Err(error),
        _ => {
            findings.sort_by_key(|finding| finding.severity);
            Ok(findings)
        }
    }
}

async fn read(state: &ClientState, node: &Node) -> Result<Probe> {
    let (options, limit) = (&state.options, state.options.timeout);
    let kind = match options.servers {
        Servers::Single(_) => Kind::Single,
        Servers::Sentinel { .. } => Kind::Sentinel,
        Servers::Cluster(_) => Kind::Cluster,
    };
    let mut probe = Probe::new(node.endpoint().to_string(), kind, options.min_replicas);
    // This opens the connection, so that TIME below takes one round trip and nothing else.
    probe.info = read_lines(node.call(&[cmd("INFO")], limit).await?.pop())?;
    probe.config = read_settings(node.call(&settings(), limit).await?)?;
    if kind == Kind::Cluster || probe.info.is("cluster_enabled", "1") {
        let mut cluster = cmd("CLUSTER");
        cluster.arg("INFO");
        probe.cluster = read_lines(node.call(&[cluster], limit).await?.pop())?;
    }
    let before = state.env.wall_us();
    let time = node.call(&[cmd("TIME")], limit).await?.pop();
    let after = state.env.wall_us();
    (probe.skew, probe.time_refused) = match time {
        Some(Ok(value)) => (Some(Skew::new(clock_us(value)?, before, after)), None),
        Some(Err(error)) => (None, Some(refused(error)?)),
        None => (None, None),
    };
    Ok(probe)
}

fn settings() -> Vec<Cmd> {
    let get = |name: &&str| {
        let mut get = cmd("CONFIG");
        get.arg("GET").arg(name);
        get
    };
    SETTINGS.iter().map(get).collect()
}

/// The fields of INFO and CLUSTER INFO.
fn read_lines(reply: Option<Reply>) -> Result<Reading> {
    match reply {
        Some(Ok(value)) => Ok(Reading::of_lines(&text(Some(&value))?.unwrap_or_default())),
        Some(Err(error)) => Ok(Reading { refused: Some(refused(error)?), ..Reading::default() }),
        None => Ok(Reading::default()),
    }
}

fn read_settings(replies: Vec<Reply>) -> Result<Reading> {
    let mut reading = Reading::default();
    for reply in replies {
        match reply {
            Ok(value) => {
                let pair = list(value, "a setting and its value")?;
                if let (Some(name), Some(value)) = (text(pair.first())?, text(pair.get(1))?) {
                    reading.fields.insert(name, value);
                }
            }
            Err(error) => reading.refused = Some(refused(error)?),
        }
    }
    Ok(reading)
}

/// The code of a refusal to read. A refused login is an error of the whole diagnosis.
fn refused(error: ServerError) -> Result<String> {
    match error.code.as_str() {
        "NOAUTH" | "WRONGPASS" => Err(error.into()),
        _ => Ok(error.code),
    }
}

/// The findings about a server that answers every request with this text, for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn findings_of_text(text: &str) -> Vec<Finding> {
    let reading = Reading::of_lines(text);
    let findings = |kind| {
        let skew = reading.number("skew_us").map(|server_us| Skew::new(server_us, 1_000_000, 1_000_500));
        let (info, config, cluster) = (reading.clone(), reading.clone(), reading.clone());
        rules::findings(&Probe { info, config, cluster, skew, ..Probe::new("db:6379".to_string(), kind, 1) })
    };
    [Kind::Single, Kind::Sentinel, Kind::Cluster].into_iter().flat_map(findings).collect()
}
