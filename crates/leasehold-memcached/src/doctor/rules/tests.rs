use leasehold_core::Severity::{self, Critical, Warning};

use super::*;
use crate::server_info::Stats;

/// A probe in one line: `c:` counters, `s:` settings.
fn probe(words: &[&str]) -> Probe {
    let mut probe = Probe {
        node: "cache:11211".into(),
        stats: Stats::default(),
        settings: Stats::default(),
        wall_us: 1_800_000_100_500_000,
        text_only: false,
    };
    for word in words {
        let (kind, rest) = word.split_once(':').unwrap();
        let (key, value) = rest.split_once('=').unwrap();
        let stats = if kind == "c" { &mut probe.stats } else { &mut probe.settings };
        stats.0.insert(key.into(), value.into());
    }
    probe
}

/// The findings about a probe, except those about every server.
fn said(probe: &Probe) -> Vec<(Severity, String)> {
    let findings = findings(probe);
    for finding in &findings {
        let is_complete =
            !finding.what.is_empty() && !finding.why.is_empty() && finding.node == "cache:11211";
        assert!(is_complete && finding.fix.is_empty() == (finding.severity == Severity::Ok), "{finding:?}");
    }
    let others = findings.into_iter().filter(|finding| !finding.what.contains("nothing on disk"));
    others.map(|finding| (finding.severity, finding.what)).collect()
}

#[test]
fn each_fact_has_its_colour() {
    let table: &[(&[&str], Severity, &str)] = &[
        (&["s:cas_enabled=no"], Critical, "-C"),
        (&["s:item_size_max=1024"], Critical, "1024 bytes"),
        (&["s:item_size_max=65536"], Warning, "65536 bytes"),
        (&["c:version=1.5.22"], Critical, "no meta commands"),
        (&["c:version=1.6.12"], Warning, "1.6.12"),
        (&["c:version=1.6.18"], Severity::Ok, "1.6.18"),
        (&["s:evictions=on"], Critical, "may evict"),
        (&["s:evictions=on", "c:evictions=7"], Critical, "evicted 7 items"),
        (&["s:evictions=off"], Severity::Ok, "-M"),
        (&["c:limit_maxbytes=100", "c:bytes=91"], Warning, "91 %"),
        (&["c:limit_maxbytes=100", "c:bytes=90"], Severity::Ok, "90 %"),
        (&["c:store_no_memory=3"], Warning, "no room 3 times"),
        (&["c:cmd_flush=0"], Severity::Ok, "never emptied"),
        (&["c:cmd_flush=0", "s:flush_enabled=no"], Severity::Ok, "-F"),
        (&["c:cmd_flush=2", "s:flush_enabled=yes"], Warning, "emptied 2 times"),
        (&["c:uptime=599"], Warning, "599 s ago"),
        (&["c:time=1800000097"], Warning, "3 s off"),
        (&["c:time=1800000161"], Critical, "61 s off"),
        (&["c:accepting_conns=0"], Critical, "accepts no connections"),
        (&["c:max_connections=100", "c:curr_connections=81"], Warning, "81 of 100"),
        (&["c:max_connections=100", "c:curr_connections=8", "c:listen_disabled_num=4"], Warning, "4 times"),
        (&["s:idle_timeout=60"], Warning, "60 s"),
        (&["s:udpport=11211"], Warning, "UDP"),
        (&["s:inter=127.0.0.1"], Severity::Ok, "own machine"),
        (&["s:inter=127.0.0.1,[::1]"], Severity::Ok, "own machine"),
        (&["s:inter=NULL"], Warning, "all interfaces"),
        (&["s:inter=127.0.0.1,10.0.0.7"], Warning, "10.0.0.7"),
        (&["s:inter=NULL", "s:domain_socket=/run/m.sock"], Severity::Ok, "own machine"),
        (&["s:lru_crawler=no"], Warning, "no_lru_crawler"),
        (&["s:dump_enabled=no"], Warning, "-X"),
    ];
    for (words, severity, what) in table {
        let found = said(&probe(words));
        let is_so = matches!(&found[..], [(colour, text)] if colour == severity && text.contains(what));
        assert!(is_so, "{words:?}: {found:?}");
    }
}

#[test]
fn what_was_not_seen_is_not_judged() {
    for words in [
        &[][..],
        &["c:uptime=600"],
        &["c:time=1800000099"],
        &["s:item_size_max=1048576"],
        &["s:cas_enabled=yes"],
        &["c:limit_maxbytes=0", "c:bytes=0"],
        &["c:max_connections=100", "c:curr_connections=80"],
        &["s:inter=NULL", "s:ssl_enabled=yes"],
        &["s:udpport=0", "s:idle_timeout=0", "c:store_no_memory=0"],
    ] {
        let found = said(&probe(words));
        assert!(found.is_empty(), "{words:?}: {found:?}");
    }
    assert_eq!(findings(&probe(&[])).len(), 1, "but that a restart forgets everything");
}

#[test]
fn a_client_without_meta_commands_is_told_so() {
    let found = said(&Probe { text_only: true, ..probe(&["c:version=1.6.40"]) });
    assert!(matches!(&found[..], [(Warning, text)] if text.contains("1.6.40")), "{found:?}");
}
