//! Where Go's peer comes from.

use std::path::PathBuf;

use leasehold_testkit::stranger;

/// The program, built with exactly the modules that go.sum names.
pub(crate) fn etcd_go() -> PathBuf {
    let place = stranger::installed(env!("CARGO_TARGET_TMPDIR"), "etcd-go", "etcd-go", |place| {
        stranger::run(place, "go", &["build", "-mod=readonly", "-o", "etcd-go", "."]);
    });
    place.join("etcd-go")
}
