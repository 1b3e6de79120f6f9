//! Go's peer.

use leasehold_testkit::{
    etcd::Member,
    foreign_client,
    peer::{Peer, Program},
};

use crate::fixture::SOON;

/// Builds the program with exactly the modules that go.sum names.
pub(crate) fn etcd_go() -> Program {
    let place = foreign_client::installed(env!("CARGO_TARGET_TMPDIR"), "etcd-go", "etcd-go", |place| {
        foreign_client::run(place, "go", &["build", "-mod=readonly", "-o", "etcd-go", "."]);
    });
    Program { path: place.join("etcd-go"), ..Program::default() }
}

/// Starts it on a member.
pub(crate) async fn start(program: &Program, member: &Member) -> Peer {
    Peer::start(program, &format!("etcd://{}", member.address()), SOON * 3).await
}
