//! Names that are hard for etcd: prefixes of each other, slashes, dots, line ends, the longest.

use leasehold_core::{ClaimId, Store};
use leasehold_testkit::etcd::Member;

use crate::{
    common,
    fixture::{at, claim, eventually, keys, run, store, take},
    naive::etcdctl_lock,
};

#[test]
fn no_name_is_within_another() {
    let member = Member::start().unwrap();
    let long = "x".repeat(512);
    let slashes = "/".repeat(512);
    let names = [
        "a",
        "a/",
        "a/b",
        "/a",
        "..",
        "/../",
        "a\r\nb",
        "a%2Fb",
        "%",
        &long,
        &long[1..],
        &slashes,
        "a\0",
        "π",
    ];
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        let held: Vec<_> = names.iter().map(|text| claim(&env, text, 60)).collect();
        for claim in &held {
            take(&one, claim).await;
        }
        for claim in &held {
            let other = leasehold_core::Claim { id: ClaimId::mint(&env), ..claim.clone() };
            let standing = two.claim(&other).await.unwrap();
            assert!(matches!(standing, leasehold_core::Standing::Held(_)), "{:?}", claim.name);
            let snapshot = two.inspect(&claim.name).await.unwrap();
            assert_eq!((&snapshot.name, snapshot.holders.len()), (&claim.name, 1));
        }
        let mut listed: Vec<String> =
            two.list("", 100).await.unwrap().iter().map(|it| it.name.as_str().into()).collect();
        let mut wanted: Vec<String> = names.iter().map(ToString::to_string).collect();
        listed.sort();
        wanted.sort();
        assert_eq!(listed, wanted);
    });
    // The control: to Go, `n/m` is within `n`, and the holder of one excludes others from the other.
    let naive = etcdctl_lock(&member, "n/m");
    run(eventually(&common::env(), "its key", || async { keys(&member, "n").len() == 1 }));
    let mut kept_out = etcdctl_lock(&member, "n");
    run(eventually(&common::env(), "its place", || async { keys(&member, "n").len() == 2 }));
    assert!(kept_out.is_running(), "the control: it waits");
    drop(naive);
}
