//! X1. Names that are hard for ZooKeeper: paths, dots, line ends, 300 bytes, beginnings of each other.

use leasehold_core::{Release, Standing, Store};
use leasehold_testkit::zookeeper::Server;

use crate::{
    common,
    fixture::{claim, holders, name, run, store},
    naive::Naive,
};

fn hostile() -> Vec<String> {
    let long = "x".repeat(300);
    let mut names: Vec<String> = [
        "a",
        "a/",
        "/a",
        "a/b",
        "a/../b",
        "a/b/_c_00000000-0000-0000-0000-000000000000-lock-0000000000",
        "/",
        "//",
        ".",
        "..",
        "../..",
        "a\r\n",
        "a\r\nsrvr",
        "\0",
        "%2F",
        "%leasehold",
        "zookeeper",
        "zookeeper/quota",
        "lock-0000000000",
    ]
    .map(String::from)
    .to_vec();
    names.extend([long.clone(), long.clone() + "y", long[..299].into(), "/".repeat(512), "π".repeat(256)]);
    names
}

/// Each is a lock of its own, under the chroot and nowhere else, and comes back from the list as it was given.
#[test]
fn hostile_names_are_locks_of_their_own_and_stay_under_the_chroot() {
    let server = Server::start().unwrap();
    run(async {
        let (env, naive) = (common::env(), Naive::at(&server.address()).await);
        let at = format!("servers={} chroot=/apps/locks", server.address());
        let (one, two) = (store(&at).await, store(&at).await);
        let claims: Vec<_> = hostile().iter().map(|text| claim(&env, text, 60_000)).collect();
        for mine in &claims {
            assert!(matches!(one.claim(mine).await.unwrap(), Standing::Granted(_)), "{:?}", mine.name);
        }
        for mine in &claims {
            let standing = two.claim(&claim(&env, mine.name.as_str(), 60_000)).await.unwrap();
            assert!(matches!(standing, Standing::Held(_)), "{:?}: {standing:?}", mine.name);
            assert_eq!(two.inspect(&mine.name).await.unwrap().name, mine.name);
        }
        let mut listed: Vec<String> =
            two.list("", 1_000).await.unwrap().iter().map(|it| it.name.as_str().to_string()).collect();
        let mut wanted = hostile();
        listed.sort();
        wanted.sort();
        assert_eq!(listed, wanted);
        two.server_info().await.unwrap();
        // Nothing is beside the locks, none is within another, and nothing but our own record is outside.
        assert_eq!(naive.children("/apps/locks").await.len(), hostile().len());
        assert_eq!(naive.children("/apps").await, ["locks"]);
        let mut root = naive.children("/").await;
        root.sort();
        assert_eq!(root, ["%leasehold", "apps", "zookeeper"]);
        for mine in &claims {
            assert_eq!(one.release(mine).await.unwrap(), Release::Released);
            assert_eq!(holders(&two, mine.name.as_str()).await, 0);
        }
        two.force_release(&name("a")).await.unwrap();

        // The control: names that are written into paths as they are. One is a place in the queue of another, and one
        // cannot be locked at all.
        naive.make("/naive/a/lock-0000000000").await;
        let number = naive.enqueue("/naive/a").await.unwrap();
        assert!(!naive.is_first("/naive/a", number).await, "the control: kept out by a lock of another name");
        assert!(naive.enqueue("/naive/..").await.is_err(), "the control: no lock at all");
    });
}
