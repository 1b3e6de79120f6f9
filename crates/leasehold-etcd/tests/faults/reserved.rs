//! The key that a client reserves, which its holds of a lock have one after the other.

use std::{
    collections::BTreeSet,
    slice,
    task::{Context, Waker},
    time::Duration,
};

use leasehold_core::{
    Claim, Contender, Intent, LostReason, Mode, Outcome, Release, Renewal, Standing, Store,
};
use leasehold_etcd::{Committed, EtcdStore, KeyWrite};
use leasehold_testkit::{
    etcd::Member,
    proxy::{FaultRule, Proxy},
};

use crate::{
    common,
    fixture::{SOON, about, at, claim, fifo, keys, lease_of, port, queue_up, run, store, store_with, take},
    naive::{self, etcdctl},
};

const IMPATIENT: Duration = Duration::from_millis(1_500);

async fn holders(store: &EtcdStore, claim: &Claim) -> Vec<u32> {
    store.inspect(&claim.name).await.unwrap().holders.iter().map(|holder| holder.tag).collect()
}

/// The keys that begin so and were there at any revision.
fn ever(member: &Member, prefix: &str) -> BTreeSet<String> {
    let shown = member.ctl(&["get", "--write-out=fields", "x"]).unwrap();
    let now = shown.lines().find_map(|line| line.strip_prefix("\"Revision\" : "));
    let at = |revision: u64| {
        let revision = format!("--rev={revision}");
        member.ctl(&["get", "--prefix", "--keys-only", &revision, prefix]).unwrap()
    };
    let all = (2..=now.unwrap().trim().parse().unwrap()).map(at).collect::<String>();
    all.lines().filter(|line| !line.is_empty()).map(ToString::to_string).collect()
}

/// A range is compared key by key, with those that were deleted and are not compacted yet: a lock that was taken often
/// would become slow.
#[test]
fn a_client_that_finds_nobody_takes_its_key_again() {
    let member = Member::start().unwrap();
    run(async {
        let (env, stores) = (common::env(), [store(&at(&member)), store(&at(&member))]);
        for (at, store) in (0..6).zip(stores.iter().cycle()) {
            let mode = if at % 3 == 0 { Mode::Shared } else { Mode::Exclusive };
            let mine = Claim { mode, ..claim(&env, "x", 60) };
            take(store, &mine).await;
            assert_eq!(store.release(&mine).await.unwrap(), Release::Released);
        }
        assert_eq!(ever(&member, "x/").len(), 2, "one for each client");
        // Others have places of their own, and so has a hold that has a delay beside it.
        let reader = || Claim { mode: Mode::Shared, ..claim(&env, "x", 60) };
        let (first, second, writer) = (reader(), reader(), fifo(&env, "x", 60));
        take(&stores[0], &first).await;
        take(&stores[1], &second).await;
        queue_up(&stores[1], &writer).await;
        let places = [&second, &writer].map(|claim| format!("x/{}", claim.id));
        let found = keys(&member, "x");
        assert!(found.len() == 3 && places.iter().all(|place| found.contains(place)), "{found:?}");
        let delayed = Claim { lock_delay: Duration::from_secs(1), ..claim(&env, "y", 60) };
        take(&stores[0], &delayed).await;
        assert_eq!(keys(&member, "y"), [format!("y/{}", delayed.id), format!("y/{}.delay", delayed.id)]);
    });
    // The control has a key for each hold, as we had.
    for id in 0..6 {
        let key = format!("naive/{id}");
        member.ctl(&["put", &key, "me"]).unwrap();
        member.ctl(&["del", &key]).unwrap();
    }
    assert_eq!(ever(&member, "naive/").len(), 6, "the control: a comparison passes over all of them");
}

/// The id is in the value: a claim that is repeated by another client finds itself there, whether that expected others or not.
#[test]
fn a_claim_repeated_by_another_client_is_one_hold() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        for _ in 0..2 {
            let (mine, waiter) = (fifo(&env, "x", 60), fifo(&env, "x", 60));
            take(&one, &mine).await;
            take(&two, &mine).await;
            assert_eq!(keys(&member, "x").len(), 1, "no second place");
            for store in [&one, &two] {
                let renewed = store.renew(slice::from_ref(&mine)).await.remove(0);
                assert!(matches!(renewed, Ok(Renewal::Renewed { .. })), "{renewed:?}");
            }
            // From now on that client expects others.
            queue_up(&two, &waiter).await;
            two.release(&waiter).await.unwrap();
            // A client that has not claimed it.
            assert_eq!(store(&at(&member)).release(&mine).await.unwrap(), Release::Released);
            assert!(keys(&member, "x").is_empty());
            let renewed = one.renew(slice::from_ref(&mine)).await.remove(0).unwrap();
            assert_eq!(renewed, Renewal::Gone(LostReason::Gone));
            assert_eq!(one.release(&mine).await.unwrap(), Release::NotHeld);
        }
    });
    // The control has a key for each client, and looks for its own alone.
    for client in ["naive/one", "naive/two"] {
        assert!(member.ctl(&["get", client]).unwrap().is_empty());
        member.ctl(&["put", client, "the same claim"]).unwrap();
    }
    assert_eq!(keys(&member, "naive").len(), 2, "the control: one claim is there twice");
}

/// The verbs of an earlier claim meet the next hold in its key, by clients that have made the claim and by others.
#[test]
fn the_verbs_of_an_earlier_claim_leave_the_next_hold_alone() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one) = (common::env(), store(&at(&member)));
        let (old, new) = (claim(&env, "x", 60), claim(&env, "x", 60));
        take(&one, &old).await;
        let before = keys(&member, "x");
        one.release(&old).await.unwrap();
        take(&one, &new).await;
        assert_eq!(keys(&member, "x"), before);
        for client in [&one, &store(&at(&member))] {
            let renewed = client.renew(slice::from_ref(&old)).await.remove(0).unwrap();
            assert_eq!(renewed, Renewal::Gone(LostReason::Gone));
            let write = KeyWrite::Put { key: "data".into(), value: "late".into() };
            assert_eq!(client.commit(&old, vec![write]).await.unwrap(), Committed::NotHeld);
            assert_eq!(client.release(&old).await.unwrap(), Release::NotHeld);
            assert_eq!(holders(&one, &new).await, [Contender::tag_of(new.id)]);
        }
        assert!(member.ctl(&["get", "data"]).unwrap().is_empty());
        // The control knows the key alone.
        member.ctl(&["del", &before[0]]).unwrap();
        assert!(holders(&one, &new).await.is_empty(), "the control: it has ended the hold of another");
    });
}

/// A release has no comparison, so its client keeps away from that key until it is answered: it is delivered when that client
/// has the lock again.
#[test]
fn a_late_release_meets_no_later_hold_of_its_client() {
    let member = Member::start().unwrap();
    let proxy = Proxy::to(&member.address()).unwrap();
    run(async {
        let (env, direct) = (common::env(), store(&at(&member)));
        let impatient = store_with(&port(proxy.port()), |options| options.timeout = IMPATIENT);
        let old = claim(&env, "x", 600);
        take(&impatient, &old).await;
        let before = keys(&member, "x");
        let fault = proxy.on_request(about("x/"), FaultRule::Hold);
        assert_eq!(impatient.release(&old).await.unwrap_err().outcome(), Outcome::Unknown);
        assert!(fault.wait_fired(SOON));
        direct.force_release(&old.name).await.unwrap();
        let new = claim(&env, "x", 600);
        take(&impatient, &new).await;
        assert_ne!(keys(&member, "x"), before);
        fault.release();
        env.sleep(IMPATIENT).await;
        assert_eq!(holders(&direct, &new).await, [Contender::tag_of(new.id)]);
    });
    // The control deletes what it finds there, whenever that arrives.
    let fault = proxy.on_request(about("naive"), FaultRule::Hold);
    let mut naive = etcdctl(&proxy.address(), &["del", "naive"]).spawn().unwrap();
    assert!(fault.wait_fired(SOON));
    member.ctl(&["put", "naive", "next"]).unwrap();
    fault.release();
    naive.wait().unwrap();
    assert!(member.ctl(&["get", "naive"]).unwrap().is_empty(), "the control: the next hold is gone");
}

/// A release is repeated while it is under way, as a watchdog does whose caller gave it up: what the first gives back is not in the
/// hands of the second any more, which comes when the next claim has it.
#[test]
fn two_releases_of_one_hold_end_it_once() {
    let member = Member::start().unwrap();
    let proxy = Proxy::to(&member.address()).unwrap();
    run(async {
        let (env, one) = (common::env(), store_with(&port(proxy.port()), |options| options.timeout = SOON));
        let [old, new] = [(); 2].map(|()| claim(&env, "x", 600));
        take(&one, &old).await;
        let before = keys(&member, "x");
        let fault = proxy.on_request(about("x/"), FaultRule::Hold);
        let first = tokio::spawn({
            let (one, old) = (one.clone(), old.clone());
            async move { one.release(&old).await }
        });
        assert!(fault.wait_fired(SOON));
        let mut second = one.release(&old);
        assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        fault.release();
        assert_eq!(first.await.unwrap().unwrap(), Release::Released);
        take(&one, &new).await;
        assert_eq!(keys(&member, "x"), before);
        assert_eq!(second.await.unwrap(), Release::NotHeld);
        assert_eq!(holders(&one, &new).await, [Contender::tag_of(new.id)]);
        assert_eq!(one.release(&new).await.unwrap(), Release::Released);
    });
    // The control deletes twice.
    for words in
        [&["put", "naive", "old"][..], &["del", "naive"], &["put", "naive", "new"], &["del", "naive"]]
    {
        member.ctl(words).unwrap();
    }
    assert!(member.ctl(&["get", "naive"]).unwrap().is_empty(), "the control: the next hold is gone");
}

/// Another client that claims the same queues up, and is not told: the claim is in two places. It is renewed as the hold that it
/// is, its release ends both, and a release by force leaves no place in which it would be granted again.
#[test]
fn a_claim_in_two_places_ends_in_both() {
    let member = Member::start().unwrap();
    let proxy = Proxy::to(&member.address()).unwrap();
    run(async {
        let (env, one, third) = (common::env(), store(&at(&member)), store(&at(&member)));
        let two = store_with(&port(proxy.port()), |options| options.timeout = IMPATIENT);
        for by_force in [false, true] {
            let (mine, waiter) = (fifo(&env, "x", 60), fifo(&env, "x", 60));
            take(&one, &mine).await;
            // From now on that client expects others.
            queue_up(&two, &waiter).await;
            two.release(&waiter).await.unwrap();
            proxy.on_request(about("x/"), FaultRule::ForwardAndDropReply);
            assert_eq!(two.claim(&mine).await.unwrap_err().outcome(), Outcome::Unknown);
            assert_eq!(keys(&member, "x").len(), 2);
            if by_force {
                third.force_release(&mine.name).await.unwrap();
                let standing = two.claim(&mine).await.unwrap();
                assert!(matches!(standing, Standing::Gone(LostReason::ForceReleased)), "{standing:?}");
            } else {
                let renewed = third.renew(slice::from_ref(&mine)).await.remove(0);
                assert!(matches!(renewed, Ok(Renewal::Renewed { .. })), "{renewed:?}");
                assert_eq!(two.release(&mine).await.unwrap(), Release::Released);
            }
            assert!(keys(&member, "x").is_empty());
            assert_eq!(one.release(&mine).await.unwrap(), Release::NotHeld);
        }
    });
    // The control ends the place that it knows.
    for client in ["naive/one", "naive/two"] {
        member.ctl(&["put", client, "the same claim"]).unwrap();
    }
    member.ctl(&["del", "naive/two"]).unwrap();
    assert_eq!(keys(&member, "naive"), ["naive/one"], "the control: a lock without a holder");
}

/// A hold ended unseen, and another client has made it again, beside the next one: its first client is told, and changes nothing.
#[test]
fn a_hold_that_was_made_again_elsewhere_is_not_renewed_by_its_first_client() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        let reader =
            |note: &str| Claim { mode: Mode::Shared, note: Some(note.into()), ..claim(&env, "x", 60) };
        let (mine, other) = (reader("mine"), reader("other"));
        take(&one, &mine).await;
        member.ctl(&["lease", "revoke", &lease_of(&member, &keys(&member, "x")[0])]).unwrap();
        take(&two, &other).await;
        take(&two, &mine).await;
        let renewed = one.renew(slice::from_ref(&mine)).await.remove(0).unwrap();
        assert_eq!(renewed, Renewal::Gone(LostReason::Gone));
        assert_eq!(one.release(&mine).await.unwrap(), Release::NotHeld);
        let holders = two.inspect(&mine.name).await.unwrap().holders;
        let mut notes: Vec<_> = holders.iter().map(|holder| holder.note.as_deref().unwrap()).collect();
        notes.sort_unstable();
        assert_eq!(notes, ["mine", "other"]);
    });
    // The control renews what it finds in the key that was its own.
    member.ctl(&["put", "naive", "other"]).unwrap();
    member.ctl(&["put", "naive", "mine"]).unwrap();
    let shown = member.ctl(&["get", "--print-value-only", "naive"]).unwrap();
    assert_eq!(shown, "mine\n", "the control: it has taken the hold of another");
}

/// The client of a hold ends after it was given a lock-delay.
#[test]
fn a_delay_that_a_hold_gets_later_runs_when_its_client_ends() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        let mine = claim(&env, "x", 60);
        take(&one, &mine).await;
        let lock_delay = Duration::from_secs(30);
        take(&one, &Claim { intent: Intent::Amend, lock_delay, ..mine.clone() }).await;
        let delay = format!("x/{}.delay", mine.id);
        assert!(keys(&member, "x").len() == 2 && keys(&member, "x").contains(&delay));
        one.close().await.unwrap();
        assert_eq!(keys(&member, "x"), [delay]);
        let next = two.claim(&claim(&env, "x", 60)).await.unwrap();
        assert!(matches!(next, Standing::Held(_)), "{next:?}");
    });
    // The control's key lives by its lease, and nothing is beside it.
    let lease = naive::lease(&member, 600);
    member.ctl(&["put", &format!("--lease={lease}"), "naive/1", ""]).unwrap();
    member.ctl(&["lease", "revoke", &lease]).unwrap();
    assert!(naive::take(&member, "naive", "next"), "the control: the next is in at once");
}
