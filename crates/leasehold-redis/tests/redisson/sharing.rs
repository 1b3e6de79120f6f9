//! Readers, writers and permits of Redisson and of ours on one name.

use std::time::Duration;

use leasehold_core::{Claim, LockName, Mode, Release, Renewal, Standing, Store, Wait};
use leasehold_redis::RedisStore;
use leasehold_testkit::peer::Peer;

use crate::{
    case::{SHORT, ended_in_time},
    context::{LONG, TestContext, terms},
    wake::PERMIT,
};

fn shared(claim: Claim) -> Claim {
    Claim { mode: Mode::Shared, ..claim }
}

async fn is_granted(store: &RedisStore, claim: &Claim) {
    let standing = store.claim(claim).await.expect("an answer of the store");
    assert!(matches!(standing, Standing::Granted(_)), "{standing:?}");
}

async fn is_released(store: &RedisStore, claim: &Claim) {
    assert_eq!(store.release(claim).await.expect("an answer of the store"), Release::Released);
}

async fn is_renewed(store: &RedisStore, claim: &Claim) {
    let renewal = store.renew(std::slice::from_ref(claim)).await.remove(0);
    assert!(matches!(renewal, Ok(Renewal::Renewed { .. })), "{renewal:?}");
}

/// The last reader keeps writers out, in each order of coming and of going.
pub(crate) async fn readers_of_both_hold_together_and_keep_writers_out(context: &TestContext) {
    let (mut peer, mut other, store) = (context.peer().await, context.peer().await, context.store());
    for its_goes_first in [true, false] {
        let name = context.name();
        let ours = shared(context.claim(&name, LONG));
        if its_goes_first {
            peer.expect(&format!("read {name} 60000"), "granted").await;
        }
        is_granted(&store, &ours).await;
        if !its_goes_first {
            peer.expect(&format!("read {name} 60000"), "granted").await;
        }
        let snapshot = store.inspect(&name).await.expect("an answer of the store");
        let modes: Vec<_> = snapshot.holders.iter().map(|holder| holder.mode).collect();
        assert_eq!(modes, [Some(Mode::Shared); 2], "{snapshot:?}");
        context.is_kept_out(&store, &name).await;
        other.expect(&format!("write {name} 60000"), "busy").await;
        other.expect(&format!("lock {name} 60000"), "busy").await;
        if its_goes_first {
            peer.expect(&format!("unread {name}"), "released").await;
            is_renewed(&store, &ours).await;
        } else {
            is_released(&store, &ours).await;
        }
        context.is_kept_out(&store, &name).await;
        other.expect(&format!("write {name} 60000"), "busy").await;
        if its_goes_first {
            is_released(&store, &ours).await;
        } else {
            peer.expect(&format!("unread {name}"), "released").await;
        }
        other.expect(&format!("write {name} 60000"), "granted").await;
        assert_eq!(context.is_refused(&store, &ours).await.mode, Some(Mode::Exclusive));
    }
    // Control: a reader that writes its field alone is forgotten when a reader of Redisson goes.
    let name = context.name();
    peer.expect(&format!("read {name} 60000"), "granted").await;
    context.server.command(&["HSET", name.as_str(), "naive", "1"]).expect("an answer");
    peer.expect(&format!("unread {name}"), "released").await;
    other.expect(&format!("write {name} 60000"), "granted").await;
}

/// SIGKILL of a reader, its or ours: a writer of the other side gets in when its time to live is over.
pub(crate) async fn readers_end_when_they_were_killed(context: &TestContext) {
    let (mut peer, engine, name) = (context.peer().await, context.engine(), context.name());
    let sent = context.env.now();
    peer.expect(&format!("read {name} {}", SHORT.as_millis()), "granted").await;
    peer.kill();
    context.won(&engine, &name, Mode::Exclusive).await.release().await.expect("a release");
    ended_in_time(context, sent);

    let (mut ours, mut peer, name) = (context.process_of_ours().await, context.peer().await, context.name());
    let sent = context.env.now();
    ours.expect(&format!("read {name} {}", SHORT.as_millis()), "granted").await;
    ours.kill();
    peer.expect(&format!("waitwrite {name} 60000 30000"), "granted").await;
    ended_in_time(context, sent);
}

/// Its watchdog and ours keep one name read for three times to live; ours alone keeps it when its process was killed.
pub(crate) async fn watchdogs_of_readers_renew_side_by_side(context: &TestContext) {
    // The peer's watchdog has this time to live.
    let ttl = Duration::from_millis(4000);
    let (mut peer, mut other, engine) = (context.peer().await, context.peer().await, context.engine());
    let name = context.name();
    peer.expect(&format!("read {name} 0"), "granted").await;
    let hold = engine.acquire(&name, Mode::Shared, &terms(ttl), Wait::No, None).await;
    let hold = hold.expect("an answer of the store").expect("only readers hold it");
    keep_writers_out(context, &mut other, &name, ttl * 3).await;
    peer.kill();
    keep_writers_out(context, &mut other, &name, ttl * 2).await;
    hold.confirm().await.expect("it was renewed");
    let snapshot = context.store().inspect(&name).await.expect("an answer of the store");
    assert_eq!(snapshot.holders.len(), 1, "{snapshot:?}");
    hold.release().await.expect("a release");
    other.expect(&format!("write {name} 60000"), "granted").await;
}

async fn keep_writers_out(context: &TestContext, writer: &mut Peer, name: &LockName, time: Duration) {
    let until = context.env.now() + time;
    while context.env.now() < until {
        context.is_kept_out(&context.store(), name).await;
        writer.expect(&format!("write {name} 60000"), "busy").await;
        context.env.sleep(time / 30).await;
    }
}

/// Of three permits, each side gets what the other leaves.
pub(crate) async fn permits_of_both_are_counted_together(context: &TestContext) {
    let (mut peer, store, name) = (context.peer().await, context.store(), context.name());
    let claim = |take| Claim { mode: Mode::Permits { take, of: 3 }, ..context.claim(&name, LONG) };
    let (two, one) = (claim(2), claim(1));
    is_granted(&store, &two).await;
    // A semaphore that we made is there for it, too, and stays as large as it is.
    peer.expect(&format!("permits {name} 7"), "free 1").await;
    let granted = peer.ask(&format!("permit {name} 60000 0")).await;
    let id = granted.strip_prefix("granted ").expect("a permit");
    let holder = context.is_refused(&store, &one).await;
    assert!(holder.mode.is_some(), "{holder:?}");
    peer.expect(&format!("permit {name} 60000 0"), "busy").await;
    let snapshot = store.inspect(&name).await.expect("an answer of the store");
    let its = snapshot.holders.iter().find(|holder| holder.note.is_some()).expect("its permit is shown");
    assert!(its.note.as_deref().is_some_and(|note| note.contains(id)), "{its:?}");
    is_renewed(&store, &two).await;
    is_released(&store, &two).await;
    peer.expect(&format!("permits {name} 3"), "free 2").await;
    peer.expect(&format!("unpermit {name} {id}"), "released").await;
    is_granted(&store, &claim(3)).await;
    peer.expect(&format!("permit {name} 60000 0"), "busy").await;
    let ended = store.force_release(&name).await.expect("an answer of the store");
    assert_eq!(ended.len(), 1, "{ended:?}");
    peer.expect(&format!("permits {name} 3"), "free 3").await;
    // Control: RSemaphore, whose permits have no owners, knows no end of what was taken.
    context.server.command(&["DECRBY", name.as_str(), "3"]).expect("an answer");
    peer.expect(&format!("permit {name} 60000 0"), "busy").await;
}

/// SIGKILL of the holder of the only permit: the other side gets it when its time to live is over.
pub(crate) async fn permits_end_when_their_holder_was_killed(context: &TestContext) {
    let (mut peer, engine, name) = (context.peer().await, context.engine(), context.name());
    peer.expect(&format!("permits {name} 1"), "free 1").await;
    let sent = context.env.now();
    assert!(peer.ask(&format!("permit {name} {} 0", SHORT.as_millis())).await.starts_with("granted "));
    peer.kill();
    context.won(&engine, &name, PERMIT).await.release().await.expect("a release");
    ended_in_time(context, sent);

    let (mut ours, mut peer, name) = (context.process_of_ours().await, context.peer().await, context.name());
    let sent = context.env.now();
    ours.expect(&format!("permit {name} {}", SHORT.as_millis()), "granted").await;
    ours.kill();
    assert!(peer.ask(&format!("permit {name} 60000 30000")).await.starts_with("granted "));
    ended_in_time(context, sent);
}

/// A claim on another number of permits is a mistake, also when nobody uses the semaphore that Redisson made; so is a lock.
pub(crate) async fn its_semaphore_keeps_its_number(context: &TestContext) {
    let (mut peer, store, name) = (context.peer().await, context.store(), context.name());
    peer.expect(&format!("permits {name} 3"), "free 3").await;
    for mode in [Mode::Permits { take: 1, of: 4 }, Mode::Exclusive, Mode::Shared] {
        let claim = Claim { mode, ..context.claim(&name, LONG) };
        let standing = store.claim(&claim).await.expect("an answer of the store");
        assert_eq!(standing, Standing::Mismatch { limit: Some(3) }, "{mode:?}");
    }
    peer.expect(&format!("permits {name} 4"), "free 3").await;
    // Control: one that we made and nobody uses takes another number.
    let name = context.name();
    for of in [3, 4] {
        let claim = Claim { mode: Mode::Permits { take: of, of }, ..context.claim(&name, LONG) };
        is_granted(&store, &claim).await;
        is_released(&store, &claim).await;
    }
}
