//! What the doctor finds on real servers, each of which keeps or loses a lock as it says.

use leasehold_core::{Finding, Severity};
use leasehold_testkit::memcached::Server;

use crate::{
    fixture::{at, run, store},
    naive::Naive,
};

async fn found(server: &Server) -> Vec<Finding> {
    let findings = store(&at(server)).diagnose().await.unwrap();
    assert!(findings.is_sorted_by_key(|finding| finding.severity), "the worst first: {findings:#?}");
    findings
}

/// What is not as it should be, in the order of the rules, without what is said of every server that a test starts.
fn bad(findings: &[Finding]) -> Vec<(Severity, &str)> {
    let is_usual = |what: &str| what.starts_with("it keeps nothing on disk") || what.ends_with(" s ago");
    let bad = findings.iter().filter(|finding| finding.severity != Severity::Ok);
    let mine = bad.filter(|finding| !is_usual(&finding.what));
    mine.map(|finding| (finding.severity, finding.what.as_str())).collect()
}

#[test]
fn a_server_is_looked_at_as_it_was_started() {
    run(async {
        let well = found(&Server::with(&["-M"]).unwrap()).await;
        assert!(bad(&well).is_empty(), "{well:#?}");
        assert_eq!(well.iter().filter(|it| it.severity == Severity::Ok).count(), 5, "{well:#?}");
        let table: [(&[&str], Severity, &str); 5] = [
            (&[], Severity::Critical, "may evict"),
            (&["-M", "-C"], Severity::Critical, "-C"),
            (&["-M", "-I", "16k", "-o", "slab_chunk_max=8"], Severity::Critical, "16384 bytes"),
            (&["-M", "-X"], Severity::Warning, "(-X)"),
            (&["-M", "-o", "idle_timeout=60"], Severity::Warning, "60 s"),
        ];
        for (args, severity, what) in table {
            let findings = found(&Server::with(args).unwrap()).await;
            let is_so =
                matches!(&bad(&findings)[..], [(colour, text)] if *colour == severity && text.contains(what));
            assert!(is_so, "{args:?}: {findings:#?}");
        }
    });
}

/// What has happened to it shows, and a lock that was held then is another's.
#[test]
fn a_server_that_was_emptied_shows_it() {
    let server = Server::with(&["-M"]).unwrap();
    let mut naive = Naive::on(&server);
    assert!(naive.lock("naive", "me", 600));
    server.command("flush_all").unwrap();
    assert!(naive.lock("naive", "them", 600), "two holders");
    run(async {
        let findings = found(&server).await;
        let is_so =
            matches!(&bad(&findings)[..], [(Severity::Warning, text)] if text.contains("emptied 1 times"));
        assert!(is_so, "{findings:#?}");
    });
}
