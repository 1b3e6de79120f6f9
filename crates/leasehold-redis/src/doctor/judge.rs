//! From facts to findings. No I/O: each rule looks at what was seen of one server, and has nothing to say about what was
//! not.

#[cfg(test)]
mod tests;

use leasehold_core::Finding;

use super::facts::{Facts, Kind};

/// Redis before this lacks what our scripts and commands use.
const VERSION_MIN: (u64, u64) = (6, 2);
/// Since this version, channels of a Cluster live in slots.
const VERSION_SHARDED: (u64, u64) = (7, 0);
const SKEW_AMBER_US: u64 = 1_000_000;
const SKEW_RED_US: u64 = 10_000_000;
/// Shares in percent from which a limit is near.
const CLIENTS_PERCENT: u64 = 80;
const MEMORY_PERCENT: u64 = 90;
/// Longer than the usual 15 s.
const NODE_TIMEOUT_MS: u64 = 30_000;

/// What the facts mean for locks.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let rules: [fn(&Facts) -> Option<Finding>; 16] = [
        blind,
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
    ];
    let mut findings: Vec<Finding> = rules.iter().filter_map(|rule| rule(facts)).collect();
    if facts.info.is("role", "master") {
        findings.extend([replicas(facts), write_quorum(facts)].into_iter().flatten());
    }
    findings
}

/// A server that did not answer.
pub(super) fn silent(node: &str, error: &str) -> Finding {
    Finding::critical(
        node,
        format!("cannot be looked at: {error}"),
        "the locks in its slots can be neither taken nor renewed",
        "bring it back, or let a replica take over",
    )
}

impl Facts {
    fn red(&self, what: impl Into<String>, why: &str, fix: impl Into<String>) -> Option<Finding> {
        Some(Finding::critical(&self.node, what, why, fix))
    }

    fn amber(&self, what: impl Into<String>, why: &str, fix: impl Into<String>) -> Option<Finding> {
        Some(Finding::warning(&self.node, what, why, fix))
    }

    fn green(&self, what: impl Into<String>, why: &str) -> Option<Finding> {
        Some(Finding::ok(&self.node, what, why))
    }
}

/// What could not be looked at.
fn blind(facts: &Facts) -> Option<Finding> {
    let refusals = facts.refusals();
    let unseen = refusals.iter().filter(|(_, code)| !matches!(*code, "BUSY" | "LOADING"));
    let unseen: Vec<String> = unseen.map(|(command, code)| format!("{command} ({code})")).collect();
    if unseen.is_empty() {
        return None;
    }
    facts.amber(
        format!("could not look: the server refuses {}", unseen.join(", ")),
        "what they would have shown is not judged here",
        "grant this user +info +config|get +cluster|info +time, or ask who runs the server",
    )
}

fn busy(facts: &Facts) -> Option<Finding> {
    facts.refusals().iter().find(|(_, code)| *code == "BUSY")?;
    facts.red(
        "a script blocks it (BUSY)",
        "no lock can be taken or renewed while it runs, so leases are lost",
        "SCRIPT KILL ends it if it has not written; otherwise wait, and see who sent it (CLIENT LIST)",
    )
}

fn loading(facts: &Facts) -> Option<Finding> {
    let refused = facts.refusals().iter().any(|(_, code)| *code == "LOADING");
    if !refused && !facts.info.is("loading", "1") {
        return None;
    }
    facts.red(
        "it is loading its data set",
        "no lock can be taken or renewed until it is done",
        "wait until INFO persistence says loading:0",
    )
}

fn role(facts: &Facts) -> Option<Finding> {
    match facts.info.get("role")? {
        "master" => facts.green("it is a master", "it takes writes"),
        _ => facts.red(
            "it is a replica",
            "a replica takes no writes, so no lock can be taken; and what it shows may be old",
            match facts.info.get("master_host").zip(facts.info.get("master_port")) {
                Some((host, port)) => format!("name the master ({host}:{port}), or use redis+sentinel://"),
                None => "name the master, or use redis+sentinel://".to_string(),
            },
        ),
    }
}

fn misaddressed(facts: &Facts) -> Option<Finding> {
    if facts.kind == Kind::Cluster || !facts.info.is("cluster_enabled", "1") {
        return None;
    }
    facts.red(
        "it is a node of a Cluster, and the URL says it is not",
        "locks whose slots are elsewhere are refused (MOVED), and a failover is not followed",
        "use redis+cluster://, with any of the nodes",
    )
}

fn cluster_state(facts: &Facts) -> Option<Finding> {
    match facts.cluster.get("cluster_state")? {
        "ok" => {
            facts.green("the Cluster is well (cluster_state ok)", "every slot that it needs has an owner")
        }
        state => facts.red(
            format!("the Cluster is not well (cluster_state {state})"),
            "it refuses to take and to renew locks (CLUSTERDOWN)",
            "see CLUSTER NODES and CLUSTER INFO: give every slot an owner, bring a majority of masters back",
        ),
    }
}

fn coverage(facts: &Facts) -> Option<Finding> {
    let clustered = facts.info.is("cluster_enabled", "1") || facts.kind == Kind::Cluster;
    if !clustered || !facts.config.is("cluster-require-full-coverage", "yes") {
        return None;
    }
    facts.amber(
        "one slot without an owner stops the whole Cluster (cluster-require-full-coverage yes)",
        "all locks are lost with one master and its replicas, not only those in its slots",
        "CONFIG SET cluster-require-full-coverage no on every node, and in redis.conf",
    )
}

fn node_timeout(facts: &Facts) -> Option<Finding> {
    let timeout = facts.config.number("cluster-node-timeout")?;
    if !facts.info.is("cluster_enabled", "1") || timeout <= NODE_TIMEOUT_MS {
        return None;
    }
    facts.amber(
        format!("cluster-node-timeout is {timeout} ms"),
        "for so long a master that is cut off goes on granting locks that a failover forgets, and no other takes over",
        "CONFIG SET cluster-node-timeout 15000 on every node, and in redis.conf",
    )
}

fn version(facts: &Facts) -> Option<Finding> {
    let text = facts.info.get("redis_version")?;
    let mut parts = text.split('.').map(|part| part.parse::<u64>().ok());
    let version = (parts.next()??, parts.next()??);
    let name = match facts.info.get("valkey_version") {
        Some(valkey) => format!("Valkey {valkey}, which speaks as Redis {text}"),
        None => format!("Redis {text}"),
    };
    if version < VERSION_MIN {
        return facts.red(
            name,
            "the scripts and commands that locks need are not all there",
            "Redis 6.2 or later is needed, 7 or later is best",
        );
    }
    if version < VERSION_SHARDED {
        return facts.amber(
            name,
            "it has no sharded channels: in a Cluster every wake-up goes to every node",
            "Redis 7 or later",
        );
    }
    facts.green(name, "it has all that locks use")
}

fn eviction(facts: &Facts) -> Option<Finding> {
    let policy = facts.info.get("maxmemory_policy").or_else(|| facts.config.get("maxmemory-policy"))?;
    let fix =
        "CONFIG SET maxmemory-policy noeviction, and in redis.conf; or give locks a server of their own";
    if policy == "noeviction" {
        return facts.green("it evicts nothing (maxmemory-policy noeviction)", "a lock stays until it ends");
    }
    if policy.starts_with("allkeys") || limit(facts).is_some_and(|limit| limit > 0) {
        return facts.red(
            format!("it may evict locks when its memory is full (maxmemory-policy {policy})"),
            "a lock that is evicted lets a second holder in while the first is at work",
            fix,
        );
    }
    facts.amber(
        format!("it would evict locks if its memory were limited (maxmemory-policy {policy})"),
        "the day that somebody sets maxmemory, a full memory lets second holders in",
        fix,
    )
}

fn limit(facts: &Facts) -> Option<u64> {
    facts.info.number("maxmemory").or_else(|| facts.config.number("maxmemory"))
}

fn memory(facts: &Facts) -> Option<Finding> {
    let (limit, used) = (limit(facts).filter(|limit| *limit > 0)?, facts.info.number("used_memory")?);
    if !facts.info.is("maxmemory_policy", "noeviction") {
        return None;
    }
    let percent = used.saturating_mul(100) / limit;
    if used.saturating_mul(100) > limit.saturating_mul(MEMORY_PERCENT) {
        return facts.amber(
            format!("{percent} % of its memory are in use"),
            "a full server refuses to take locks (OOM)",
            "raise maxmemory, or free memory",
        );
    }
    facts.green(format!("{percent} % of its memory are in use"), "there is room for locks")
}

fn clients(facts: &Facts) -> Option<Finding> {
    let (most, now) = (facts.info.number("maxclients")?, facts.info.number("connected_clients")?);
    let what = format!("{now} of {most} clients are connected");
    if now.saturating_mul(100) > most.saturating_mul(CLIENTS_PERCENT) {
        return facts.amber(
            what,
            "who cannot connect can neither take nor renew a lock",
            "raise maxclients, or find out who connects so often (CLIENT LIST)",
        );
    }
    facts.green(what, "there is room for more")
}

fn persistence(facts: &Facts) -> Option<Finding> {
    let append = match (facts.config.get("appendonly"), facts.info.get("aof_enabled")) {
        (Some(word), _) => word == "yes",
        (None, Some(digit)) => digit == "1",
        (None, None) => return None,
    };
    let fix = "CONFIG SET appendonly yes and appendfsync always, and in redis.conf";
    let why = "after a restart, a second holder gets in while the first is at work";
    match (append, facts.config.get("appendfsync"), facts.config.get("save")) {
        (true, Some("always"), _) => {
            facts.green("it syncs every write to disk (appendfsync always)", "a restart loses no lock")
        }
        (true, Some("everysec"), _) => facts.amber(
            "it may forget the last second when the machine dies (appendfsync everysec)",
            why,
            fix,
        ),
        (true, Some(word), _) => {
            facts.amber(format!("it leaves syncing to the system (appendfsync {word})"), why, fix)
        }
        (true, None, _) => None,
        (false, _, Some("")) => {
            facts.amber("it keeps nothing on disk: a restart forgets every lock", why, fix)
        }
        (false, _, Some(_)) => {
            facts.amber("it keeps snapshots alone: a restart forgets the locks since the last", why, fix)
        }
        (false, _, None) => {
            facts.amber("it has no append-only file: a restart forgets at least the latest locks", why, fix)
        }
    }
}

/// A server that cannot save refuses writes.
fn saving(facts: &Facts) -> Option<Finding> {
    let why = "it refuses to take and to renew locks (MISCONF)";
    let fix = "look at its log and at its disk: is it full, or not writable?";
    if facts.info.is("aof_last_write_status", "err") {
        return facts.red("it cannot write its append-only file", why, fix);
    }
    if !facts.info.is("rdb_last_bgsave_status", "err") {
        return None;
    }
    let snapshots = facts.config.get("save").is_none_or(|save| !save.is_empty());
    if snapshots && facts.config.is("stop-writes-on-bgsave-error", "yes") {
        return facts.red("its last snapshot failed, and it takes no writes until one succeeds", why, fix);
    }
    facts.amber("its last snapshot failed", "a restart forgets the locks since the last one", fix)
}

fn clock(facts: &Facts) -> Option<Finding> {
    let skew = facts.skew?;
    let span = std::time::Duration::from_micros(skew.ahead_us.unsigned_abs()).as_secs_f64();
    let word = if skew.ahead_us < 0 { "behind" } else { "ahead of" };
    let what = format!("its clock is {span:.3} s {word} this machine's");
    let why = "locks end, and fencing tokens grow, by the clocks of servers: one that is wrong, or is put right by a \
               jump, ends locks early or late, and after a failover tokens may go back";
    let fix = "let NTP keep the clocks of all servers and of this machine, by slewing";
    match skew.at_least_us() {
        apart if apart > SKEW_RED_US => facts.red(what, why, fix),
        apart if apart > SKEW_AMBER_US => facts.amber(what, why, fix),
        _ => facts.green("its clock agrees with this machine's", "locks end when they should"),
    }
}

fn idle(facts: &Facts) -> Option<Finding> {
    let seconds = facts.config.number("timeout").filter(|seconds| *seconds > 0)?;
    facts.amber(
        format!("it closes connections that are silent for {seconds} s (timeout)"),
        "a client that was quiet connects again before it can take a lock, and every lock is renewed at once then",
        "CONFIG SET timeout 0, and in redis.conf; tcp-keepalive finds dead clients",
    )
}

/// Whether grants wait for replicas, as the URL has it.
fn replicas(facts: &Facts) -> Option<Finding> {
    let (there, wanted) = (facts.replicas()?, u64::from(facts.min_replicas));
    let why = "a failover to a replica that has not heard of a lock lets a second holder in";
    if wanted > there {
        return facts.red(
            format!("min_replicas is {wanted}, and {there} replicas follow"),
            "no grant can be confirmed: every lock is refused",
            "bring replicas back, or lower min_replicas in the URL",
        );
    }
    match (there, wanted) {
        (0, _) => None,
        (_, 0) => facts.amber(
            format!("replicas follow ({there}), and grants do not wait for them"),
            why,
            format!("add min_replicas={there} to the URL"),
        ),
        _ if wanted < there => facts.amber(
            format!("grants wait for {wanted} of {there} replicas"),
            why,
            format!("min_replicas={there} in the URL; a replica that is down stops grants then"),
        ),
        _ => facts.green(format!("grants wait for all {there} replicas"), "a failover finds every lock"),
    }
}

/// Whether a master that is cut off from its replicas stops granting.
fn write_quorum(facts: &Facts) -> Option<Finding> {
    let (there, wanted) = (facts.replicas()?, facts.config.number("min-replicas-to-write")?);
    let lag = facts.config.number("min-replicas-max-lag")?;
    // Either of them at 0 turns it off.
    let is_on = wanted > 0 && lag > 0;
    if is_on && wanted > there {
        return facts.red(
            format!("min-replicas-to-write is {wanted}, and {there} replicas follow"),
            "it refuses to take and to renew locks (NOREPLICAS)",
            "bring replicas back, or lower min-replicas-to-write",
        );
    }
    if is_on {
        let what = format!("cut off from its replicas, it stops within {lag} s (min-replicas-to-write)");
        return facts.green(what, "what a split can lose has a bound");
    }
    if there == 0 {
        return None;
    }
    facts.amber(
        "cut off from its replicas, it goes on granting (min-replicas-to-write 0)",
        "a master that was replaced grants locks that nobody will know of",
        "CONFIG SET min-replicas-to-write 1 and min-replicas-max-lag 10, and in redis.conf",
    )
}
