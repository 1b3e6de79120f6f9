//! The layers of imports (ARCHITECTURE.md), read from `cargo metadata`.
//!
//! That no third-party type stands in a public API where it should not is left to review; that a store's client library
//! is a dependency of few is checked.

use super::published::{self, Dependency};

const CORE: &str = "leasehold-core";
const FACADE: &str = "leasehold";
const CONFORMANCE: &str = "leasehold-conformance";
const TESTKIT: &str = "leasehold-testkit";
const LAB: &str = "leasehold-lab";
const EXEC: &str = "leasehold-exec";
const CLI: &str = "leasehold-cli";
const BENCHES: &str = "leasehold-benches";
const EXAMPLES: &str = "leasehold-examples";
const TOWER: &str = "leasehold-tower";
const NOT_STORES: &[&str] =
    &[CORE, FACADE, EXEC, CONFORMANCE, TESTKIT, LAB, CLI, TOWER, BENCHES, EXAMPLES, "xtask"];

/// Client libraries of stores, and who may use each outside of tests. SQLite is more than a store: the facade fences
/// the user's own SQLite databases, and the demonstration's shop is one.
const CLIENTS: &[(&str, &[&str])] = &[
    ("rusqlite", &["leasehold-sqlite", FACADE, CLI]),
    ("redis", &["leasehold-redis"]),
    ("tonic", &["leasehold-etcd"]),
    ("tonic-prost", &["leasehold-etcd"]),
    ("prost", &["leasehold-etcd"]),
    ("sqlx", &["leasehold-postgres"]),
    ("tokio-postgres", &["leasehold-postgres"]),
    ("zookeeper-client", &["leasehold-zookeeper"]),
];

pub(super) fn findings() -> Vec<String> {
    let crates = match published::crates() {
        Ok(crates) => crates,
        Err(message) => return vec![message],
    };
    let members: Vec<&str> = crates.iter().map(|one| one.name.as_str()).collect();
    let edges = crates.iter().flat_map(|from| from.dependencies.iter().map(move |to| (&from.name, to)));
    edges.filter_map(|(from, to)| violation(&members, from, to)).collect()
}

fn violation(members: &[&str], from: &str, dependency: &Dependency) -> Option<String> {
    let (to, for_tests) = (dependency.name.as_str(), dependency.kind.as_deref() == Some("dev"));
    if members.contains(&to) {
        let allowed = may_import(from, to) || (for_tests && may_test_with(from, to));
        let role = if for_tests { " for its tests" } else { "" };
        return (!allowed)
            .then(|| format!("{from} may not import {to}{role}: see the layers in ARCHITECTURE.md"));
    }
    let (client, owners) = CLIENTS.iter().find(|(client, _)| *client == to)?;
    (!owners.contains(&from) && !for_tests)
        .then(|| format!("{from} may not import {client}: it is private to {}", owners.join(", ")))
}

fn is_store(name: &str) -> bool {
    !NOT_STORES.contains(&name)
}

fn may_import(from: &str, to: &str) -> bool {
    match from {
        FACADE => to == CORE || is_store(to),
        CLI => to == FACADE || to == EXEC,
        BENCHES | TOWER => to == FACADE,
        EXAMPLES => to == FACADE || to == TOWER,
        // The lab tests everything.
        LAB => to != CLI && to != BENCHES && to != TOWER,
        CONFORMANCE | TESTKIT => to == CORE,
        _ => is_store(from) && to == CORE,
    }
}

/// No crate imports the command line, and the core tests itself with nothing but itself.
fn may_test_with(from: &str, to: &str) -> bool {
    from != CORE && matches!(to, CORE | CONFORMANCE | TESTKIT) || from == CLI && is_store(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaks(from: &str, to: &str, for_tests: bool) -> bool {
        let names = [
            "leasehold-sqlite",
            "leasehold-redis",
            CORE,
            FACADE,
            CLI,
            EXEC,
            CONFORMANCE,
            TESTKIT,
            LAB,
            BENCHES,
        ];
        let kind = for_tests.then(|| "dev".into());
        violation(&names, from, &Dependency { name: to.into(), kind }).is_some()
    }

    #[test]
    fn the_arrows_point_inwards() {
        for (from, to) in [
            (CORE, FACADE),
            (CORE, "leasehold-sqlite"),
            ("leasehold-sqlite", "leasehold-redis"),
            ("leasehold-sqlite", FACADE),
            (FACADE, CLI),
            (CLI, CORE),
            (FACADE, TESTKIT),
            (TESTKIT, CLI),
            (CONFORMANCE, FACADE),
            (CORE, "rusqlite"),
            ("leasehold-redis", "rusqlite"),
            (CLI, TESTKIT),
            (CLI, LAB),
            (FACADE, EXEC),
            (EXEC, CORE),
            (FACADE, LAB),
            (TESTKIT, LAB),
            (LAB, CLI),
            (LAB, BENCHES),
        ] {
            assert!(breaks(from, to, false), "{from} -> {to}");
        }
        for (from, to) in [
            ("leasehold-sqlite", CORE),
            (FACADE, "leasehold-redis"),
            (CLI, FACADE),
            (CLI, EXEC),
            (CORE, "tokio"),
            (LAB, CORE),
            (LAB, FACADE),
            (LAB, CONFORMANCE),
            (LAB, TESTKIT),
        ] {
            assert!(!breaks(from, to, false), "{from} -> {to}");
        }
        assert!(!breaks("leasehold-sqlite", CONFORMANCE, true) && breaks(CORE, CONFORMANCE, true));
    }
}
