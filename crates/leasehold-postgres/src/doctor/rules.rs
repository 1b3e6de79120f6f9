//! From the facts about a server to findings, without I/O.

use leasehold_core::{Finding, store_kit::clear_text};

use super::probe::Probe;

/// The first version with all that the functions use.
const OLDEST: i32 = 120_000;
/// The first version that ends idle sessions.
const OLDEST_OF_SESSIONS: i32 = 140_000;
/// Dead rows beside as many live ones show that nobody clears them away.
const DEAD_ROWS_MAX: i64 = 20_000;
const CLOCK_OFF_MAX_US: u64 = 1_000_000;
/// The harm of a missing right.
pub(super) const UNUSABLE: &str = "no lock can be acquired, renewed or released";

/// The worst first.
pub(super) fn findings(probe: &Probe) -> Vec<Finding> {
    let rules = [version, role, durability, standbys, rights, table, zones, clock, wake_ups, privacy];
    let mut findings: Vec<Finding> = rules.into_iter().filter_map(|rule| rule(probe)).collect();
    findings.sort_by_key(|finding| finding.severity);
    findings
}

fn version(probe: &Probe) -> Option<Finding> {
    let what = format!("PostgreSQL {}.{}", probe.version / 10_000, probe.version % 10_000);
    let (oldest, need) = match probe.table {
        Some(_) => (OLDEST, "the functions of the schema need 12 or later"),
        None => (OLDEST_OF_SESSIONS, "sessions that are not heard of are ended by 14 or later"),
    };
    Some(match probe.version < oldest {
        true => Finding::critical(&probe.node, what, need, "upgrade it"),
        false => Finding::ok(&probe.node, what, "it has all that is used"),
    })
}

fn role(probe: &Probe) -> Option<Finding> {
    let (what, fix) = match probe.table {
        _ if probe.is_standby => {
            ("it is a standby", "name the primary as well: postgres://primary,standby/database")
        }
        Some(_) if probe.is_read_only => (
            "its transactions are read-only",
            "ALTER ROLE … (or DATABASE …) SET default_transaction_read_only = off",
        ),
        _ => return None,
    };
    Some(Finding::critical(&probe.node, what, "it takes no writes, and so no locks", fix))
}

fn durability(probe: &Probe) -> Option<Finding> {
    probe.table.as_ref()?;
    let lossy = |what: String, fix: &str| {
        let why = "when it crashes, the last grants are lost, and a second holder may enter beside the first";
        Some(Finding::critical(&probe.node, what, why, fix))
    };
    match probe.synchronous_commit.as_str() {
        _ if !probe.syncs => lossy("fsync is off".into(), "set fsync = on"),
        "off" => lossy("synchronous_commit is off".into(), "ALTER ROLE … SET synchronous_commit = on"),
        how => {
            let what = format!("fsync is on, synchronous_commit is {how}");
            Some(Finding::ok(&probe.node, what, "a crash loses no grant"))
        }
    }
}

fn standbys(probe: &Probe) -> Option<Finding> {
    if probe.standbys == 0 || probe.table.is_none() {
        return None;
    }
    let waits =
        probe.has_synchronous_standbys && matches!(probe.synchronous_commit.as_str(), "on" | "remote_apply");
    let what = format!("it has {} standbys", probe.standbys);
    if waits {
        return Some(Finding::ok(&probe.node, what, "a grant is on a standby before it is answered"));
    }
    Some(Finding::warning(
        &probe.node,
        format!("{what}, and waits for none"),
        "a promoted standby may have lost the last grants: a second holder enters beside the first until that one renews",
        "set synchronous_standby_names, and synchronous_commit = remote_apply; let resources check fencing tokens",
    ))
}

fn rights(probe: &Probe) -> Option<Finding> {
    let table = probe.table.as_ref()?;
    (!probe.may_write).then_some(Finding::critical(
        &probe.node,
        format!("this user may not write {table}, or it is not there"),
        UNUSABLE,
        format!("GRANT USAGE on its schema, and GRANT SELECT, INSERT, UPDATE ON {table} TO …"),
    ))
}

fn table(probe: &Probe) -> Option<Finding> {
    let table = probe.table.as_ref()?;
    let what = format!("{table} has {} rows, and {} dead ones", probe.live_rows, probe.dead_rows);
    let slow = |what: String, fix: String| {
        Some(Finding::warning(&probe.node, what, "dead rows make each lock slower", fix))
    };
    match probe.dead_rows > DEAD_ROWS_MAX.max(probe.live_rows) {
        _ if !probe.vacuums => slow(
            format!("autovacuum does not visit {table}"),
            format!("set autovacuum = on; ALTER TABLE {table} RESET (autovacuum_enabled)"),
        ),
        true => slow(what, format!("end transactions that stay open (pg_stat_activity); VACUUM {table}")),
        false => Some(Finding::ok(&probe.node, what, "autovacuum keeps up")),
    }
}

fn zones(probe: &Probe) -> Option<Finding> {
    let table = probe.table.as_ref()?;
    probe.has_zones.then_some(Finding::critical(
        &probe.node,
        format!("the times in {table} have a zone"),
        "ShedLock writes them without one, so that clients in other zones see other ends of a hold",
        "let the columns be of type timestamp without time zone, in UTC",
    ))
}

fn clock(probe: &Probe) -> Option<Finding> {
    (probe.clock_off_us > CLOCK_OFF_MAX_US).then_some(Finding::warning(
        &probe.node,
        format!("its clock is {} s from ours", probe.clock_off_us / 1_000_000),
        "a clock that is set forward by more than a lease ends leases while their holders work",
        "keep both on time (chrony), and let it slew instead of step",
    ))
}

fn wake_ups(probe: &Probe) -> Option<Finding> {
    let why = "waiters ask again and again instead of being woken";
    match probe.hears {
        Some(true) => Some(Finding::ok(&probe.node, "notifications arrive", "waiters are woken")),
        Some(false) => Some(Finding::warning(
            &probe.node,
            "notifications do not arrive: a pooler in transaction mode is before it",
            why,
            "name the server itself, or write pooler=transaction, so that no second connection is made",
        )),
        None if probe.is_standby || !probe.is_pooled => None,
        None => Some(Finding::warning(
            &probe.node,
            "a pooler in transaction mode is before it",
            why,
            "name the server itself where hand-overs should be quick",
        )),
    }
}

fn privacy(probe: &Probe) -> Option<Finding> {
    probe.is_clear.then(|| clear_text(&probe.node, true, "switch ssl on, and write sslmode=verify-full"))
}

#[cfg(test)]
mod tests {
    use leasehold_core::Severity;

    use super::*;

    fn good() -> Probe {
        Probe {
            node: "db:5432".into(),
            version: 150_019,
            syncs: true,
            synchronous_commit: "on".into(),
            has_synchronous_standbys: false,
            is_standby: false,
            is_read_only: false,
            standbys: 0,
            vacuums: true,
            live_rows: 10,
            dead_rows: 10,
            table: Some("leasehold.locks".into()),
            may_write: true,
            has_zones: false,
            clock_off_us: 10,
            is_pooled: false,
            hears: Some(true),
            is_clear: false,
        }
    }

    #[test]
    fn a_good_server_has_nothing_to_mend() {
        assert!(findings(&good()).iter().all(|finding| finding.severity == Severity::Ok));
    }

    #[test]
    fn each_fact_that_matters_is_found() {
        let commit = |how: &str| how.to_string();
        for (probe, severity, says) in [
            (Probe { version: 110_000, ..good() }, Severity::Critical, "PostgreSQL 11.0"),
            (Probe { version: 130_000, table: None, ..good() }, Severity::Critical, "PostgreSQL 13.0"),
            (Probe { is_standby: true, ..good() }, Severity::Critical, "standby"),
            (Probe { is_standby: true, is_read_only: true, ..good() }, Severity::Critical, "standby"),
            (Probe { is_read_only: true, ..good() }, Severity::Critical, "read-only"),
            (Probe { syncs: false, ..good() }, Severity::Critical, "fsync is off"),
            (
                Probe { synchronous_commit: commit("off"), ..good() },
                Severity::Critical,
                "synchronous_commit is off",
            ),
            (Probe { standbys: 1, ..good() }, Severity::Warning, "waits for none"),
            (
                Probe {
                    standbys: 1,
                    has_synchronous_standbys: true,
                    synchronous_commit: commit("local"),
                    ..good()
                },
                Severity::Warning,
                "waits for none",
            ),
            (Probe { may_write: false, ..good() }, Severity::Critical, "may not write"),
            (Probe { has_zones: true, ..good() }, Severity::Critical, "have a zone"),
            (Probe { dead_rows: 1_000_000, ..good() }, Severity::Warning, "dead"),
            (Probe { vacuums: false, ..good() }, Severity::Warning, "does not visit"),
            (Probe { clock_off_us: 5_000_000, ..good() }, Severity::Warning, "5 s"),
            (Probe { hears: Some(false), ..good() }, Severity::Warning, "do not arrive"),
            (Probe { is_pooled: true, hears: None, ..good() }, Severity::Warning, "pooler"),
            (Probe { is_clear: true, ..good() }, Severity::Warning, "clear"),
        ] {
            let worst: Vec<_> =
                findings(&probe).into_iter().filter(|it| it.severity != Severity::Ok).collect();
            assert_eq!(worst.len(), 1, "{worst:?}");
            assert!(worst[0].severity == severity && worst[0].what.contains(says), "{worst:?}");
            assert!(!worst[0].fix.is_empty());
        }
        let sessions =
            Probe { table: None, syncs: false, standbys: 1, may_write: false, is_read_only: true, ..good() };
        assert!(
            findings(&sessions).iter().all(|finding| finding.severity == Severity::Ok),
            "it keeps nothing"
        );
        let waits = Probe { standbys: 1, has_synchronous_standbys: true, ..good() };
        assert!(findings(&waits).iter().all(|finding| finding.severity == Severity::Ok));
    }
}
