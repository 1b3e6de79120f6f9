use leasehold_core::Severity::{self, Critical, Warning};

use super::*;
use crate::doctor::probe::{Reading, Skew, lines};

/// A probe in one line: `i:` INFO, `c:` CONFIG, `k:` CLUSTER INFO.
fn probe(is_cluster: bool, min_replicas: u32, words: &[&str]) -> Probe {
    let mut probe = Probe { node: "db:6379".into(), is_cluster, min_replicas, ..Probe::default() };
    for word in words {
        let (look, rest) = word.split_once(':').unwrap();
        let (key, value) = rest.split_once('=').unwrap();
        let look = match look {
            "i" => &mut probe.info,
            "c" => &mut probe.config,
            _ => &mut probe.cluster,
        };
        look.fields.insert(key.into(), value.into());
    }
    probe
}

/// The only finding about a probe.
fn only(probe: &Probe) -> Option<(Severity, String)> {
    let findings = super::findings(probe);
    assert!(findings.len() <= 1, "{findings:#?}");
    for finding in &findings {
        let is_complete = !finding.what.is_empty() && !finding.why.is_empty() && finding.node == "db:6379";
        assert!(is_complete && finding.fix.is_empty() == (finding.severity == Severity::Ok), "{finding:?}");
    }
    findings.into_iter().next().map(|finding| (finding.severity, finding.what))
}

#[test]
fn each_fact_has_its_colour() {
    let table: &[(&[&str], Severity, &str)] = &[
        (&["i:maxmemory_policy=noeviction"], Severity::Ok, "evicts nothing"),
        (&["i:maxmemory_policy=allkeys-lru", "i:maxmemory=0"], Critical, "allkeys-lru"),
        (&["i:maxmemory_policy=allkeys-lfu", "i:maxmemory=9"], Critical, "allkeys-lfu"),
        (&["i:maxmemory_policy=volatile-ttl", "i:maxmemory=9"], Critical, "volatile-ttl"),
        (&["i:maxmemory_policy=volatile-ttl", "i:maxmemory=0"], Warning, "volatile-ttl"),
        (&["c:maxmemory-policy=volatile-lru", "c:maxmemory=9"], Critical, "volatile-lru"),
        (&["i:redis_version=6.0.16"], Critical, "6.0.16"),
        (&["i:redis_version=6.2.0"], Warning, "6.2.0"),
        (&["i:redis_version=7.0.15"], Severity::Ok, "7.0.15"),
        (&["i:redis_version=10.1.0"], Severity::Ok, "10.1.0"),
        (&["i:redis_version=7.2.4", "i:valkey_version=8.1.0"], Severity::Ok, "Valkey 8.1.0"),
        (&["i:loading=1"], Critical, "loading"),
        (&["i:role=slave"], Critical, "replica"),
        (&["i:role=master"], Severity::Ok, "master"),
        (&["i:cluster_enabled=1"], Critical, "node of a Cluster"),
        (&["i:connected_clients=81", "i:maxclients=100"], Warning, "81 of 100"),
        (&["i:connected_clients=80", "i:maxclients=100"], Severity::Ok, "80 of 100"),
        (&["c:appendonly=no", "c:save="], Warning, "nothing on disk"),
        (&["c:appendonly=no", "c:save=3600 1"], Warning, "snapshots alone"),
        (&["i:aof_enabled=0"], Warning, "no append-only file"),
        (&["c:appendonly=yes", "c:appendfsync=everysec"], Warning, "everysec"),
        (&["c:appendonly=yes", "c:appendfsync=no"], Warning, "appendfsync no"),
        (&["c:appendonly=yes", "c:appendfsync=always"], Severity::Ok, "always"),
        (&["i:aof_last_write_status=err"], Critical, "append-only file"),
        (&["i:rdb_last_bgsave_status=err", "c:stop-writes-on-bgsave-error=yes"], Critical, "takes no writes"),
        (&["i:rdb_last_bgsave_status=err", "c:stop-writes-on-bgsave-error=no"], Warning, "snapshot failed"),
        (&["i:rdb_last_bgsave_status=err"], Warning, "snapshot failed"),
        (&["c:timeout=300"], Warning, "300 s"),
    ];
    for (words, severity, says) in table {
        let (found, what) = only(&probe(false, 0, words)).unwrap();
        assert!(found == *severity && what.contains(says), "{words:?}: {found} {what}");
    }
    let nothing: [&[&str]; 6] = [
        &["c:timeout=0"],
        &["i:loading=0"],
        &["i:rdb_last_bgsave_status=ok"],
        &["i:aof_enabled=1"],
        &["i:cluster_enabled=0", "c:cluster-require-full-coverage=yes", "c:cluster-node-timeout=99000"],
        &["i:redis_version=unstable"],
    ];
    for words in nothing {
        assert_eq!(only(&probe(false, 0, words)), None, "{words:?}");
    }
}

#[test]
fn a_full_memory_matters_when_nothing_is_evicted() {
    let table = [("91", Warning), ("90", Severity::Ok), ("120", Warning)];
    for (used, severity) in table {
        let used = format!("i:used_memory={used}");
        let probe = probe(false, 0, &["i:maxmemory_policy=noeviction", "i:maxmemory=100", used.as_str()]);
        assert_eq!(memory(&probe).unwrap().severity, severity, "{used}");
    }
    assert_eq!(memory(&probe(false, 0, &["i:maxmemory=0", "i:used_memory=9"])), None);
}

#[test]
fn a_cluster_is_looked_at_as_one() {
    let table: &[(&[&str], Severity, &str)] = &[
        (&["k:cluster_state=fail"], Critical, "cluster_state fail"),
        (&["k:cluster_state=ok"], Severity::Ok, "cluster_state ok"),
        (&["i:cluster_enabled=1", "c:cluster-require-full-coverage=yes"], Warning, "full-coverage"),
        (&["i:cluster_enabled=1", "c:cluster-node-timeout=60000"], Warning, "60000 ms"),
    ];
    for (words, severity, says) in table {
        let (found, what) = only(&probe(true, 0, words)).unwrap();
        assert!(found == *severity && what.contains(says), "{words:?}: {found} {what}");
    }
    assert_eq!(only(&probe(true, 0, &["i:cluster_enabled=1", "c:cluster-node-timeout=15000"])), None);
}

#[test]
fn replicas_confirm_or_a_failover_may_lose() {
    let one = "i:slave0=ip=a,port=1,state=online,offset=1,lag=0";
    let two = "i:slave1=ip=b,port=1,state=wait_bgsave,offset=0,lag=0";
    let (on, lag) = ("c:min-replicas-to-write=1", "c:min-replicas-max-lag=10");
    type Row<'a> = (u32, &'a [&'a str], &'a [Severity]);
    let table: &[Row<'_>] = &[
        (0, &["i:connected_slaves=0"], &[]),
        (0, &["i:connected_slaves=1", one], &[Warning]),
        (1, &["i:connected_slaves=1", one], &[Severity::Ok]),
        (2, &["i:connected_slaves=1", one], &[Critical]),
        (2, &["i:connected_slaves=2", one, two], &[Critical]),
        (1, &["i:connected_slaves=0"], &[Critical]),
        (1, &["i:connected_slaves=1", one, "c:min-replicas-to-write=0", lag], &[Severity::Ok, Warning]),
        (1, &["i:connected_slaves=1", one, on, lag], &[Severity::Ok, Severity::Ok]),
        (1, &["i:connected_slaves=1", one, on, "c:min-replicas-max-lag=0"], &[Severity::Ok, Warning]),
        (0, &["i:connected_slaves=0", on, lag], &[Critical]),
    ];
    for (wanted, words, expected) in table {
        let probe = probe(false, *wanted, words);
        let found = [replicas(&probe), write_quorum(&probe)];
        let found: Vec<Severity> = found.into_iter().flatten().map(|finding| finding.severity).collect();
        assert_eq!(found, *expected, "{wanted} {words:?}");
    }
    let online = "i:slave1=ip=b,port=1,state=online,offset=0,lag=0";
    let some = probe(false, 1, &["i:connected_slaves=2", one, online]);
    assert_eq!(replicas(&some).unwrap().severity, Warning);
    let replica = probe(false, 1, &["i:role=slave", "i:connected_slaves=0"]);
    assert_eq!(only(&replica).unwrap().0, Critical, "a replica has no other fault than to be one");
}

#[test]
fn clocks_are_compared_in_the_middle_of_the_way() {
    let second = 1_000_000_u64;
    let table = [
        (100 * second, 100 * second, 100 * second, Severity::Ok),
        (100 * second, 99 * second, 101 * second, Severity::Ok),
        (102 * second, 100 * second, 100 * second, Warning),
        (98 * second, 100 * second, 100 * second, Warning),
        // A slow answer says little.
        (102 * second, 98 * second, 102 * second, Severity::Ok),
        (111 * second, 100 * second, 100 * second, Critical),
        (80 * second, 100 * second, 100 * second, Critical),
    ];
    for (server, before, after, severity) in table {
        let mut probe = probe(false, 0, &[]);
        probe.skew = Some(Skew::new(server, before, after));
        assert_eq!(only(&probe).unwrap().0, severity, "{server} {before} {after}");
    }
}

#[test]
fn what_is_refused_is_said_once() {
    let refused = |code: &str| Reading { refused: Some(code.into()), ..Reading::default() };
    let mut some = probe(false, 0, &[]);
    (some.info, some.config, some.time.refused) =
        (refused("NOPERM"), refused("ERR"), Some("NOPERM".to_string()));
    let (severity, what) = only(&some).unwrap();
    assert_eq!(severity, Warning);
    assert!(what.contains("INFO (NOPERM), CONFIG GET (ERR), TIME (NOPERM)"), "{what}");
    for (code, says) in [("BUSY", "script"), ("LOADING", "loading")] {
        (some.info, some.config, some.time.refused) = (refused(code), refused(code), Some(code.to_string()));
        let (severity, what) = only(&some).unwrap();
        assert!(severity == Critical && what.contains(says), "{what}");
    }
}

#[test]
fn lines_of_info_are_read() {
    let fields = lines("# Server\r\nredis_version:7.0.15\r\nexecutable:/a:b\r\n\r\n");
    let look = Reading { fields, refused: None };
    assert_eq!((look.get("redis_version"), look.get("executable")), (Some("7.0.15"), Some("/a:b")));
    assert_eq!(look.fields.len(), 2);
}
