//! Redisson and we on the same Sentinels and in the same Cluster.

use std::time::Duration;

use leasehold_core::{LockName, Store};
use leasehold_redis::{Endpoint, Servers};
use leasehold_testkit::redis::{Cluster, Sentinels, Server};

use crate::{
    context::{LONG, TestContext},
    wake::{WAYS, are_messages, woken_by_it, woken_by_us},
};

/// The number of releases that wake a waiter, of each kind.
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
    let context = context.on(servers, kit.url(), ports);
    exclude_and_wake(&context).await;
    // A name whose braces are no tag: we exclude each other, and it cannot unlock what it has locked.
    let (mut peer, store, name) = (context.peer().await, context.store(), named("a{b", &context));
    peer.expect(&format!("lock {name} 60000"), "granted").await;
    context.is_kept_out(&store, &name).await;
    let failure = peer.ask(&format!("unlock {name}")).await;
    assert!(failure.contains("CROSSSLOT"), "the control: {failure}");
    assert_eq!(store.force_release(&name).await.expect("an answer of the store").len(), 1);
    let claim = context.claim(&name, LONG);
    store.claim(&claim).await.expect("an answer of the store");
    peer.expect(&format!("lock {name} 60000"), "busy").await;
    store.release(&claim).await.expect("an answer of the store");
    peer.expect(&format!("lock {name} 60000"), "granted").await;
}

fn named(begin: &str, context: &TestContext) -> LockName {
    LockName::new(format!("{begin}{}", context.name())).expect("a short name")
}

/// Names with braces, on one server: keys, counter and channels are the same ones.
pub(crate) async fn names_with_braces_are_shared(context: &TestContext) {
    let (mut peer, store) = (context.peer().await, context.store());
    for begin in ["{tag}", "a{b", "{}", "a}b{c", "a}b"] {
        let name = named(begin, context);
        let granted = peer.ask(&format!("fenced {name} 60000 0")).await;
        let its: u64 = granted.rsplit(' ').next().and_then(|token| token.parse().ok()).expect("a token");
        context.is_kept_out(&store, &name).await;
        peer.expect(&format!("unlock {name}"), "released").await;
        let claim = context.claim(&name, LONG);
        store.claim(&claim).await.expect("an answer of the store");
        peer.send(&format!("wait {name} 60000 30000"));
        context.is_awaited(&name, "redisson_lock__channel").await;
        store.release(&claim).await.expect("an answer of the store");
        assert_eq!(peer.answer().await, "granted", "{name}");
        peer.expect(&format!("unlock {name}"), "released").await;
        let next = peer.ask(&format!("fenced {name} 60000 0")).await;
        let next: u64 = next.rsplit(' ').next().and_then(|token| token.parse().ok()).expect("a token");
        assert!(next > its + 1, "{name}: we drew from the same counter: {its}, then {next}");
        // Control: another name with the same tag is another lock.
        store.claim(&context.claim(&named(begin, context), LONG)).await.expect("an answer of the store");
    }
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
        let mut late = Vec::new();
        for _ in 0..TURNS {
            late.push(woken_by_it(context, &mut peer, &engine, way).await);
            woken_by_us(context, &mut peer, &engine, way).await;
        }
        are_messages(late, way);
    }
    // Control: a lock that ends without a message wakes nobody.
    let name = context.name();
    let claim = context.claim(&name, LONG);
    store.claim(&claim).await.expect("an answer of the store");
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
