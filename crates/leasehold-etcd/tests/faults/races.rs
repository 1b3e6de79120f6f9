//! Orders of requests that time alone would hardly bring about: each is held and let go in turn.

use std::time::Duration;

use leasehold_core::{Claim, FencingToken, Intent, Mode, Queueing, Stance, Standing, Store};
use leasehold_testkit::{
    etcd::Member,
    proxy::{FaultRule, Proxy},
};

use crate::{
    common,
    fixture::{SOON, at, claim, eventually, fifo, port, queue_up, run, store, store_with, take},
    naive,
};

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|it| it == text.as_bytes())
}

/// A reader holds, a writer waits, a reader waits behind it. While the first asks to become a writer, the writer leaves
/// and the second reader may enter: only one of the two gets what it wants.
#[test]
fn an_upgrade_and_a_reader_whose_way_is_free_do_not_both_get_in() {
    let member = Member::start().unwrap();
    let (first, second) = (Proxy::to(&member.address()).unwrap(), Proxy::to(&member.address()).unwrap());
    run(async {
        let (env, direct) = (common::env(), store(&at(&member)));
        let [one, two] =
            [&first, &second].map(|proxy| store_with(&port(proxy.port()), |options| options.timeout = SOON));
        let holder = Claim { mode: Mode::Shared, ..claim(&env, "x", 60) };
        let writer = fifo(&env, "x", 60);
        let reader = Claim { mode: Mode::Shared, ..fifo(&env, "x", 60) };
        take(&one, &holder).await;
        queue_up(&direct, &writer).await;
        queue_up(&two, &reader).await;
        let upgrade = first.on_request(|bytes| has(bytes, " held exclusive"), FaultRule::Hold);
        let enter = |bytes: &[u8]| has(bytes, "leasehold1 held shared") && !has(bytes, "leasehold1 waiting");
        let enter = second.on_request(enter, FaultRule::Hold);
        let upgrading = async {
            let wanted = Claim { mode: Mode::Exclusive, intent: Intent::Amend, ..holder.clone() };
            one.claim(&wanted).await.unwrap()
        };
        let entering = async {
            eventually(&env, "the upgrade", || async { upgrade.fired() }).await;
            direct.release(&writer).await.unwrap();
            two.claim(&reader).await.unwrap()
        };
        let ordering = async {
            eventually(&env, "the reader", || async { enter.fired() }).await;
            let before = member.calls("Txn").unwrap();
            upgrade.release();
            eventually(&env, "the upgrade", || async { member.calls("Txn").unwrap() > before }).await;
            env.sleep(Duration::from_millis(300)).await;
            enter.release();
        };
        let (upgraded, entered, ()) = tokio::join!(upgrading, entering, ordering);
        assert!(matches!(upgraded, Standing::Held(_)), "the reader may enter: {upgraded:?}");
        assert!(matches!(entered, Standing::Granted(_)), "nothing is before it: {entered:?}");
        let holders = direct.inspect(&holder.name).await.unwrap().holders;
        let shared = holders.iter().filter(|it| it.mode == Some(Mode::Shared)).count();
        assert_eq!((holders.len(), shared), (2, 2), "{holders:?}");
    });
    both_get_in_naively(&member);
}

/// A reader enters while the only other one asks to become a writer: a key that was not there when the queue was read.
#[test]
fn an_upgrade_and_a_new_reader_do_not_both_get_in() {
    let member = Member::start().unwrap();
    let proxy = Proxy::to(&member.address()).unwrap();
    run(async {
        let (env, direct) = (common::env(), store(&at(&member)));
        let slow = store_with(&port(proxy.port()), |options| options.timeout = SOON);
        let [holder, reader] = [(); 2].map(|()| Claim { mode: Mode::Shared, ..claim(&env, "x", 60) });
        take(&slow, &holder).await;
        let upgrade = proxy.on_request(|bytes| has(bytes, " held exclusive"), FaultRule::Hold);
        let entering = async {
            eventually(&env, "the upgrade", || async { upgrade.fired() }).await;
            take(&direct, &reader).await;
            upgrade.release();
        };
        let wanted = Claim { mode: Mode::Exclusive, intent: Intent::Amend, ..holder.clone() };
        let (upgraded, ()) = tokio::join!(slow.claim(&wanted), entering);
        let upgraded = upgraded.unwrap();
        assert!(matches!(upgraded, Standing::Held(_)), "another reader holds: {upgraded:?}");
        let holders = direct.inspect(&holder.name).await.unwrap().holders;
        assert!(holders.len() == 2 && holders.iter().all(|it| it.mode == Some(Mode::Shared)), "{holders:?}");
    });
    both_get_in_naively(&member);
}

/// The naive ones read, and then write what follows from that.
fn both_get_in_naively(member: &Member) {
    member.ctl(&["put", "naive/1", "shared"]).unwrap();
    let values = || member.ctl(&["get", "--prefix", "--print-value-only", "naive/"]).unwrap();
    let (is_alone, is_shared) = (values() == "shared\n", !values().contains("exclusive"));
    assert!(is_alone && is_shared);
    member.ctl(&["put", "naive/1", "exclusive"]).unwrap();
    member.ctl(&["put", "naive/2", "shared"]).unwrap();
    assert_eq!(values(), "exclusive\nshared\n", "the control: both got in");
}

/// A waiter that asks again holds if nobody is before it; but another reader, granted behind it while it had not asked, was not
/// granted beside a writer. Whatever it asks for, its place stays.
#[test]
fn a_waiter_that_asks_again_is_granted_beside_nobody_whom_it_excludes() {
    let member = Member::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&member)));
        let writer = claim(&env, "x", 60);
        let [first, second] = [(); 2].map(|()| Claim { mode: Mode::Shared, ..fifo(&env, "x", 60) });
        take(&store, &writer).await;
        for waiter in [&first, &second, &first] {
            queue_up(&store, waiter).await;
        }
        store.release(&writer).await.unwrap();
        take(&store, &second).await;
        queue_up(&store, &Claim { mode: Mode::Exclusive, ..first.clone() }).await;
        take(&store, &first).await;
        let shown = store.inspect(&writer.name).await.unwrap();
        assert!(shown.holders.len() == 2 && shown.holders[0].fence < shown.holders[1].fence, "{shown:?}");
    });
    both_get_in_naively(&member);
}

/// A waiting reader writes down that it holds, and its token, because one was raised before. Until that arrives, the other
/// reader's token is raised once more: the later grant has the higher token all the same.
#[test]
fn a_grant_is_above_a_token_that_was_raised_while_it_was_on_its_way() {
    let member = Member::start().unwrap();
    let proxy = Proxy::to(&member.address()).unwrap();
    run(async {
        let (env, direct) = (common::env(), store(&at(&member)));
        let slow = store_with(&port(proxy.port()), |options| options.timeout = SOON);
        let first = Claim { mode: Mode::Shared, ..claim(&env, "x", 60) };
        let second = Claim { mode: Mode::Shared, ..fifo(&env, "x", 60) };
        take(&direct, &first).await;
        let raise = async |to| {
            let floor = FencingToken::new(to).unwrap();
            let raised = Claim { intent: Intent::Amend, fence_floor: Some(floor), ..first.clone() };
            direct.claim(&raised).await.unwrap()
        };
        raise(10_000).await;
        let write = |bytes: &[u8]| has(bytes, "leasehold1 held shared") && !has(bytes, "leasehold1 waiting");
        let write = proxy.on_request(write, FaultRule::Hold);
        let raising = async {
            eventually(&env, "the grant", || async { write.fired() }).await;
            let raised = raise(1_000_000).await;
            write.release();
            raised
        };
        let (raised, entered) = tokio::join!(raising, async { slow.claim(&second).await.unwrap() });
        let (Standing::Granted(raised), Standing::Granted(entered)) = (raised, entered) else {
            panic!("two readers hold")
        };
        assert!(entered.fence > raised.fence, "{entered:?} after {raised:?}");
    });
    // The naive one takes the revision that made its key, and knows of no other token.
    member.ctl(&["put", "naive/1", "token 1000000"]).unwrap();
    member.ctl(&["put", "naive/2", ""]).unwrap();
    let shown = member.ctl(&["get", "--write-out=fields", "naive/2"]).unwrap();
    let line = shown.lines().find_map(|line| line.strip_prefix("\"CreateRevision\" : ")).unwrap();
    assert!(line.trim().parse::<u64>().unwrap() < 1_000_000, "the control: a later grant has a lower token");
}

/// A claim that is repeated with another number of permits keeps its hold.
#[test]
fn a_holder_that_asks_for_other_permits_loses_nothing() {
    let member = Member::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&member)));
        let permit = |of| Claim { mode: Mode::Permits { take: 1, of }, ..claim(&env, "x", 60) };
        let (first, second) = (permit(3), permit(3));
        take(&store, &first).await;
        take(&store, &second).await;
        for queueing in [Queueing::No, Queueing::Fifo] {
            let other = Claim { mode: Mode::Permits { take: 1, of: 4 }, queueing, ..second.clone() };
            let standing = store.claim(&other).await.unwrap();
            assert!(matches!(standing, Standing::Held(_)), "{standing:?}");
        }
        assert_eq!(store.inspect(&first.name).await.unwrap().holders.len(), 2);
        assert!(store.renew(std::slice::from_ref(&second)).await[0].is_ok());
    });
    // The naive one gives back what it has and takes what it wants, and another comes in between.
    assert!(naive::take(&member, "naive", "me"));
    member.ctl(&["del", "naive/me"]).unwrap();
    assert!(naive::take(&member, "naive", "them"));
    assert!(!naive::take(&member, "naive", "me"), "the control: what it had is another's");
}

/// A client that is closed when its hold has ended already leaves the lock-delay that runs as it is.
#[test]
fn closing_does_not_shorten_a_lock_delay_that_runs() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        let mine = Claim { lock_delay: Duration::from_secs(60), ..claim(&env, "x", 2) };
        take(&one, &mine).await;
        let shut = || async {
            let holders = two.inspect(&mine.name).await.unwrap().holders;
            matches!(&holders[..], [holder] if holder.stance == Stance::Delaying)
        };
        eventually(&env, "the lock-delay", shut).await;
        one.close().await.unwrap();
        assert!(shut().await, "its lock-delay goes on");
    });
    // The naive one ends all that is its own, and the lock is open while its writes may still be on their way.
    let lease = naive::lease(&member, 60);
    member.ctl(&["put", &format!("--lease={lease}"), "naive/delay", ""]).unwrap();
    member.ctl(&["lease", "revoke", &lease]).unwrap();
    assert!(naive::take(&member, "naive", "them"), "the control: there is no delay");
}

/// Whatever a holder does whose time is over, its lock-delay ends when it was to end.
#[test]
fn late_verbs_do_not_prolong_a_lock_delay() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        let mine = Claim { lock_delay: Duration::from_secs(8), ..claim(&env, "x", 2) };
        let lease = naive::lease(&member, 10);
        member.ctl(&["put", &format!("--lease={lease}"), "naive/delay", ""]).unwrap();
        let sent = env.now();
        take(&one, &mine).await;
        env.sleep(Duration::from_secs(7)).await;
        member.ctl(&["lease", "keep-alive", "--once", &lease]).unwrap();
        while env.now().since(sent) < Duration::from_millis(8_500) {
            let _ = one.renew(std::slice::from_ref(&mine)).await;
            let _ = one.claim(&mine).await;
            let _ = one.release(&mine).await;
            env.sleep(Duration::from_millis(200)).await;
        }
        let next = claim(&env, "x", 30);
        eventually(&env, "the end", || async { matches!(two.claim(&next).await, Ok(Standing::Granted(_))) })
            .await;
        let opened = env.now().since(sent);
        assert!(opened >= Duration::from_millis(9_800) && opened < Duration::from_secs(15), "{opened:?}");
        assert!(
            !naive::take(&member, "naive", "them"),
            "the control: a client that keeps its lease alive prolongs its delay"
        );
    });
}
