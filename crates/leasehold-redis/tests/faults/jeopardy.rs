//! A client whose network goes silent, and comes back, and goes again.

use std::{sync::Arc, time::Duration};

use leasehold_conformance::session::Link;
use leasehold_testkit::{proxy::Proxy, redis::Server};

use crate::{
    common,
    fixture::{SOON, at, name, run, store},
};

/// It says so before anything is lost, takes it back when the network is there again, and says when all is lost. A client that
/// looks at the key through the same network hears nothing.
#[test]
fn a_silent_network_is_announced_before_the_loss_and_taken_back() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    let through = || Arc::new(store(&format!("single={}", proxy.port())));
    run(async {
        let link = Link {
            env: common::env(),
            cut_off: [through(), through()],
            beside: Arc::new(store(&at(&server))),
            name: name("orders"),
            ttl: Duration::from_secs(12),
            slack: SOON,
            cut: &|| proxy.blackhole(),
            heal: &|| proxy.pass(),
        };
        link.is_told_of().await.unwrap_or_else(|failure| panic!("{failure}"));
    });
}
