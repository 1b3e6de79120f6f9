//! Rules that turn a probe into findings. No I/O: each rule judges one member or the ensemble, and skips what was not
//! observed.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use leasehold_core::{
    Finding,
    env::show,
    store_kit::{clear_text, silent_member, voting_members},
};

use super::probe::{Answer, Probe, Reading};

/// The node of findings about no particular member.
const ENSEMBLE: &str = "zookeeper";
/// The first that reads several nodes at once; containers there are since 3.5.3.
const VERSION_MIN: (u32, u32) = (3, 6);
/// The number of waiting requests that is worth a warning.
const OUTSTANDING: u64 = 100;

/// The findings of all rules.
pub(super) fn findings(probe: &Probe) -> Vec<Finding> {
    let mut findings: Vec<Finding> = probe.readings.iter().flat_map(member).collect();
    let rules: [fn(&Probe) -> Option<Finding>; 6] = [members, unnamed, session, access, privacy, blind];
    findings.extend(rules.iter().filter_map(|rule| rule(probe)));
    findings
}

/// The findings about one member.
fn member(reading: &Reading) -> Vec<Finding> {
    let node = reading.node.as_str();
    match &reading.srvr {
        Answer::None(why) => vec![silent_member(node, why)],
        Answer::ServesNobody => vec![Finding::critical(
            node,
            "it serves nobody",
            "it is cut off from a majority of the members, or they have not elected a leader yet",
            "bring the others back, or find out why it cannot reach them; an election takes seconds",
        )],
        Answer::NotAllowed => Vec::new(),
        answer => {
            let rules: [fn(&str, &Answer) -> Option<Finding>; 3] = [mode, version, outstanding];
            rules.iter().filter_map(|rule| rule(node, answer)).collect()
        }
    }
}

fn mode(node: &str, answer: &Answer) -> Option<Finding> {
    match answer.get("Mode")? {
        "standalone" => Some(Finding::warning(
            node,
            "it is a server alone",
            "while it is down no lock can be taken or renewed, and with its disk all locks and tokens are lost",
            "make it an ensemble of three (server.N= in zoo.cfg)",
        )),
        "read-only" => Some(Finding::critical(
            node,
            "it is cut off from a majority, and shows what it last knew",
            "no lock can be taken or renewed through it",
            "bring the others back, or find out why it cannot reach them",
        )),
        other => {
            // A leader, follower, leading or observer.
            let article = if other.starts_with('o') { "an" } else { "a" };
            Some(Finding::ok(node, format!("it is {article} {other}"), "it belongs to a majority"))
        }
    }
}

fn version(node: &str, answer: &Answer) -> Option<Finding> {
    let text = answer.get("Zookeeper version")?;
    let version = text.split([',', '-']).next().unwrap_or(text);
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    let numbers = (numbers.next().flatten()?, numbers.next().flatten()?);
    let what = format!("ZooKeeper {version}");
    if numbers < VERSION_MIN {
        return Some(Finding::critical(
            node,
            what,
            "before 3.6 it cannot read several nodes at once: locks do not work there",
            "upgrade it, one member after the other",
        ));
    }
    Some(Finding::ok(
        node,
        what,
        "it has everything that locks need, and takes away their nodes when they are empty",
    ))
}

fn outstanding(node: &str, answer: &Answer) -> Option<Finding> {
    let count = answer.number("Outstanding").filter(|count| *count >= OUTSTANDING)?;
    Some(Finding::warning(
        node,
        format!("{count} requests wait to be carried out"),
        "when a renewal waits for longer than its session, the locks of that client are lost",
        "look at its disk (dataLogDir on one of its own) and at its garbage collector",
    ))
}

/// A server alone says so itself.
fn members(probe: &Probe) -> Option<Finding> {
    voting_members(ENSEMBLE, probe.participants()?)
}

fn unnamed(probe: &Probe) -> Option<Finding> {
    let (all, named) = (probe.participants()?, probe.readings.len());
    (named < all).then(|| {
        Finding::warning(
            ENSEMBLE,
            format!("the URL names {named} of {all} members"),
            "when those that it names are down, nobody can be asked, though the ensemble serves",
            "name all members: zookeeper://host1,host2,host3",
        )
    })
}

/// Whether sessions last as long as they were asked to.
fn session(probe: &Probe) -> Option<Finding> {
    let ms = probe.session_asked.as_millis();
    let (asked, lasts) = (show(probe.session_asked), show(probe.session_timeout));
    let (why, fix) = match probe.session_timeout.cmp(&probe.session_asked) {
        Ordering::Equal => {
            let what = format!("a session lasts {lasts}, as it was asked to");
            return Some(Finding::ok(ENSEMBLE, what, "so may locks"));
        }
        Ordering::Less => (
            "no lock has a longer time to live than the session of its client",
            format!("raise maxSessionTimeout to {ms} (20 ticks unless configured), or ask for ttl={lasts}"),
        ),
        Ordering::Greater => (
            "a lock of a client that dies stays for as long as its session, and not as long as it was asked for",
            format!("lower minSessionTimeout to {ms} (2 ticks unless configured), or tickTime"),
        ),
    };
    let range = probe.session_range_ms().map(|(min, max)| format!(" (it allows {min} to {max} ms)"));
    let what = format!("it makes a session of {lasts} of {asked}{}", range.unwrap_or_default());
    Some(Finding::warning(ENSEMBLE, what, why, fix))
}

fn access(probe: &Probe) -> Option<Finding> {
    if !probe.has_login {
        return Some(Finding::warning(
            ENSEMBLE,
            "what is made belongs to everybody (world:anyone)",
            "every client that reaches it can end every lock",
            "give locks a user of their own: zookeeper://user:password@host/chroot",
        ));
    }
    let chroot = &probe.chroot;
    if probe.is_open? {
        return Some(Finding::warning(
            ENSEMBLE,
            format!("anybody may change what is under {chroot} (world:anyone)"),
            "another user can create the node of a lock first, and keep its user out",
            format!("give {chroot} to the user alone (setAcl), or use a chroot that the user makes"),
        ));
    }
    Some(Finding::ok(ENSEMBLE, "what is made belongs to its user alone", "other users cannot end its locks"))
}

fn privacy(probe: &Probe) -> Option<Finding> {
    let is_seen = probe.readings.iter().any(|reading| reading.is_remote);
    let fix = "keep clients and members in a network of their own";
    is_seen.then(|| clear_text(ENSEMBLE, probe.has_login, fix))
}

fn blind(probe: &Probe) -> Option<Finding> {
    let refuses = |reading: &&Reading| [&reading.srvr, &reading.conf].contains(&&Answer::NotAllowed);
    let nodes: Vec<&str> =
        probe.readings.iter().filter(refuses).map(|reading| reading.node.as_str()).collect();
    if nodes.is_empty() {
        return None;
    }
    Some(Finding::warning(
        ENSEMBLE,
        format!("incomplete: not all of srvr and conf is answered by {}", nodes.join(", ")),
        "what they would have shown is not judged here",
        "4lw.commands.whitelist=srvr,conf in zoo.cfg, or ask who runs the ensemble",
    ))
}
