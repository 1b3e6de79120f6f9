//! The conformance suite on real servers: every topology, way in, and dialect.

use std::{process::ExitCode, sync::Arc};

use leasehold_conformance::{Fixture, process, trials};
use leasehold_core::{Env, Result, Store};
use leasehold_testkit::redis::{Cluster, Replicated, Sentinels, Server};
use libtest_mimic::{Arguments, Trial};

mod common;

/// The promises that clients keep, whatever release the server is.
const OF_CLIENTS: [&str; 9] = [
    "::fairness::",
    "::contention::",
    "::concurrency::",
    "::cancellation::",
    "::chaos::",
    "::loss::",
    "::session::",
    "::abandonment::",
    "::process::",
];

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
    other_releases: Vec<(&'static str, Server)>,
}

impl Servers {
    fn start() -> leasehold_testkit::Result<Servers> {
        let single = Server::builder().unix_socket().user(common::LEAST_RIGHTS);
        let single = single.user(&common::least_rights_with_java()).start()?;
        let secure = Server::builder().tls().start()?;
        let (replicated, sentinels) = (Replicated::start(2)?, Sentinels::start()?);
        let several = |count| (0..count).map(|_| Server::start()).collect::<leasehold_testkit::Result<_>>();
        let (cluster, three, five) = (Cluster::start()?, several(3)?, several(5)?);
        let other = |(label, path)| Ok((label, Server::builder().program(path).start()?));
        let other_releases =
            common::other_releases().into_iter().map(other).collect::<leasehold_testkit::Result<_>>()?;
        Ok(Servers { single, secure, replicated, sentinels, cluster, three, five, other_releases })
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
            #[cfg(feature = "redis-1")]
            ("manager", format!("manager {single}")),
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
            ("spring", format!("{single} spring")),
            ("spring_cluster", format!("{cluster} spring")),
            ("redisson", format!("{single} redisson")),
            ("redisson_acl", format!("{single} redisson acl=java")),
            ("redisson_resp2", format!("{single} redisson resp2")),
            ("redisson_sentinel", format!("{sentinel} redisson")),
            ("redisson_cluster", format!("{cluster} redisson")),
            ("redisson_cluster_resp2", format!("{cluster} redisson resp2")),
        ]
    }

    /// The same for both dialects on other releases.
    fn other_ways(&self) -> Vec<(String, String)> {
        let both = self.other_releases.iter().flat_map(|(label, server)| {
            let single = format!("single={}", server.port());
            [(label.to_string(), single.clone()), (format!("{label}_plain"), format!("{single} plain"))]
        });
        both.collect()
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
    let fixture = |words: String| {
        let (taken, env) = (words.clone(), env.clone());
        let fixture = Fixture::new(env.clone(), move || open(env.clone(), words.clone()));
        fixture.taker(move || process::this_program(&taken))
    };
    let all = servers.ways().into_iter().flat_map(|(label, words)| trials(label, &fixture(words)));
    let is_of_server = |trial: &Trial| !OF_CLIENTS.iter().any(|promise| trial.name().contains(promise));
    let others = servers.other_ways().into_iter();
    let others = others.flat_map(|(label, words)| trials(&label, &fixture(words))).filter(is_of_server);
    libtest_mimic::run(&Arguments::from_args(), all.chain(others).collect()).exit_code()
}
