//! Commands under a lock that stores of different kinds vote on.

use std::time::Duration;

use leasehold::{Client, ErrorKind};
use leasehold_testkit::{
    etcd::{Cluster, Member},
    memcached,
    wait::until,
    zookeeper::Server,
};

use crate::fixture::Fixture;

const SOON: Duration = Duration::from_secs(60);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Stores that do not forget have a vote from the beginning, and come to one token.
#[test]
fn etcd_zookeeper_and_sqlite_vote_together_and_memcached_may_not() {
    let fixture = Fixture::new();
    let etcd = Member::start().unwrap_or_else(|error| panic!("{error}"));
    let zookeeper = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let others = format!("etcd://{};zookeeper://{}", etcd.address(), zookeeper.address());
    let url = format!("quorum:{others};{}", fixture.store());
    let mut last = 0;
    for _ in 0..3 {
        let script = "echo $LEASEHOLD_FENCING_TOKEN";
        let held = fixture.run(&["run", "--store", &url, "nightly", "--", "sh", "-c", script]);
        assert_eq!(held.code, Some(0), "{}", held.stderr);
        let token: u64 = held.stdout.trim().parse().unwrap();
        assert!(token > last, "{token} comes after {last}");
        last = token;
    }
    let mut run = fixture.start(&["--store", &url, "nightly"], "echo $$; while :; do sleep 0.02; done");
    run.pids();
    let busy = fixture.run(&["run", "--store", &url, "--no-wait", "nightly", "--", "true"]);
    assert_eq!(busy.code, Some(75), "{}", busy.stderr);
    let shown = fixture.run(&["inspect", "--store", &url, "nightly"]);
    let votes = shown.stdout.lines().filter(|line| line.ends_with(" · votes")).count();
    assert_eq!(votes, 3, "{}", shown.stdout);
    drop(run);
    let forgetful = memcached::Server::start().unwrap_or_else(|error| panic!("{error}"));
    let url = format!("quorum:{others};memcached://{}", forgetful.address());
    let refused = fixture.run(&["run", "--store", &url, "nightly", "--", "true"]);
    assert!(refused.stderr.contains("cannot be a member of a quorum"), "{}", refused.stderr);
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
}

/// A client is opened, and takes a lock, while one of three is not there; when that comes up, the client that runs has its
/// hold there as well. Alone, the same store cannot even be opened.
fn opens_without(fixture: &Fixture, members: [&str; 3], down: &str, bring_up: impl FnOnce()) {
    let url = format!("quorum:{};?timeout=500ms", members.join(";"));
    block_on(async {
        let alone = Client::connect(&format!("{down}?timeout=500ms")).await;
        assert!(alone.is_err(), "the control: {down} is down");
        let client = Client::connect(&url).await.unwrap_or_else(|error| panic!("{down}: {error}"));
        let guard = client.mutex("nightly").unwrap().try_lock_for(SOON).await.unwrap().expect("it is free");
        bring_up();
        let mine = format!("pid {}", std::process::id());
        let joined = || fixture.run(&["inspect", "--store", down, "nightly"]).stdout.contains(&mine);
        assert!(until(SOON, joined), "{down} does not join");
        guard.check().unwrap();
        let votes = client.inspect("nightly").await.unwrap().members;
        assert_eq!(votes.iter().filter(|member| member.votes).count(), 3, "{votes:?}");
        guard.release().await.unwrap();
        client.close(SOON).await.unwrap();
    });
}

#[test]
fn a_quorum_is_opened_while_any_one_of_its_members_is_down() {
    let fixture = Fixture::new();
    let etcd = Member::start().unwrap_or_else(|error| panic!("{error}"));
    let zookeeper = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let directory = fixture.path("disk");
    let urls = [
        format!("etcd://{}", etcd.address()),
        format!("zookeeper://{}", zookeeper.address()),
        format!("sqlite:{}", directory.join("locks.db").display()),
    ];
    let urls = urls.each_ref().map(String::as_str);
    opens_without(&fixture, urls, urls[2], || std::fs::create_dir(&directory).unwrap());
    etcd.kill();
    opens_without(&fixture, urls, urls[0], || etcd.restart().unwrap());
    zookeeper.kill();
    opens_without(&fixture, urls, urls[1], || {
        zookeeper.restart().unwrap();
        zookeeper.await_serving().unwrap();
    });
}

/// Members that fail together have one vote: an ensemble under two chroots, a cluster by two of its members or under two
/// prefixes.
#[test]
fn one_store_by_two_names_is_refused() {
    let cluster = Cluster::start().unwrap_or_else(|error| panic!("{error}"));
    let zookeeper = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let other = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let [one, two] = [0, 1].map(|at| format!("etcd://{}", cluster.member(at).address()));
    let prefixes = ["apps", "jobs"].map(|prefix| format!("{one}?prefix={prefix}"));
    let (apps, jobs) = (zookeeper.address(), zookeeper.address());
    let chroots = [format!("zookeeper://{apps}/apps"), format!("zookeeper://me:pw@{jobs}/jobs")];
    let cases = [([one.clone(), two], &chroots[0]), (prefixes, &chroots[0]), (chroots.clone(), &one)];
    for (twins, third) in cases {
        let url = format!("quorum:{};{};{third}", twins[0], twins[1]);
        let error = block_on(Client::connect(&url)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsafe, "{url}: {error:?}");
        assert!(error.to_string().contains("it is the same server as"), "{error}");
    }
    // The control: two ensembles, under one chroot.
    let apart = format!("quorum:{};zookeeper://{}/apps;{one}", chroots[0], other.address());
    block_on(async { Client::connect(&apart).await.unwrap().close(SOON).await.unwrap() });
}
