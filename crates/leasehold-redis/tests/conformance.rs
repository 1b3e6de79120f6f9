//! The conformance suite on real servers: every topology, way in, and dialect.

use std::{process::ExitCode, sync::Arc};

use leasehold_conformance::{Fixture, process};
use leasehold_core::{Env, Result, Store};
use leasehold_testkit::redis::{Cluster, Replicated, Sentinels, Server};

mod common;

async fn open(env: Env, words: String) -> Result<Arc<dyn Store>> {
    if let Some(ports) = words.strip_prefix("redlock=") {
        return Ok(Arc::new(common::redlock(&env, ports, common::LONGEST)?));
    }
    Ok(Arc::new(common::open(env, words).await?))
}

/// All servers; they end with it.
struct Servers {
    single: Server,
    secure: Server,
    replicated: Replicated,
    sentinels: Sentinels,
    cluster: Cluster,
    three: Vec<Server>,
    five: Vec<Server>,
}

impl Servers {
    fn start() -> leasehold_testkit::Result<Servers> {
        let single = Server::builder().unix_socket().user(common::LEAST_RIGHTS);
        let single = single.user(&common::least_rights_with_java()).start()?;
        let secure = Server::builder().tls().start()?;
        let (replicated, sentinels) = (Replicated::start(2)?, Sentinels::start()?);
        let several = |count| (0..count).map(|_| Server::start()).collect::<leasehold_testkit::Result<_>>();
        let (cluster, three, five) = (Cluster::start()?, several(3)?, several(5)?);
        Ok(Servers { single, secure, replicated, sentinels, cluster, three, five })
    }

    /// A label and the words that [`common::options`] reads.
    fn ways(&self) -> Vec<(&'static str, String)> {
        let single = format!("single={}", self.single.port());
        let master = format!("single={}", self.replicated.master().port());
        let sentinel = format!("sentinel={}", ports((0..3).map(|at| self.sentinels.sentinel(at))));
        let cluster = format!("cluster={}", ports((0..6).map(|at| self.cluster.node(at))));
        let secure = format!("single={} tls={}", self.secure.tls_port(), self.secure.ca_path().display());
        vec![
            ("single", single.clone()),
            ("resp2", format!("{single} resp2")),
            ("tls", secure),
            ("socket", format!("socket={}", self.single.socket_path().display())),
            ("acl", format!("{single} acl")),
            ("replicas_1", format!("{master} replicas=1")),
            ("replicas_2", format!("{master} replicas=2")),
            ("sentinel", sentinel.clone()),
            ("cluster", cluster.clone()),
            ("cluster_resp2", format!("{cluster} resp2")),
            ("redlock_3", format!("redlock={}", ports(self.three.iter()))),
            ("redlock_5", format!("redlock={}", ports(self.five.iter()))),
            ("plain", format!("{single} plain")),
            ("plain_resp2", format!("{single} plain resp2")),
            ("plain_cluster", format!("{cluster} plain")),
            ("redisson", format!("{single} redisson")),
            ("redisson_acl", format!("{single} redisson acl=java")),
            ("redisson_resp2", format!("{single} redisson resp2")),
            ("redisson_sentinel", format!("{sentinel} redisson")),
            ("redisson_cluster", format!("{cluster} redisson")),
            ("redisson_cluster_resp2", format!("{cluster} redisson resp2")),
        ]
    }
}

fn ports<'a>(servers: impl Iterator<Item = &'a Server>) -> String {
    servers.map(|server| server.port().to_string()).collect::<Vec<_>>().join(",")
}

/// They have just been started for us.
fn promote(env: &Env, servers: &Servers) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for members in [&servers.three, &servers.five] {
        let vouched = runtime.block_on(common::promote(env, &ports(members.iter()), common::LONGEST));
        vouched.unwrap_or_else(|error| panic!("{error:?}"));
    }
}

fn main() -> ExitCode {
    let env = common::env();
    if let Ok(words) = std::env::var(process::TAKER) {
        return process::taker(&env, open(env.clone(), words));
    }
    let servers = Servers::start().unwrap_or_else(|error| panic!("{error}"));
    promote(&env, &servers);
    let fixtures = servers.ways().into_iter().map(|(label, words)| {
        let (taken, env) = (words.clone(), env.clone());
        let fixture = Fixture::new(env.clone(), move || open(env.clone(), words.clone()));
        (label, fixture.taker(move || process::this_program(&taken)))
    });
    leasehold_conformance::main(fixtures.collect())
}
