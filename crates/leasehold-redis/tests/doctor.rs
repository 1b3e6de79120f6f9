//! `RedisStore::diagnose` on real servers.

use std::future::Future;

use leasehold_core::{BoxFuture, Env, ErrorKind, Moment, Result, env::Environment};
use leasehold_redis::{Finding, RedisStore, Severity};
use leasehold_testkit::redis::{Builder, Cluster, Replicated, Sentinels, Server};

mod common;

/// The findings; the store is closed again.
fn diagnose(words: &str) -> Result<Vec<Finding>> {
    examine_in(common::env(), words)
}

fn examine_in(env: Env, words: &str) -> Result<Vec<Finding>> {
    let options = common::options(words)?;
    run(async {
        let store = RedisStore::new(options, env)?;
        store.diagnose().await
    })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.expect("a runtime").block_on(future)
}

fn start(builder: Builder) -> Server {
    builder.start().unwrap_or_else(|error| panic!("{error}"))
}

fn of(findings: &[Finding], severity: Severity) -> Vec<&str> {
    findings.iter().filter(|it| it.severity == severity).map(|it| it.what.as_str()).collect()
}

#[track_caller]
fn has(findings: &[Finding], severity: Severity, says: &str) {
    assert!(of(findings, severity).iter().any(|what| what.contains(says)), "{says}: {findings:#?}");
}

#[test]
fn a_durable_server_that_evicts_nothing_is_green() {
    let server = start(Server::builder().aof());
    let findings = diagnose(&format!("single={}", server.port())).unwrap();
    assert!(of(&findings, Severity::Critical).is_empty(), "{findings:#?}");
    assert!(of(&findings, Severity::Warning).is_empty(), "{findings:#?}");
    for says in ["evicts nothing", "master", "every write", "clock agrees", "clients", "Redis "] {
        has(&findings, Severity::Ok, says);
    }
    assert!(findings.iter().all(|it| it.node == server.address() && it.fix.is_empty()), "{findings:#?}");
}

#[test]
fn what_loses_locks_is_red_and_stands_first() {
    let server = start(Server::builder().arg("maxmemory-policy", "allkeys-lru").arg("timeout", "300"));
    let findings = diagnose(&format!("single={} resp2", server.port())).unwrap();
    has(&findings, Severity::Critical, "allkeys-lru");
    has(&findings, Severity::Warning, "nothing on disk");
    has(&findings, Severity::Warning, "300 s");
    assert_eq!(findings[0].severity, Severity::Critical);
    assert!(findings.is_sorted_by_key(|finding| finding.severity), "{findings:#?}");
    assert!(findings[0].fix.contains("noeviction") && !findings[0].why.is_empty());
}

#[test]
fn a_clock_that_is_wrong_is_told_by_how_much() {
    let server = start(Server::builder());
    let table = [
        (5, Severity::Warning, "behind"),
        (-5, Severity::Warning, "ahead of"),
        (60, Severity::Critical, "behind"),
        (-60, Severity::Critical, "ahead of"),
    ];
    for (ahead, severity, word) in table {
        let env = Env::new(Shifted { env: common::env(), ahead_us: ahead * 1_000_000 });
        let findings = examine_in(env, &format!("single={}", server.port())).unwrap();
        has(&findings, severity, &format!(" s {word} this machine's"));
    }
}

/// This machine with another calendar.
#[derive(Debug)]
struct Shifted {
    env: Env,
    ahead_us: i64,
}

impl Environment for Shifted {
    fn now(&self) -> Moment {
        self.env.now()
    }

    fn wall_us(&self) -> u64 {
        self.env.wall_us().saturating_add_signed(self.ahead_us)
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        self.env.sleep_until(moment)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.env.spawn(task);
    }

    fn random(&self) -> u128 {
        self.env.random()
    }
}

#[test]
fn replicas_are_counted_and_a_replica_is_no_master() {
    let servers = Replicated::start(1).unwrap_or_else(|error| panic!("{error}"));
    let master = format!("single={}", servers.master().port());
    has(&diagnose(&master).unwrap(), Severity::Warning, "grants do not wait");
    has(&diagnose(&master).unwrap(), Severity::Warning, "min-replicas-to-write 0");
    has(&diagnose(&format!("{master} replicas=1")).unwrap(), Severity::Ok, "all 1 replicas");
    has(&diagnose(&format!("{master} replicas=2")).unwrap(), Severity::Critical, "min_replicas is 2");
    let findings = diagnose(&format!("single={}", servers.replica(0).port())).unwrap();
    has(&findings, Severity::Critical, "it is a replica");
    assert!(findings[0].fix.contains("name the master"), "{findings:#?}");
}

#[test]
fn a_cluster_is_no_single_server() {
    let cluster = Cluster::start().unwrap_or_else(|error| panic!("{error}"));
    let findings = diagnose(&format!("single={}", cluster.node(0).port())).unwrap();
    has(&findings, Severity::Critical, "node of a Cluster");
    let findings = diagnose(&format!("cluster={}", cluster.node(4).port())).unwrap();
    assert!(of(&findings, Severity::Critical).is_empty(), "{findings:#?}");
    for at in 0..3 {
        let here = cluster.node(at).address();
        let well = |it: &Finding| it.node == here && it.what.contains("cluster_state ok");
        assert!(findings.iter().any(well), "{findings:#?}");
    }
}

#[test]
fn the_master_that_sentinel_names_is_looked_at() {
    let kit = Sentinels::start().unwrap_or_else(|error| panic!("{error}"));
    let findings = diagnose(&format!("sentinel={}", kit.sentinel(0).port())).unwrap();
    has(&findings, Severity::Ok, "master");
    has(&findings, Severity::Warning, "grants do not wait");
}

#[test]
fn who_may_not_look_is_told_so() {
    let server = start(Server::builder().user(common::LEAST_RIGHTS));
    let words = format!("single={} acl", server.port());
    server.command(&["ACL", "SETUSER", "locks", "-info"]).unwrap().accepted().unwrap();
    let findings = diagnose(&words).unwrap();
    assert!(of(&findings, Severity::Critical).is_empty(), "{findings:#?}");
    has(&findings, Severity::Warning, "INFO (NOPERM), CONFIG GET (NOPERM)");
    has(&findings, Severity::Ok, "clock agrees");
    server.command(&["ACL", "SETUSER", "locks", "+info", "-time"]).unwrap().accepted().unwrap();
    let findings = diagnose(&words).unwrap();
    has(&findings, Severity::Warning, "CONFIG GET (NOPERM), TIME (NOPERM)");
    has(&findings, Severity::Ok, "evicts nothing");
    assert!(!format!("{findings:?}").contains("pw"), "{findings:#?}");
}

#[test]
fn who_may_not_wake_redissons_waiters_is_told_so() {
    let server = start(Server::builder().user(&common::least_rights_with_java()));
    let words = format!("single={} redisson acl=java", server.port());
    let findings = diagnose(&words).unwrap();
    assert!(!of(&findings, Severity::Warning).iter().any(|it| it.contains("channels")), "{findings:#?}");
    let taken = ["ACL", "SETUSER", "java", "resetchannels", "&leasehold:*"];
    server.command(&taken).unwrap().accepted().unwrap();
    has(&diagnose(&words).unwrap(), Severity::Warning, "publish the releases of its dialect (NOPERM)");
    // Control: the native dialect needs no such channel, and nothing is said.
    let findings = diagnose(&words.replace(" redisson", "")).unwrap();
    assert!(!of(&findings, Severity::Warning).iter().any(|it| it.contains("channels")), "{findings:#?}");
}

#[test]
fn who_is_not_let_in_or_meets_nobody_gets_an_error() {
    let server = start(Server::builder().password("s3cret"));
    let error = diagnose(&format!("single={}", server.port())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    server.kill();
    let error = diagnose(&format!("single={}", server.port())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("doctor"), "{error}");
}
