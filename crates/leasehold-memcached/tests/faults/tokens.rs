//! Tokens grow for as long as the server lives, whatever happens to its items.

use std::collections::BTreeSet;

use leasehold_core::{Claim, FencingToken, Mode, Store};
use leasehold_testkit::memcached::Server;

use crate::{
    common,
    fixture::{at, claim, run, store, take},
};

/// Clients that take turns while everything is thrown away all the time: no token twice, none below one before.
#[test]
fn tokens_grow_while_everything_is_forgotten() {
    let server = Server::start().unwrap();
    run(async {
        let env = common::env();
        let stores = [store(&at(&server)), store(&at(&server)), store(&at(&server))];
        let mut last = None;
        for turn in 0..60 {
            let grant = take(&stores[turn % 3], &claim(&env, "orders", 60)).await;
            assert!(grant.fence > last, "{:?} after {last:?}", grant.fence);
            last = grant.fence;
            // It is forgotten at the next tick of the server's clock or at once.
            server.command("delete orders").unwrap();
            server.command("delete leasehold:run").unwrap();
        }
        // The control: a counter beside the lock, as others have it, begins anew.
        assert_eq!(server.command("add counter 0 0 1\r\n7").unwrap(), "STORED");
        server.command("delete counter").unwrap();
        assert_eq!(server.command("ma counter N0 J1 D1 v").unwrap(), "VA 1");
    });
}

/// Every reader has a token of its own, and everybody sees the same one.
#[test]
fn the_tokens_of_many_readers_differ_and_are_seen_by_all() {
    let server = Server::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&server)), store(&at(&server)));
        let mut tokens = BTreeSet::new();
        for _ in 0..20 {
            let reader = Claim { mode: Mode::Shared, ..claim(&env, "page", 60) };
            tokens.insert(take(&one, &reader).await.fence.unwrap());
            assert_eq!(
                take(&two, &reader).await.fence,
                tokens.last().copied(),
                "asked through another client"
            );
        }
        let seen: BTreeSet<FencingToken> = two
            .inspect(&crate::fixture::name("page"))
            .await
            .unwrap()
            .holders
            .iter()
            .filter_map(|it| it.fence)
            .collect();
        assert_eq!(seen, tokens);
    });
    // The control: two who read a counter and write what is above it have the same token.
    let (mut one, mut two) = (server.connect().unwrap(), server.connect().unwrap());
    one.command("set counter 0 0 1\r\n7").unwrap();
    let read = [&mut one, &mut two].map(|it| it.get("counter").unwrap().unwrap().parse::<u64>().unwrap());
    let [mine, theirs] = read.map(|last| last + 1);
    for (connection, token) in [(&mut one, mine), (&mut two, theirs)] {
        assert_eq!(connection.command(&format!("set counter 0 0 1\r\n{token}")).unwrap(), "STORED");
    }
    assert_eq!(mine, theirs, "the control: one token for two");
}
