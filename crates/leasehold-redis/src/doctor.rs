//! What an operator should know of the servers: facts are gathered here, and judged in [`judge`].

mod facts;
mod judge;

use leasehold_core::{Finding, Result};
use redis::{Cmd, cmd};

use self::facts::{Facts, Kind, Look, Skew};
use crate::{
    RedisStore,
    connection::{Node, Reply},
    options::Servers,
    refusal::Refusal,
    reply,
    safety::masters,
    session::Session,
    vitals::clock_us,
};

/// What is looked at. No secrets among them, and each is asked for by itself: before Redis 7, `CONFIG GET` takes one.
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

impl RedisStore {
    /// Looks at the configuration and the state of every master and says what matters for locks, the worst first.
    /// Nothing is written. What the user may not look at is a finding, and so is one of several masters that does not
    /// answer.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`](leasehold_core::ErrorKind) and the like when no master answers,
    /// [`ErrorKind::Rejected`](leasehold_core::ErrorKind) for a login that is not accepted.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn diagnose(&self) -> Result<Vec<Finding>> {
        let session = self.session();
        let found = diagnose(session).await;
        found.map_err(|error| error.verb("doctor").store(&*session.options.url))
    }
}

/// For the fuzzers: what is judged of a server that says this in answer to whatever it is asked.
#[cfg(any(test, fuzzing))]
pub(crate) fn judged(text: &str) -> Vec<Finding> {
    let look = Look::of_lines(text);
    let judged = |kind| {
        let skew = look.number("skew_us").map(|server_us| Skew::new(server_us, 1_000_000, 1_000_500));
        let (info, config, cluster) = (look.clone(), look.clone(), look.clone());
        judge::judge(&Facts { info, config, cluster, skew, ..Facts::new("db:6379".to_string(), kind, 1) })
    };
    [Kind::Single, Kind::Sentinel, Kind::Cluster].into_iter().flat_map(judged).collect()
}

async fn diagnose(session: &Session) -> Result<Vec<Finding>> {
    session.refuse_closed()?;
    let (mut findings, mut failure, mut answered) = (Vec::new(), None, false);
    for node in masters(session).await? {
        match look(session, &node).await {
            Ok(facts) => {
                answered = true;
                findings.extend(judge::judge(&facts));
            }
            Err(error) => {
                findings.push(judge::silent(&node.endpoint().to_string(), &error.to_string()));
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

async fn look(session: &Session, node: &Node) -> Result<Facts> {
    let (options, limit) = (&session.options, session.options.timeout);
    let kind = match options.servers {
        Servers::Single(_) => Kind::Single,
        Servers::Sentinel { .. } => Kind::Sentinel,
        Servers::Cluster(_) => Kind::Cluster,
    };
    let mut facts = Facts::new(node.endpoint().to_string(), kind, options.min_replicas);
    // The connection is there afterwards: what TIME takes is the way and nothing else.
    facts.info = look_at_lines(node.call(&[cmd("INFO")], limit).await?.pop())?;
    facts.config = look_at_settings(node.call(&settings(), limit).await?)?;
    if kind == Kind::Cluster || facts.info.is("cluster_enabled", "1") {
        let mut state = cmd("CLUSTER");
        state.arg("INFO");
        facts.cluster = look_at_lines(node.call(&[state], limit).await?.pop())?;
    }
    let before = session.env.wall_us();
    let time = node.call(&[cmd("TIME")], limit).await?.pop();
    let after = session.env.wall_us();
    (facts.skew, facts.time_refused) = match time {
        Some(Ok(value)) => (Some(Skew::new(clock_us(value)?, before, after)), None),
        Some(Err(refusal)) => (None, Some(refused(refusal)?)),
        None => (None, None),
    };
    Ok(facts)
}

fn settings() -> Vec<Cmd> {
    let get = |name: &&str| {
        let mut get = cmd("CONFIG");
        get.arg("GET").arg(name);
        get
    };
    SETTINGS.iter().map(get).collect()
}

/// The reply of INFO and its like.
fn look_at_lines(reply: Option<Reply>) -> Result<Look> {
    match reply {
        Some(Ok(value)) => Ok(Look::of_lines(&reply::text(Some(&value))?.unwrap_or_default())),
        Some(Err(refusal)) => Ok(Look { refused: Some(refused(refusal)?), ..Look::default() }),
        None => Ok(Look::default()),
    }
}

fn look_at_settings(replies: Vec<Reply>) -> Result<Look> {
    let mut look = Look::default();
    for reply in replies {
        match reply {
            Ok(value) => {
                let pair = reply::list(value, "a setting and its value")?;
                if let (Some(name), Some(value)) = (reply::text(pair.first())?, reply::text(pair.get(1))?) {
                    look.fields.insert(name, value);
                }
            }
            Err(refusal) => look.refused = Some(refused(refusal)?),
        }
    }
    Ok(look)
}

/// The first word of a refusal to look. Who is not let in at all is told so.
fn refused(refusal: Refusal) -> Result<String> {
    match refusal.code.as_str() {
        "NOAUTH" | "WRONGPASS" => Err(refusal.into_error()),
        _ => Ok(refusal.code),
    }
}
