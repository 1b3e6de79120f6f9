//! Writes that only a holder can make.

use leasehold_core::{Claim, Store};
use leasehold_etcd::{Committed, KeyWrite};
use leasehold_testkit::{
    etcd::Member,
    proxy::{FaultRule, Proxy},
};

use crate::{
    common,
    fixture::{about, at, claim, eventually, fifo, port, queue_up, run, store, take},
};

fn put(key: &str, value: &str) -> KeyWrite {
    KeyWrite::Put { key: key.into(), value: value.into() }
}

fn read(member: &Member, key: &str) -> String {
    member.ctl(&["get", "--print-value-only", key]).unwrap().trim().into()
}

#[test]
fn a_holder_writes_all_and_others_nothing() {
    let member = Member::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), store(&at(&member)), store(&at(&member)));
        let (holder, waiter) = (claim(&env, "x", 60), fifo(&env, "x", 60));
        take(&one, &holder).await;
        queue_up(&two, &waiter).await;
        let writes = vec![put("data", "1"), put("more", "1")];
        assert!(matches!(one.commit(&holder, writes).await.unwrap(), Committed::Yes { .. }));
        // A waiter, an unknown claim, and a client that knows only the id.
        for claim in [&waiter, &Claim { id: leasehold_core::ClaimId::mint(&env), ..holder.clone() }] {
            let answer = two.commit(claim, vec![put("data", "2")]).await.unwrap();
            assert_eq!(answer, Committed::NotHeld);
        }
        let answer = two.commit(&holder, vec![KeyWrite::Delete { key: "more".into() }]).await.unwrap();
        assert!(matches!(answer, Committed::Yes { .. }));
        assert_eq!((read(&member, "data").as_str(), read(&member, "more").as_str()), ("1", ""));
        one.release(&holder).await.unwrap();
        assert_eq!(one.commit(&holder, vec![put("data", "3")]).await.unwrap(), Committed::NotHeld);
        // Its place is the first now, and it has not asked: that is no hold.
        assert_eq!(two.commit(&waiter, vec![put("data", "3")]).await.unwrap(), Committed::NotHeld);
    });
}

/// The write of a holder is on its way while its lock goes to another: it arrives late, and is refused. Written without
/// the lock in the same transaction, it overwrites.
#[test]
fn a_write_that_arrives_late_is_refused() {
    let member = Member::start().unwrap();
    let proxy = Proxy::to(&member.address()).unwrap();
    run(async {
        let (env, slow, next) = (common::env(), store(&port(proxy.port())), store(&at(&member)));
        let old = claim(&env, "x", 60);
        take(&slow, &old).await;
        let fault = proxy.on_request(about("from the old"), FaultRule::Hold);
        let late = async { slow.commit(&old, vec![put("data", "from the old")]).await };
        let meanwhile = async {
            eventually(&env, "the write", || async { fault.fired() }).await;
            next.force_release(&old.name).await.unwrap();
            let new = claim(&env, "x", 60);
            take(&next, &new).await;
            next.commit(&new, vec![put("data", "from the new")]).await.unwrap();
            fault.release();
        };
        let (answer, ()) = tokio::join!(late, meanwhile);
        // Refused, or unknown because it took too long: never written.
        assert!(!matches!(answer, Ok(Committed::Yes { .. })), "{answer:?}");
        assert_eq!(read(&member, "data"), "from the new");
    });
    let fault = proxy.on_request(about("naive"), FaultRule::Hold);
    let mut naive = std::process::Command::new("etcdctl");
    naive.env("ETCDCTL_API", "3").arg(format!("--endpoints={}", proxy.address()));
    let mut naive = naive.args(["put", "data", "naive"]).spawn().unwrap();
    assert!(fault.wait_fired(crate::fixture::SOON));
    member.ctl(&["put", "data", "from the new"]).unwrap();
    fault.release();
    naive.wait().unwrap();
    assert_eq!(read(&member, "data"), "naive", "the control: it overwrites");
}
