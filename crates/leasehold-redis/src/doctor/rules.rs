//! The rules that turn readings into findings. No I/O. A rule whose readings are missing finds nothing.

#[cfg(test)]
mod tests;

use leasehold_core::Finding;

use super::probe::Probe;

/// The first version with all commands that scripts use.
const VERSION_MIN: (u64, u64) = (6, 2);
/// The first version with sharded channels.
const VERSION_SHARDED: (u64, u64) = (7, 0);
const SKEW_WARNING_US: u64 = 1_000_000;
const SKEW_CRITICAL_US: u64 = 10_000_000;
/// Shares in percent above which a limit is near.
const CLIENTS_PERCENT: u64 = 80;
const MEMORY_PERCENT: u64 = 90;
/// Longer than the usual 15 s.
const NODE_TIMEOUT_MS: u64 = 30_000;

/// The findings about one server.
pub(super) fn findings(probe: &Probe) -> Vec<Finding> {
    let rules: [fn(&Probe) -> Option<Finding>; 17] = [
        refused_readings,
        busy,
        loading,
        role,
        misaddressed,
        cluster_state,
        coverage,
        node_timeout,
        version,
        eviction,
        memory,
        clients,
        persistence,
        saving,
        clock,
        idle,
        channels,
    ];
    let mut findings: Vec<Finding> = rules.iter().filter_map(|rule| rule(probe)).collect();
    if probe.info.is("role", "master") {
        findings.extend([replicas(probe), write_quorum(probe)].into_iter().flatten());
    }
    findings
}

/// The finding about a server that did not answer.
pub(super) fn silent(node: &str, error: &str) -> Finding {
    Finding::critical(
        node,
        format!("it does not answer: {error}"),
        "the locks in its slots can be neither taken nor renewed",
        "bring it back, or let a replica take over",
    )
}

impl Probe {
    fn critical(&self, what: impl Into<String>, why: &str, fix: impl Into<String>) -> Option<Finding> {
        Some(Finding::critical(&self.node, what, why, fix))
    }

    fn warning(&self, what: impl Into<String>, why: &str, fix: impl Into<String>) -> Option<Finding> {
        Some(Finding::warning(&self.node, what, why, fix))
    }

    fn ok(&self, what: impl Into<String>, why: &str) -> Option<Finding> {
        Some(Finding::ok(&self.node, what, why))
    }
}

/// Readings that the server refuses.
fn refused_readings(probe: &Probe) -> Option<Finding> {
    let refusals = probe.refusals();
    let unseen = refusals.iter().filter(|(_, code)| !matches!(*code, "BUSY" | "LOADING"));
    let unseen: Vec<String> = unseen.map(|(command, code)| format!("{command} ({code})")).collect();
    if unseen.is_empty() {
        return None;
    }
    probe.warning(
        format!("the server refuses {}", unseen.join(", ")),
        "their readings are missing here",
        "grant this user +info +config|get +cluster|info +time, undo rename-command, or ask the operator of the server",
    )
}

fn channels(probe: &Probe) -> Option<Finding> {
    let code = probe.channels.refused.as_deref()?;
    probe.warning(
        format!("this user may not publish the releases of its dialect ({code})"),
        "a release wakes nobody: waiters of Redisson sleep until the time to live has passed, those of Spring for their whole wait, those \
         of Leasehold ask again",
        format!("grant it &{}", probe.channel_pattern),
    )
}

fn busy(probe: &Probe) -> Option<Finding> {
    probe.refusals().iter().find(|(_, code)| *code == "BUSY")?;
    probe.critical(
        "a script blocks it (BUSY)",
        "no lock can be taken or renewed while it runs, so leases are lost",
        "SCRIPT KILL ends it if it has not written; otherwise wait, and find its sender (CLIENT LIST)",
    )
}

fn loading(probe: &Probe) -> Option<Finding> {
    let refused = probe.refusals().iter().any(|(_, code)| *code == "LOADING");
    if !refused && !probe.info.is("loading", "1") {
        return None;
    }
    probe.critical(
        "it is loading its data set",
        "no lock can be taken or renewed until it is done",
        "wait until INFO persistence says loading:0",
    )
}

fn role(probe: &Probe) -> Option<Finding> {
    match probe.info.get("role")? {
        "master" => probe.ok("it is a master", "it takes writes"),
        _ => probe.critical(
            "it is a replica",
            "a replica takes no writes, so no lock can be taken; and what it shows may be old",
            match probe.info.get("master_host").zip(probe.info.get("master_port")) {
                Some((host, port)) => format!("name the master ({host}:{port}), or use redis+sentinel://"),
                None => "name the master, or use redis+sentinel://".to_string(),
            },
        ),
    }
}

fn misaddressed(probe: &Probe) -> Option<Finding> {
    if probe.is_cluster || !probe.info.is("cluster_enabled", "1") {
        return None;
    }
    probe.critical(
        "it is a node of a Cluster, and the URL names a single server",
        "locks whose slots are elsewhere are refused (MOVED), and a failover is not followed",
        "use redis+cluster://, with any of the nodes",
    )
}

fn cluster_state(probe: &Probe) -> Option<Finding> {
    match probe.cluster.get("cluster_state")? {
        "ok" => {
            probe.ok("the Cluster is in order (cluster_state ok)", "every slot that it needs has an owner")
        }
        state => probe.critical(
            format!("the Cluster is not in order (cluster_state {state})"),
            "it refuses to take and to renew locks (CLUSTERDOWN)",
            "see CLUSTER NODES and CLUSTER INFO: give every slot an owner, bring a majority of masters back",
        ),
    }
}

fn coverage(probe: &Probe) -> Option<Finding> {
    let clustered = probe.info.is("cluster_enabled", "1") || probe.is_cluster;
    if !clustered || !probe.config.is("cluster-require-full-coverage", "yes") {
        return None;
    }
    probe.warning(
        "one slot without an owner stops the whole Cluster (cluster-require-full-coverage yes)",
        "all locks are lost with one master and its replicas, not only those in its slots",
        "CONFIG SET cluster-require-full-coverage no on every node, and in redis.conf",
    )
}

fn node_timeout(probe: &Probe) -> Option<Finding> {
    let timeout = probe.config.number("cluster-node-timeout")?;
    if !probe.info.is("cluster_enabled", "1") || timeout <= NODE_TIMEOUT_MS {
        return None;
    }
    probe.warning(
        format!("cluster-node-timeout is {timeout} ms"),
        "for this time a master that is cut off grants locks that a failover loses, and no other takes over",
        "CONFIG SET cluster-node-timeout 15000 on every node, and in redis.conf",
    )
}

fn version(probe: &Probe) -> Option<Finding> {
    let text = probe.info.get("redis_version")?;
    let mut parts = text.split('.').map(|part| part.parse::<u64>().ok());
    let version = (parts.next()??, parts.next()??);
    let name = match probe.info.get("valkey_version") {
        Some(valkey) => format!("Valkey {valkey}, which speaks as Redis {text}"),
        None => format!("Redis {text}"),
    };
    if version < VERSION_MIN {
        return probe.critical(
            name,
            "the scripts and commands that locks need are not all there",
            "Redis 6.2 or later is needed, 7 or later is best",
        );
    }
    if version < VERSION_SHARDED {
        return probe.warning(
            name,
            "it has no sharded channels: in a Cluster every wake-up goes to every node",
            "Redis 7 or later",
        );
    }
    probe.ok(name, "it has all that locks use")
}

fn eviction(probe: &Probe) -> Option<Finding> {
    let policy = probe.info.get("maxmemory_policy").or_else(|| probe.config.get("maxmemory-policy"))?;
    let fix =
        "CONFIG SET maxmemory-policy noeviction, and in redis.conf; or give locks a server of their own";
    if policy == "noeviction" {
        return probe.ok("it evicts nothing (maxmemory-policy noeviction)", "a lock stays until it ends");
    }
    if policy.starts_with("allkeys") || limit(probe).is_some_and(|limit| limit > 0) {
        return probe.critical(
            format!("it may evict locks when its memory is full (maxmemory-policy {policy})"),
            "a lock that is evicted lets a second holder in while the first is at work",
            fix,
        );
    }
    probe.warning(
        format!("it would evict locks if its memory were limited (maxmemory-policy {policy})"),
        "the day that somebody sets maxmemory, a full memory lets second holders in",
        fix,
    )
}

fn limit(probe: &Probe) -> Option<u64> {
    probe.info.number("maxmemory").or_else(|| probe.config.number("maxmemory"))
}

fn memory(probe: &Probe) -> Option<Finding> {
    let (limit, used) = (limit(probe).filter(|limit| *limit > 0)?, probe.info.number("used_memory")?);
    if !probe.info.is("maxmemory_policy", "noeviction") {
        return None;
    }
    let percent = used.saturating_mul(100) / limit;
    if used.saturating_mul(100) > limit.saturating_mul(MEMORY_PERCENT) {
        return probe.warning(
            format!("{percent} % of its memory are in use"),
            "a full server refuses to grant locks (OOM)",
            "raise maxmemory, or free memory",
        );
    }
    probe.ok(format!("{percent} % of its memory are in use"), "there is room for locks")
}

fn clients(probe: &Probe) -> Option<Finding> {
    let (most, now) = (probe.info.number("maxclients")?, probe.info.number("connected_clients")?);
    let what = format!("{now} of {most} clients are connected");
    if now.saturating_mul(100) > most.saturating_mul(CLIENTS_PERCENT) {
        return probe.warning(
            what,
            "a client that cannot connect can neither take nor renew a lock",
            "raise maxclients, or find the clients that connect so often (CLIENT LIST)",
        );
    }
    probe.ok(what, "there is room for more")
}

fn persistence(probe: &Probe) -> Option<Finding> {
    let append = match (probe.config.get("appendonly"), probe.info.get("aof_enabled")) {
        (Some(word), _) => word == "yes",
        (None, Some(digit)) => digit == "1",
        (None, None) => return None,
    };
    let fix = "CONFIG SET appendonly yes and appendfsync always, and in redis.conf";
    let why = "after a restart, a second holder gets in while the first is at work";
    match (append, probe.config.get("appendfsync"), probe.config.get("save")) {
        (true, Some("always"), _) => {
            probe.ok("it syncs every write to disk (appendfsync always)", "a restart loses no lock")
        }
        (true, Some("everysec"), _) => probe.warning(
            "it may lose the last second of writes when the machine dies (appendfsync everysec)",
            why,
            fix,
        ),
        (true, Some(word), _) => {
            probe.warning(format!("it leaves syncing to the system (appendfsync {word})"), why, fix)
        }
        (true, None, _) => None,
        (false, _, Some("")) => {
            probe.warning("it keeps nothing on disk: a restart loses every lock", why, fix)
        }
        (false, _, Some(_)) => {
            probe.warning("it keeps snapshots alone: a restart loses the locks since the last one", why, fix)
        }
        (false, _, None) => {
            probe.warning("it has no append-only file: a restart loses at least the latest locks", why, fix)
        }
    }
}

/// A server that cannot save refuses writes.
fn saving(probe: &Probe) -> Option<Finding> {
    let why = "it refuses to take and to renew locks (MISCONF)";
    let fix = "look at its log and at its disk: is it full, or not writable?";
    if probe.info.is("aof_last_write_status", "err") {
        return probe.critical("it cannot write its append-only file", why, fix);
    }
    if !probe.info.is("rdb_last_bgsave_status", "err") {
        return None;
    }
    let snapshots = probe.config.get("save").is_none_or(|save| !save.is_empty());
    if snapshots && probe.config.is("stop-writes-on-bgsave-error", "yes") {
        return probe.critical(
            "its last snapshot failed, and it takes no writes until one succeeds",
            why,
            fix,
        );
    }
    probe.warning("its last snapshot failed", "a restart loses the locks since the last one", fix)
}

fn clock(probe: &Probe) -> Option<Finding> {
    let skew = probe.skew?;
    let span = std::time::Duration::from_micros(skew.ahead_us.unsigned_abs()).as_secs_f64();
    let word = if skew.ahead_us < 0 { "behind" } else { "ahead of" };
    let what = format!("its clock is {span:.3} s {word} this machine's");
    let why = "locks end, and fencing tokens grow, by the clocks of servers: one that is wrong, or is put right by a \
               jump, ends locks early or late, and after a failover tokens may go back";
    let fix = "let NTP keep the clocks of all servers and of this machine, by slewing";
    match skew.at_least_us() {
        apart if apart > SKEW_CRITICAL_US => probe.critical(what, why, fix),
        apart if apart > SKEW_WARNING_US => probe.warning(what, why, fix),
        _ => probe.ok("its clock agrees with this machine's", "locks end when they should"),
    }
}

fn idle(probe: &Probe) -> Option<Finding> {
    let seconds = probe.config.number("timeout").filter(|seconds| *seconds > 0)?;
    probe.warning(
        format!("it closes connections that are silent for {seconds} s (timeout)"),
        "a client that was quiet connects again before it can take a lock, and every lock is renewed at once then",
        "CONFIG SET timeout 0, and in redis.conf; tcp-keepalive finds dead clients",
    )
}

/// Whether grants wait for replicas, by the URL.
fn replicas(probe: &Probe) -> Option<Finding> {
    let (there, wanted) = (probe.replicas()?, u64::from(probe.min_replicas));
    let why = "a failover to a replica without the lock lets a second holder in";
    if wanted > there {
        return probe.critical(
            format!("min_replicas is {wanted}, and {there} replicas follow"),
            "no grant can be confirmed: every lock is refused",
            "bring replicas back, or lower min_replicas in the URL",
        );
    }
    match (there, wanted) {
        (0, _) => None,
        (_, 0) => probe.warning(
            format!("replicas follow ({there}), and grants do not wait for them"),
            why,
            format!("add min_replicas={there} to the URL"),
        ),
        _ if wanted < there => probe.warning(
            format!("grants wait for {wanted} of {there} replicas"),
            why,
            format!("min_replicas={there} in the URL; a replica that is down stops grants then"),
        ),
        _ => probe.ok(format!("grants wait for all {there} replicas"), "a failover finds every lock"),
    }
}

/// Whether a master that is cut off from its replicas stops granting.
fn write_quorum(probe: &Probe) -> Option<Finding> {
    let (there, wanted) = (probe.replicas()?, probe.config.number("min-replicas-to-write")?);
    let lag = probe.config.number("min-replicas-max-lag")?;
    // Either of them at 0 turns it off.
    let is_on = wanted > 0 && lag > 0;
    if is_on && wanted > there {
        return probe.critical(
            format!("min-replicas-to-write is {wanted}, and {there} replicas follow"),
            "it refuses to take and to renew locks (NOREPLICAS)",
            "bring replicas back, or lower min-replicas-to-write",
        );
    }
    if is_on {
        let what = format!("cut off from its replicas, it stops within {lag} s (min-replicas-to-write)");
        return probe.ok(what, "a network partition loses a bounded number of locks");
    }
    if there == 0 {
        return None;
    }
    probe.warning(
        "cut off from its replicas, it goes on granting (min-replicas-to-write 0)",
        "a master that was replaced grants locks that the new one does not have",
        "CONFIG SET min-replicas-to-write 1 and min-replicas-max-lag 10, and in redis.conf",
    )
}
