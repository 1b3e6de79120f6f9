//! Redisson and we on the same Sentinels and in the same Cluster.

use std::time::Duration;

use leasehold_redis::{Endpoint, Servers};
use leasehold_testkit::redis::{Cluster, Sentinels, Server};

use crate::{
    case::{PROMPT, WAYS, woken_by_it, woken_by_us},
    context::{LONG, TestContext},
};

/// The number of turns of which the median is taken.
const TURNS: usize = 20;

fn endpoint(server: &Server) -> Endpoint {
    Endpoint::tcp("127.0.0.1", server.port())
}

impl TestContext {
    fn on(&self, servers: Servers, url: String, ports: Vec<u16>) -> TestContext {
        let (env, server, program) = (self.env.clone(), self.server.clone(), self.program.clone());
        TestContext { env, server, servers, url, ports, version: self.version, program }
    }
}

/// All of it goes to the master that Sentinels name.
pub(crate) async fn locks_under_sentinel_exclude_and_wake_both_ways(context: &TestContext) {
    let kit = Sentinels::start().unwrap_or_else(|error| panic!("{error}"));
    let sentinels = (0..3).map(|at| endpoint(kit.sentinel(at))).collect();
    let master = kit.master_port().expect("a master");
    let servers = Servers::Sentinel { sentinels, master: "main".into() };
    exclude_and_wake(&context.on(servers, kit.url(), vec![master])).await;
}

/// Its channels are sharded if it finds that the servers can; 3.23.5 does not ask.
pub(crate) async fn locks_in_a_cluster_exclude_and_wake_both_ways(context: &TestContext) {
    let kit = Cluster::start().unwrap_or_else(|error| panic!("{error}"));
    let servers = Servers::Cluster((0..6).map(|at| endpoint(kit.node(at))).collect());
    let ports = (0..6).map(|at| kit.node(at).port()).collect();
    exclude_and_wake(&context.on(servers, kit.url(), ports)).await;
}

async fn exclude_and_wake(context: &TestContext) {
    let (mut peer, engine, store) = (context.peer().await, context.engine(), context.store());
    let name = context.name();
    peer.expect(&format!("lock {name} 60000"), "granted").await;
    context.is_kept_out(&store, &name).await;
    peer.expect(&format!("unlock {name}"), "released").await;
    let hold = context.won(&engine, &name, leasehold_core::Mode::Exclusive).await;
    for verb in ["lock", "read", "write"] {
        peer.expect(&format!("{verb} {name} 60000"), "busy").await;
    }
    hold.release().await.expect("a release");
    for way in &WAYS {
        let (mut its, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            its.push(woken_by_it(context, &mut peer, &engine, way).await);
            ours.push(woken_by_us(context, &mut peer, &engine, way).await);
        }
        for mut late in [its, ours] {
            late.sort();
            assert!(late[TURNS / 2] < PROMPT, "{}: {late:?}", way.take);
        }
    }
    // Control: a lock that ends without a message wakes nobody.
    let name = context.name();
    let claim = context.claim(&name, LONG);
    leasehold_core::Store::claim(&store, &claim).await.expect("an answer of the store");
    let scripts = context.scripts_run();
    peer.send(&format!("wait {name} 60000 1500"));
    context.is_awaited(&name, "redisson_lock__channel").await;
    // It tries once before it subscribes, and once after that: only then it sleeps.
    while context.scripts_run() < scripts + 2 {
        context.env.sleep(Duration::from_millis(1)).await;
    }
    for port in &context.ports {
        let node = leasehold_testkit::redis::Connection::open(&format!("127.0.0.1:{port}"));
        // Other nodes of a Cluster answer where it is.
        drop(node.expect("a connection").call(&["DEL", name.as_str()]));
    }
    assert_eq!(peer.answer().await, "busy", "the control");
}
