//! A client whose network goes silent, and comes back, and goes again.

use std::{sync::Arc, time::Duration};

use leasehold_conformance::session::Link;
use leasehold_testkit::{etcd::Member, proxy::Proxy};

use crate::{
    common,
    fixture::{SOON, at, name, run, store},
};

/// The client reports jeopardy before anything is lost, safety when the network is back, and the loss at the deadline. A
/// client that only reads the key through the same network gets no report.
#[test]
fn a_silent_network_is_announced_before_the_loss_and_taken_back() {
    let member = Member::start().unwrap();
    let proxy = Proxy::to(&member.address()).unwrap();
    let through = || Arc::new(store(&format!("ports={}", proxy.port())));
    run(async {
        let link = Link {
            env: common::env(),
            cut_off: [through(), through()],
            beside: Arc::new(store(&at(&member))),
            name: name("orders"),
            ttl: Duration::from_secs(12),
            slack: SOON,
            cut: &|| proxy.blackhole(),
            heal: &|| proxy.pass(),
        };
        link.is_told_of().await.unwrap_or_else(|failure| panic!("{failure}"));
    });
}
