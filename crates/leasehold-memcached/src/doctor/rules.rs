//! Rules that turn a probe into findings. No I/O: each rule judges what was observed, and skips what was not.

#[cfg(test)]
mod tests;

use leasehold_core::Finding;

use super::probe::Probe;
use crate::server_info::{COMPARE_AND_DELETE, DOCUMENT_MAX, ITEM_MIN, OLDEST, numbers};

/// The shares in percent from which a limit is near.
const CLIENTS_PERCENT: u64 = 80;
const MEMORY_PERCENT: u64 = 90;
/// The tolerated differences of the calendars; the server's counts whole seconds.
const SKEW_AMBER_S: u64 = 3;
const SKEW_RED_S: u64 = 60;
/// The uptime up to which holders from before the start may still be at work.
const YOUNG_S: u64 = 600;

/// The findings of all rules.
pub(super) fn findings(probe: &Probe) -> Vec<Finding> {
    let rules: [fn(&Probe) -> Option<Finding>; 15] = [
        compares, item_size, version, eviction, memory, refusals, flushes, restart, age, clock, clients,
        idle, udp, access, list,
    ];
    rules.iter().filter_map(|rule| rule(probe)).collect()
}

impl Probe {
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

fn compares(probe: &Probe) -> Option<Finding> {
    if probe.settings.get("cas_enabled")? == "yes" {
        return None;
    }
    probe.red(
        "it was started with -C: its items have no CAS uniques",
        "a release would free anybody's lock, so no lock is taken there",
        "start it without -C",
    )
}

fn item_size(probe: &Probe) -> Option<Finding> {
    let size = probe.settings.count("item_size_max")?;
    let (least, enough) = (ITEM_MIN as u64, DOCUMENT_MAX as u64 + 1024);
    let what = format!("its items have at most {size} bytes (-I)");
    if size < least {
        return probe.red(
            what,
            "the document of a lock may be larger, so no lock is taken there",
            "start it with -I 1m",
        );
    }
    if size < enough {
        return probe.amber(
            what,
            "a lock has room for fewer waiters and shorter notes; more are refused",
            "start it with -I 1m, which is the default",
        );
    }
    None
}

fn version(probe: &Probe) -> Option<Finding> {
    let text = probe.stats.get("version")?;
    let (what, numbers) = (format!("memcached {text}"), numbers(text));
    if numbers < OLDEST {
        return probe.red(
            format!("{what} has no meta commands"),
            "a holder could not be told from its successor, so no lock is taken there",
            "upgrade to 1.6.13 or later",
        );
    }
    if numbers < COMPARE_AND_DELETE || probe.text_only {
        return probe.amber(
            what,
            "before 1.6.13 it cannot compare before it deletes: a release and a renewal need memory",
            "upgrade to 1.6.13 or later",
        );
    }
    probe.green(what, "it compares before it deletes and prolongs")
}

fn eviction(probe: &Probe) -> Option<Finding> {
    if probe.settings.get("evictions")? != "on" {
        return probe.green("it evicts nothing (-M)", "a lock stays until it ends");
    }
    let what = match probe.stats.count("evictions").unwrap_or(0) {
        0 => "it may evict locks when its memory is full".to_string(),
        count => format!("it evicts when its memory is full, and has evicted {count} items since it started"),
    };
    probe.red(
        what,
        "a lock that is evicted lets a second holder in while the first is at work",
        "start it with -M, or give locks a server of their own",
    )
}

/// Of one that evicts nothing: whether there is room.
fn memory(probe: &Probe) -> Option<Finding> {
    let (limit, used) = (probe.stats.count("limit_maxbytes")?, probe.stats.count("bytes")?);
    let percent = used.saturating_mul(100).checked_div(limit)?;
    if probe.settings.is("evictions", "on") {
        return None;
    }
    if percent > MEMORY_PERCENT {
        return probe.amber(
            format!("{percent} % of its memory are in use"),
            "a full server refuses to take locks, and keeps those that are held",
            "raise -m, or find out what fills it: it may be items without an end (stats items)",
        );
    }
    probe.green(format!("{percent} % of its memory are in use"), "there is room for locks")
}

fn refusals(probe: &Probe) -> Option<Finding> {
    let count = probe.stats.count("store_no_memory").filter(|count| *count > 0)?;
    probe.amber(
        format!("it had no room {count} times since it started"),
        "locks were refused then, or whatever else was to be stored",
        "raise -m, or give locks a server of their own",
    )
}

fn flushes(probe: &Probe) -> Option<Finding> {
    let fix = "start it with -F, or give locks a server of their own";
    match (probe.stats.count("cmd_flush")?, probe.settings.is("flush_enabled", "no")) {
        (0, true) => probe.green("nobody can empty it (-F)", "flush_all would end every lock"),
        (0, false) => probe.green("it was never emptied since it started", "flush_all ends every lock"),
        (count, _) => probe.amber(
            format!("it was emptied {count} times since it started (flush_all)"),
            "every lock that was held then was lost",
            fix,
        ),
    }
}

fn restart(probe: &Probe) -> Option<Finding> {
    probe.amber(
        "it keeps nothing on disk: a restart loses every lock",
        "after a restart, a second holder gets in while the first is at work",
        "let the resource check fencing tokens, or keep locks in another store",
    )
}

fn age(probe: &Probe) -> Option<Finding> {
    let uptime = probe.stats.count("uptime").filter(|uptime| *uptime < YOUNG_S)?;
    probe.amber(
        format!("it was started {uptime} s ago"),
        "if it ran before, every lock of that run was lost, and its holders may still be at work",
        "find out what ended it; wait for the longest time to live before what cannot be undone",
    )
}

fn clock(probe: &Probe) -> Option<Finding> {
    let skew = probe.skew_s()?;
    let what = format!("its calendar is {skew} s off from this machine's");
    let why = "fencing tokens grow from when the server was started, by its own calendar: set back, a server that is \
               started again may give tokens that were given before";
    let fix = "let NTP keep the clocks of the server and of this machine";
    match skew {
        SKEW_RED_S.. => probe.red(what, why, fix),
        SKEW_AMBER_S.. => probe.amber(what, why, fix),
        _ => None,
    }
}

fn clients(probe: &Probe) -> Option<Finding> {
    let why = "who cannot connect can neither take nor renew a lock";
    let fix = "raise -c, or find out who connects so often (stats conns)";
    if probe.stats.is("accepting_conns", "0") {
        return probe.red("it accepts no connections at the moment", why, fix);
    }
    let (most, now) = (probe.stats.count("max_connections")?, probe.stats.count("curr_connections")?);
    if now.saturating_mul(100) > most.saturating_mul(CLIENTS_PERCENT) {
        return probe.amber(format!("{now} of {most} connections are open"), why, fix);
    }
    let refused = probe.stats.count("listen_disabled_num").filter(|count| *count > 0)?;
    probe.amber(format!("it had no connection to give {refused} times since it started"), why, fix)
}

fn idle(probe: &Probe) -> Option<Finding> {
    let seconds = probe.settings.count("idle_timeout").filter(|seconds| *seconds > 0)?;
    probe.amber(
        format!("it closes connections that are silent for {seconds} s (idle_timeout)"),
        "a client that was quiet connects again before it can take a lock, and every lock is renewed at once then",
        "start it without -o idle_timeout",
    )
}

fn udp(probe: &Probe) -> Option<Finding> {
    let port = probe.settings.count("udpport").filter(|port| *port > 0)?;
    probe.amber(
        format!("it listens to UDP as well (port {port})"),
        "anybody can send commands there under a false address, also such as end locks, and it answers to that address",
        "start it with -U 0, which is the default since 1.5.6",
    )
}

fn access(probe: &Probe) -> Option<Finding> {
    probe.settings.get("inter")?;
    if probe.is_local() {
        return probe.green(
            "it is reached from its own machine alone",
            "clients on other machines cannot end its locks",
        );
    }
    if probe.settings.is("ssl_enabled", "yes") {
        return None;
    }
    let where_ = probe.interfaces().unwrap_or("all interfaces");
    probe.amber(
        format!("it accepts every client, without a password and without TLS ({where_})"),
        "every client that reaches it can end every lock, and read its holders",
        "let a firewall admit its clients alone, or start it with -l on an address that only they reach",
    )
}

fn list(probe: &Probe) -> Option<Finding> {
    let off = if probe.settings.is("lru_crawler", "no") {
        "no_lru_crawler"
    } else if probe.settings.is("dump_enabled", "no") {
        "-X"
    } else {
        return None;
    };
    probe.amber(
        format!("it does not say which keys it has ({off})"),
        "locks can be held and inspected, and not listed",
        format!("start it without {off} if `leasehold list` is wanted"),
    )
}
