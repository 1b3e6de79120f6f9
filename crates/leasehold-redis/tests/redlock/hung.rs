//! Members that hang (SIGSTOP) or are slow.

use std::{sync::Arc, time::Duration};

use leasehold_core::{ErrorKind, Store};
use leasehold_testkit::proxy::Proxy;

use crate::{
    common,
    fixture::{SOON, eventually, lock, run, shown, try_lock, ttl},
    members::VotingServers,
};

/// Two of five hang, and a member is given far more time than the test has: who waited for them would not come back.
#[test]
fn a_hung_minority_delays_nobody() {
    run(async {
        let mut voters = VotingServers::start(5, Duration::from_secs(600)).await;
        voters.node_timeout = Duration::from_secs(60);
        let (env, engine) = (common::env(), voters.engine());
        lock(&engine, "warm", &ttl(500_000)).await.release().await.unwrap();
        for server in &voters.servers[..2] {
            server.pause().unwrap();
        }
        let begin = env.now();
        for _ in 0..20 {
            let hold = lock(&engine, "x", &ttl(500_000)).await;
            hold.confirm().await.unwrap();
            assert!(try_lock(&engine, "x", &ttl(500_000)).await.unwrap().is_none(), "it is held");
            hold.release().await.unwrap();
        }
        assert!(env.now().since(begin) < SOON, "nobody waits for those that hang");
        for server in &voters.servers[..2] {
            server.resume().unwrap();
        }
        eventually(&env, "nothing is left on those that hung", || async { voters.keys("x") == 0 }).await;
    });
    // The control asks one after the other, as the text says, and is stuck at the first.
    run(async {
        let voters = VotingServers::start(3, Duration::from_secs(60)).await;
        let mut naive = crate::fixture::Naive::at(&voters.servers[0].address());
        voters.servers[0].pause().unwrap();
        naive.ask("x", "one", 10_000);
        assert!(!naive.hears(Duration::from_millis(300)), "the control waits for the one that hangs");
        voters.servers[0].resume().unwrap();
    });
}

/// Three of five hang: the error comes in time and names each, and nothing is left locked when they go on.
#[test]
fn a_hung_majority_is_a_clear_error_and_leaves_nothing() {
    run(async {
        let mut voters = VotingServers::start(5, Duration::from_secs(60)).await;
        voters.node_timeout = Duration::from_millis(300);
        let (env, engine) = (common::env(), voters.engine());
        lock(&engine, "warm", &ttl(30_000)).await.release().await.unwrap();
        for server in &voters.servers[..3] {
            server.pause().unwrap();
        }
        let begin = env.now();
        let error = try_lock(&engine, "x", &ttl(30_000)).await.unwrap_err();
        let took = env.now().since(begin);
        assert_eq!(error.kind(), ErrorKind::NoQuorum, "{}", shown(&error));
        // Three tries of the engine, each as long as a member is given.
        assert!(took >= Duration::from_millis(300) && took < SOON, "{took:?}");
        let text = shown(&error);
        // Those that failed are named, and no others.
        for (at, server) in voters.servers.iter().enumerate() {
            let state = text.split("; ").find(|state| state.contains(&server.address()));
            let says = state.map(|state| state.contains("no answer within"));
            assert_eq!(says, (at < 3).then_some(true), "{}: {text}", server.address());
        }
        for server in &voters.servers[..3] {
            server.resume().unwrap();
        }
        eventually(&env, "nothing is left locked", || async { voters.keys("x") == 0 }).await;
        let other = voters.engine();
        lock(&other, "x", &ttl(30_000)).await.release().await.unwrap();
        eventually(&env, "the last release", || async { voters.keys("x") == 0 }).await;
        // The control gives up as well, and leaves what it got for its whole time to live. A name of its own: claims that
        // the majority did not wait for may still come, and go.
        let mut control = crate::textbook::Textbook::at(&voters.addresses(), &[3, 4]);
        assert!(!control.lock("y", "one", 30_000), "two of five");
        assert_eq!(voters.keys("y"), 2, "the control: left locked");
    });
}

/// All clients see the same name of the quorum: a slow member is waited for, one that has ended (the control) has no part in it.
#[test]
fn the_name_of_the_servers_does_not_depend_on_which_is_fast() {
    run(async {
        let mut voters = VotingServers::start(3, Duration::from_secs(10)).await;
        let well = voters.quorum();
        let name = well.server_info().await.unwrap().server;
        assert_eq!(name.split('+').count(), 3, "{name}");
        let proxy = Proxy::to(&voters.servers[2].address()).unwrap();
        let near = (0..2).map(|at| Arc::new(voters.member(at)) as Arc<dyn Store>);
        let far = common::member(&common::env(), &proxy.port().to_string(), 3, voters.longest_lease).unwrap();
        let slow = voters.quorum_of(near.chain([Arc::new(far) as Arc<dyn Store>]).collect());
        assert_eq!(slow.server_info().await.unwrap().server, name, "it connects");
        proxy.delay(Duration::from_millis(300));
        assert_eq!(slow.server_info().await.unwrap().server, name, "a member that takes 300 ms");
        drop(voters.servers.pop());
        let rest = well.server_info().await.unwrap().server;
        assert!(rest != name && rest.split('+').all(|part| name.contains(part)), "the control: {rest}");
    });
}
