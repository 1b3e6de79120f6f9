//! A cluster that is put back to a snapshot.

use leasehold_core::{FencingToken, Interest, Store};
use leasehold_testkit::etcd::Member;

use crate::{
    common,
    fixture::{SOON, at, claim, engine, lock, run, store, take, ttl},
};

async fn next_token(words: &str) -> FencingToken {
    let hold = lock(&engine(words), "others", &ttl(60)).await;
    let token = hold.lease().fencing_token().expect("etcd orders its grants");
    hold.release().await.unwrap();
    token
}

/// S17. Revisions, and so tokens, go back to those of the snapshot: that is the assumption that SAFETY.md names, and no client
/// can mend it. What a client can do it does: a holder whose key is not in the snapshot is told by its next
/// request of any kind, long before its own renewal, and what is in the snapshot is held on.
#[test]
fn s17_a_restored_snapshot_takes_tokens_back_and_its_missing_holders_are_told() {
    let member = Member::start().unwrap();
    let words = at(&member);
    run(async {
        let env = common::env();
        let (kept, engine) = (store(&words), engine(&words));
        let saved = claim(&env, "saved", 3_600);
        take(&kept, &saved).await;
        let snapshot = member.snapshot().unwrap();
        let hold = lock(&engine, "unsaved", &ttl(600)).await;
        for _ in 0..5 {
            next_token(&words).await;
        }
        let before = next_token(&words).await;
        // The control is restarted with its data: no holder is notified, and tokens grow.
        member.restart().unwrap();
        let grown = next_token(&words).await;
        assert!(grown > before, "the control: a restart takes nothing back");
        assert!(hold.confirm().await.is_ok());

        member.restore(&snapshot).unwrap();
        let after = next_token(&words).await;
        assert!(after <= grown, "{after} after {grown}: the violation that SAFETY.md lists");
        // A second holder is in. The first hears of it by the new connection of whatever it asks next, not by its renewal
        // after 200 s.
        let second = lock(&crate::fixture::engine(&words), "unsaved", &ttl(600)).await;
        lock(&engine, "another", &ttl(60)).await.release().await.unwrap();
        let told = env.until(env.now() + SOON, hold.lease().lost()).await;
        let lease = hold.lease();
        assert!(told.is_some(), "told within {SOON:?}: {lease:?}, confirmed: {:?}", hold.confirm().await);
        second.lease().check().unwrap();
        let shown = kept.inspect(&saved.name).await.unwrap();
        assert_eq!(shown.holders.len(), 1, "what is in the snapshot is held");
        drop(kept.watch(&saved.name, Interest::Turn(saved.id)).await);
    });
}
