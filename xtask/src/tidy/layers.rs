//! The layers of imports (ARCHITECTURE.md), read from `cargo metadata`.
//!
//! That no third-party type stands in a public API where it should not is left to review; that a store's client library
//! is a dependency of few is checked.

use serde_json::Value;

use crate::files;

const CORE: &str = "leasehold-core";
const FACADE: &str = "leasehold";
const CONFORMANCE: &str = "leasehold-conformance";
const TESTKIT: &str = "leasehold-testkit";
const LAB: &str = "leasehold-lab";
const CLI: &str = "leasehold-cli";
const BENCHES: &str = "leasehold-benches";
const NOT_STORES: &[&str] = &[CORE, FACADE, CONFORMANCE, TESTKIT, LAB, CLI, BENCHES, "xtask"];

/// Client libraries of stores, and who may use each outside of tests. SQLite is more than a store: the facade fences
/// the user's own SQLite databases, and the demonstration's shop is one.
const CLIENTS: &[(&str, &[&str])] = &[
    ("rusqlite", &["leasehold-sqlite", FACADE, CLI]),
    ("redis", &["leasehold-redis"]),
    ("tonic", &["leasehold-etcd"]),
    ("tonic-prost", &["leasehold-etcd"]),
    ("prost", &["leasehold-etcd"]),
    ("zookeeper-client", &["leasehold-zookeeper"]),
];

/// One edge: who imports what, and whether for tests only.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Edge {
    from: String,
    to: String,
    for_tests: bool,
}

pub(super) fn findings() -> Vec<String> {
    match edges() {
        Ok((crates, edges)) => violations(&crates, &edges),
        Err(message) => vec![message],
    }
}

fn edges() -> Result<(Vec<String>, Vec<Edge>), String> {
    let output = files::cargo(&["metadata", "--format-version", "1", "--no-deps"]).output();
    let output = output.map_err(|error| format!("cargo metadata could not be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let (mut crates, mut edges) = (Vec::new(), Vec::new());
    for package in list(&metadata["packages"]) {
        crates.push(text(&package["name"]));
        edges.extend(list(&package["dependencies"]).iter().map(|dependency| Edge {
            from: text(&package["name"]),
            to: text(&dependency["name"]),
            for_tests: dependency["kind"] == "dev",
        }));
    }
    Ok((crates, edges))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

fn violations(crates: &[String], edges: &[Edge]) -> Vec<String> {
    edges.iter().filter_map(|edge| violation(crates, edge)).collect()
}

fn violation(crates: &[String], edge: &Edge) -> Option<String> {
    let (from, to) = (edge.from.as_str(), edge.to.as_str());
    if crates.contains(&edge.to) {
        let allowed = may_import(from, to) || (edge.for_tests && may_test_with(from, to));
        return (!allowed).then(|| {
            let role = if edge.for_tests { " for its tests" } else { "" };
            format!("{from} may not import {to}{role}: see the layers in ARCHITECTURE.md")
        });
    }
    let (client, owners) = CLIENTS.iter().find(|(client, _)| *client == to)?;
    (!owners.contains(&from) && !edge.for_tests)
        .then(|| format!("{from} may not import {client}: it is private to {}", owners.join(", ")))
}

fn is_store(name: &str) -> bool {
    !NOT_STORES.contains(&name)
}

fn may_import(from: &str, to: &str) -> bool {
    match from {
        FACADE => to == CORE || is_store(to),
        CLI | BENCHES => to == FACADE,
        // The lab tests everything.
        LAB => to != CLI && to != BENCHES,
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
        let crates =
            ["leasehold-sqlite", "leasehold-redis", CORE, FACADE, CLI, CONFORMANCE, TESTKIT, LAB, BENCHES]
                .map(String::from);
        let edge = Edge { from: from.into(), to: to.into(), for_tests };
        !violations(&crates, &[edge]).is_empty()
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
