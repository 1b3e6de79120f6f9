//! The queue itself: containers that go, nodes of old sessions, interop that do not see us, numbers that begin again.

use std::time::Duration;

use leasehold_core::{Binding, Claim, ErrorKind, Intent, Queueing, Renewal, Standing, Store};
use leasehold_testkit::{
    proxy::{FaultRule, Proxy},
    zookeeper::Server,
};
use zookeeper_client::{Acls, CreateMode};

use crate::{
    common,
    fixture::{claim, eventually, holders, run, store},
    naive::{Naive, place},
};

fn uuid(id: leasehold_core::ClaimId) -> String {
    let digits = id.to_string();
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

fn token(standing: &Standing) -> u64 {
    let Standing::Granted(grant) = standing else { panic!("not granted: {standing:?}") };
    grant.fence.expect("a token").get()
}

/// S14. The servers delete the empty node of a lock, and its numbers begin again at 0: tokens do not.
#[test]
fn tokens_grow_when_the_parent_was_deleted_and_made_again() {
    let server = Server::start().unwrap();
    run(async {
        let (env, naive) = (common::env(), Naive::at(&server.address()).await);
        let store = store(&format!("servers={}", server.address())).await;
        let number = async |path: &str| {
            let children = naive.client.list_children(path).await.unwrap();
            children[0].rsplit('-').next().unwrap().parse::<i64>().unwrap()
        };
        let mut last = (0, 0);
        for _ in 0..3 {
            let mine = claim(&env, "orders", 30_000);
            last.0 = token(&store.claim(&mine).await.unwrap());
            last.1 = number("/orders").await;
            store.release(&mine).await.unwrap();
        }
        // The reaper of empty containers has been by: nobody of us deleted it.
        eventually(&env, "the empty container goes", || async {
            naive.client.check_stat("/orders").await.unwrap().is_none()
        })
        .await;
        let mine = claim(&env, "orders", 30_000);
        assert!(token(&store.claim(&mine).await.unwrap()) > last.0, "a token that grows");
        assert!(number("/orders").await < last.1, "the control: the number of the node is no token");
    });
}

/// CURATOR-604. A node of the claim is still there, of a session that is on its way out. It is not taken for a hold: who
/// does that holds nothing a moment later.
#[test]
fn the_node_of_an_old_session_is_no_hold() {
    let server = Server::start().unwrap();
    run(async {
        let env = common::env();
        let words = format!("servers={}", server.address());
        let (mine, rival) = (claim(&env, "orders", 30_000), claim(&env, "orders", 30_000));
        let (old, store, other) =
            (Naive::at(&server.address()).await, store(&words).await, store(&words).await);
        old.make("/orders").await;
        // As the client of the old session wrote it, before it was cut off.
        let path = format!("/orders/_c_{}-lock-", uuid(mine.id));
        let data = b"leasehold/1 asking exclusive queue=no session=10000";
        let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
        old.client.create(&path, data, &options).await.unwrap();
        let naive = Naive::at(&server.address()).await;
        let seen = naive.client.list_children("/orders").await.unwrap();
        let believes = seen[0].contains(&uuid(mine.id));
        assert!(matches!(store.claim(&mine).await.unwrap(), Standing::Granted(_)));
        // The old session ends.
        drop(old);
        env.sleep(Duration::from_millis(500)).await;
        assert_eq!(holders(&other, "orders").await, 1, "the hold is of the new session");
        assert!(matches!(other.claim(&rival).await.unwrap(), Standing::Held(_)));
        store.release(&mine).await.unwrap();

        // The control: the same, with a client that looks for its name and not for the session.
        let old = Naive::at(&server.address()).await;
        old.client.create(&path, data, &options).await.unwrap();
        let seen = naive.client.list_children("/orders").await.unwrap();
        assert!(
            believes && seen.iter().any(|child| child.contains(&uuid(mine.id))),
            "it believes that it holds"
        );
        drop(old);
        eventually(&env, "the old session ends", || async { holders(&other, "orders").await == 0 }).await;
        assert!(matches!(other.claim(&rival).await.unwrap(), Standing::Granted(_)), "and so does another");
    });
}

/// A client that made a lasting place for the claim died before it was answered: the place is one in the queue, and no hold.
#[test]
fn a_place_that_another_client_left_is_no_hold_before_its_turn() {
    let server = Server::start().unwrap();
    run(async {
        let (env, naive) = (common::env(), Naive::at(&server.address()).await);
        let words = format!("servers={}", server.address());
        let (one, two) = (store(&words).await, store(&words).await);
        let first = claim(&env, "orders", 30_000);
        assert!(matches!(one.claim(&first).await.unwrap(), Standing::Granted(_)));
        let mine = Claim { queueing: Queueing::Fifo, ..claim(&env, "orders", 30_000) };
        let path = format!("/orders/_c_{}-lock-", uuid(mine.id));
        let data = b"leasehold/1 asking exclusive queue=fifo expires=30000";
        let options = CreateMode::PersistentSequential.with_acls(Acls::anyone_all());
        naive.client.create(&path, data, &options).await.unwrap();
        assert!(matches!(two.claim(&mine).await.unwrap(), Standing::Waiting(_)), "another one holds");
        assert_eq!(naive.children("/orders").await.len(), 2, "it waits in the place that it has");
        one.release(&first).await.unwrap();
        assert!(matches!(two.claim(&mine).await.unwrap(), Standing::Granted(_)));
    });
}

/// A waiter deletes the node of a hold that it has seen expire. Until that arrives, another client has adopted the hold and made
/// the node anew: the deletion is for the old one.
#[test]
fn a_late_deletion_does_not_end_an_adopted_hold() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let (env, words) = (common::env(), format!("servers={}", server.address()));
        let [first, next] = [store(&words).await, store(&words).await];
        let slow = store(&format!("servers={}", proxy.address())).await;
        let left = Claim { binding: Binding::Ttl, ..claim(&env, "orders", 500) };
        assert!(matches!(first.claim(&left).await.unwrap(), Standing::Granted(_)));
        first.close().await.unwrap();
        let deletes = |bytes: &[u8]| {
            let code = |at: usize| at >= 8 && bytes[at - 8..at - 4] == [0, 0, 0, 2];
            (0..bytes.len()).any(|at| bytes[at..].starts_with(b"/orders/") && code(at))
        };
        let deletion = proxy.on_request(deletes, FaultRule::Hold);
        let waiting = async {
            let rival = Claim { queueing: Queueing::Fifo, ..claim(&env, "orders", 30_000) };
            loop {
                match slow.claim(&rival).await.unwrap() {
                    Standing::Waiting(_) if !deletion.fired() => env.sleep(Duration::from_millis(50)).await,
                    standing => return standing,
                }
            }
        };
        let adopted = Claim {
            binding: Binding::Client,
            intent: Intent::Amend,
            ttl: Duration::from_secs(30),
            ..left.clone()
        };
        let adopting = async {
            eventually(&env, "a deletion", || async { deletion.fired() }).await;
            assert!(matches!(next.claim(&adopted).await.unwrap(), Standing::Granted(_)));
            deletion.release();
        };
        let (standing, ()) = tokio::join!(waiting, adopting);
        assert!(matches!(standing, Standing::Waiting(_)), "it is held: {standing:?}");
        let renewed = next.renew(std::slice::from_ref(&adopted)).await;
        assert!(matches!(renewed[..], [Ok(Renewal::Renewed { .. })]), "{renewed:?}");
        // The control: a deletion that names no version ends the hold of another.
        let naive = Naive::at(&server.address()).await;
        for child in naive.children("/orders").await {
            naive.client.delete(&format!("/orders/{child}"), None).await.unwrap();
        }
        let renewed = next.renew(std::slice::from_ref(&adopted)).await;
        assert!(matches!(renewed[..], [Ok(Renewal::Gone(_))]), "{renewed:?}");
    });
}

/// Nobody waits, so nobody else deletes it.
#[test]
fn the_marker_of_a_lock_delay_goes_when_it_is_over() {
    let server = Server::start().unwrap();
    run(async {
        let (env, naive) = (common::env(), Naive::at(&server.address()).await);
        let store = store(&format!("servers={}", server.address())).await;
        let mine = Claim { lock_delay: Duration::from_millis(500), ..claim(&env, "orders", 500) };
        assert!(matches!(store.claim(&mine).await.unwrap(), Standing::Granted(_)));
        let count = async || naive.client.list_children("/orders").await.map_or(0, |all| all.len());
        assert_eq!(count().await, 2, "the hold and its marker");
        eventually(&env, "the delay", || async { count().await == 1 }).await;
        eventually(&env, "its end", || async { count().await == 0 }).await;
    });
}

/// Layouts that would not see us are refused, and nothing of ours stays.
#[test]
fn foreign_layouts_that_ignore_ours_are_refused() {
    let server = Server::start().unwrap();
    run(async {
        let (env, naive) = (common::env(), Naive::at(&server.address()).await);
        let store = store(&format!("servers={}", server.address())).await;
        for (at, stem) in
            ["0123456789abcdef0123456789abcdef__lock__", "lock-", "_c_x-__WRIT__", "x-72-"].iter().enumerate()
        {
            let directory = format!("/orders {at}");
            naive.make(&directory).await;
            naive.client.create(&format!("{directory}/{stem}"), b"", &place()).await.unwrap();
            let error = store.claim(&claim(&env, &directory[1..], 30_000)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsafe, "{stem}: {error:?}");
            assert_eq!(naive.client.list_children(&directory).await.unwrap().len(), 1, "{stem}");
        }
        // The naive client counts those of its own layout, and the other one's those of its.
        naive.make("/naive").await;
        naive.client.create("/naive/0123456789abcdef0123456789abcdef__lock__", b"", &place()).await.unwrap();
        let number = naive.enqueue("/naive").await.unwrap();
        assert!(naive.leads_its_own("/naive", number).await, "the control: two holders");
    });
}

/// After 2147483647 the servers go on with -2147483648: who came before is still before.
#[test]
fn the_queue_goes_on_over_the_wrap_around() {
    let server = Server::start().unwrap();
    run(async {
        let (env, naive) = (common::env(), Naive::at(&server.address()).await);
        let store = store(&format!("servers={}", server.address())).await;
        naive.make("/orders").await;
        let mine = claim(&env, "orders", 30_000);
        let queued = Claim { queueing: Queueing::Fifo, ..mine };
        // Our number will be about 0, and one before it is -9: it came first, as a number with a sign has it, and one
        // without it has not. One of the smallest numbers came after us, which only counting round the circle tells.
        let first = format!("/orders/_c_{}-lock-{:010}", uuid(leasehold_core::ClaimId::mint(&env)), -9);
        let last =
            format!("/orders/_c_{}-lock-{:010}", uuid(leasehold_core::ClaimId::mint(&env)), i32::MIN + 1);
        let later =
            format!("/orders/_c_{}-lock-{:010}", uuid(leasehold_core::ClaimId::mint(&env)), i32::MAX - 5);
        let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
        for path in [&first, &later, &last] {
            naive.client.create(path, b"", &options).await.unwrap();
        }
        let Standing::Waiting(busy) = store.claim(&queued).await.unwrap() else { panic!("one is before it") };
        assert_eq!(busy.ahead, Some(1));
        let ours = format!("-{}-lock-", &uuid(queued.id)[24..]);
        let children = naive.children("/orders").await;
        let mine = children.iter().find(|child| child.contains(&ours)).unwrap();
        let mine: i64 = mine.rsplit('-').next().unwrap().parse().unwrap();
        assert!(
            naive.is_first("/orders", mine).await,
            "the control: digits without their sign are two holders"
        );
        naive.client.delete(&first, None).await.unwrap();
        assert!(
            matches!(store.claim(&queued).await.unwrap(), Standing::Granted(_)),
            "the others came after it"
        );
        let signed = |child: &String| child.rsplit_once("lock-")?.1.parse::<i32>().ok();
        let smallest = naive.children("/orders").await.iter().filter_map(signed).min();
        assert_eq!(
            smallest,
            Some(i32::MIN + 1),
            "the control: by the number, one that came last is the first"
        );
    });
}
