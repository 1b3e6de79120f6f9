//! A client whose network goes silent, and comes back, and goes again.

use std::{sync::Arc, time::Duration};

use leasehold_conformance::session::Link;
use leasehold_testkit::{proxy::Proxy, zookeeper::Server};

use crate::{
    common,
    fixture::{SOON, name, run, store},
};

/// It says so before anything is lost, takes it back when the network is there again, and says when all is lost. Whoever
/// looks at the nodes through the same network hears nothing.
#[test]
fn a_silent_network_is_announced_before_the_loss_and_taken_back() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let words = format!("servers={} session=20000", proxy.address());
        let link = Link {
            env: common::env(),
            cut_off: [Arc::new(store(&words).await), Arc::new(store(&words).await)],
            beside: Arc::new(store(&format!("servers={}", server.address())).await),
            name: name("orders"),
            ttl: Duration::from_secs(12),
            slack: SOON,
            cut: &|| proxy.blackhole(),
            heal: &|| proxy.pass(),
        };
        link.is_told_of().await.unwrap_or_else(|failure| panic!("{failure}"));
    });
}
