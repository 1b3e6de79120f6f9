//! Servers that forget: eviction, `flush_all`, a restart.

use leasehold_core::{LostReason, Store};
use leasehold_testkit::{memcached::Server, proxy::Proxy};

use crate::{
    common,
    fixture::{at, claim, engine, eventually, lock, lost_in_time, run, store, take, ttl},
    naive::{Naive, Trusting},
};

/// S18. The memory is full and the lock is thrown out: the holder is told at its next renewal, and the next holder's
/// token is above. The lock is looked at by nobody meanwhile, for that would keep it.
#[test]
fn an_evicted_lock_is_noticed_and_fenced() {
    let server = Server::with(&["-m", "2", "-o", "no_lru_maintainer"]).unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&at(&server)));
        // Renewed so seldom that a slow machine fills the memory in between.
        let hold = lock(&engine, "orders", &ttl(30)).await;
        let mut naive = Naive::on(&server);
        // As large as our document, so that it goes when that goes.
        assert!(naive.lock("naive", &"m".repeat(100), 600));
        fill_until_gone(&server, &["orders", "naive"]);
        // The control: it believes to hold what another is given.
        assert!(naive.lock("naive", "them", 600), "the control: two holders");
        let before = hold.lease().fencing_token();
        lost_in_time(&env, &hold).await;
        let next = lock(&engine, "orders", &ttl(9)).await;
        assert!(next.lease().fencing_token() > before, "the late writes of the first are refused");
    });
}

/// Stores values of all sizes, for each size has a share of the memory of its own.
fn fill_until_gone(server: &Server, keys: &[&str]) {
    let mut connection = server.connect().unwrap();
    for round in 0..2_000 {
        for size in (0..40).map(|step| 20 + step * 16) {
            let value = "x".repeat(size);
            for at in 0..10 {
                let key = format!("fill-{round}-{size}-{at}");
                connection.send(format!("set {key} 0 600 {size} noreply\r\n{value}\r\n").as_bytes()).unwrap();
            }
        }
        // `me` changes nothing and says whether it is there; `get` would keep it.
        let gone = |key: &&&str| server.command(&format!("me {key}")).unwrap() == "EN";
        if keys.iter().filter(gone).count() == keys.len() {
            return;
        }
    }
    panic!("800000 values do not fill 2 MB: {:?}", server.stats().unwrap().get("evictions"));
}

/// S18. Somebody empties the server.
#[test]
fn a_flush_is_noticed_and_fenced() {
    let server = Server::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), engine(&at(&server)), engine(&at(&server)));
        let hold = lock(&one, "orders", &ttl(9)).await;
        let mut naive = Naive::on(&server);
        assert!(naive.lock("naive", "me", 600));
        server.command("flush_all").unwrap();
        let second = lock(&two, "orders", &ttl(9)).await;
        assert!(
            second.lease().fencing_token() > hold.lease().fencing_token(),
            "the late writes of the first are refused"
        );
        assert!(naive.lock("naive", "them", 600), "the control: two holders, and nobody is told");
        lost_in_time(&env, &hold).await;
        assert_eq!(hold.lease().lost().await.reason, LostReason::Gone);
        hold.release().await.unwrap();
        assert!(second.confirm().await.is_ok(), "who was flushed frees nothing of the next");
    });
}

/// Whatever is asked for shows that the server was emptied: what was to be renewed much later is renewed at once.
#[test]
fn a_flush_is_noticed_by_the_next_request_of_any_kind() {
    let server = Server::start().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&at(&server)));
        let hold = lock(&engine, "orders", &ttl(600)).await;
        // It empties what is older than a second.
        let mut naive = Trusting::at(&server.address());
        naive.lock("naive", 600);
        env.sleep(std::time::Duration::from_millis(1_500)).await;
        server.command("flush_all").unwrap();
        lock(&engine, "other", &ttl(600)).await.release().await.unwrap();
        let lost = env.until(env.now() + crate::fixture::SOON, hold.lease().lost()).await;
        assert!(
            lost.is_some_and(|lost| lost.certain),
            "told before the 200 s after which it would have asked"
        );
        // The naive client speaks to the server as well, and makes nothing of it.
        naive.send("get other\r\n");
        assert_eq!(naive.read().as_deref(), Some("END\r\n"));
        assert!(
            naive.believes() && Naive::on(&server).lock("naive", "them", 600),
            "the control: two holders"
        );
    });
}

/// S18. The server is killed and comes back empty: everybody renews at once, and is told long before the third of the
/// time to live at which it would have asked. Tokens go on growing.
#[test]
fn a_restart_is_noticed_at_once_and_tokens_grow() {
    let server = Server::start().unwrap();
    run(async {
        let (env, one, two) = (common::env(), engine(&at(&server)), engine(&at(&server)));
        let before = two.store().server_info().await.unwrap();
        let hold = lock(&one, "orders", &ttl(120)).await;
        let mut naive = Naive::on(&server);
        assert!(naive.lock("naive", "me", 600));
        // The server's calendar counts whole seconds: a run of less than one has no number of its own.
        env.sleep(std::time::Duration::from_millis(1_500)).await;
        server.restart().unwrap();
        let second = lock(&two, "orders", &ttl(120)).await;
        assert!(
            second.lease().fencing_token() > hold.lease().fencing_token(),
            "the late writes of the first are refused"
        );
        let after = two.store().server_info().await.unwrap();
        assert!(after.server != before.server && after.remembers_for < std::time::Duration::from_secs(60));
        assert!(
            Naive::on(&server).lock("naive", "them", 600),
            "the control: two holders, and nobody is told"
        );
        let lost = env.until(env.now() + crate::fixture::SOON, hold.lease().lost()).await;
        assert!(
            lost.is_some_and(|lost| lost.certain),
            "told before the 40 s after which it would have asked"
        );
    });
}

/// S33. The name leads to another server from now on: that is a server which has lost everything. The holder is told at the next
/// connection, long before a third of its time to live.
#[test]
fn a_name_that_leads_to_another_server_takes_the_lock_with_it() {
    let (first, second) = (Server::start().unwrap(), Server::start().unwrap());
    let proxy = Proxy::to(&first.address()).unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&proxy.port().to_string()));
        let hold = lock(&engine, "orders", &ttl(600)).await;
        let mut naive = Naive::on(&first);
        assert!(naive.lock("naive", "me", 600));
        proxy.retarget(&second.address()).unwrap();
        proxy.reset_all();
        let lost = env.until(env.now() + crate::fixture::SOON, hold.lease().lost()).await;
        assert!(
            lost.is_some_and(|lost| lost.certain),
            "told before the 200 s after which it would have asked"
        );
        assert!(
            Naive::on(&second).lock("naive", "them", 600),
            "the control: two holders, and nobody is told"
        );
        let next = lock(&engine, "orders", &ttl(9)).await;
        next.confirm().await.unwrap();
    });
}

/// A server that is stopped with SIGUSR1 and keeps its items in a file comes back with all of them: nobody else gets in, and no
/// lease is lost. The control is a server that is restarted without.
#[test]
fn a_warm_restart_keeps_locks() {
    for is_warm in [true, false] {
        // The directory of another server, which ends with it; Memcached gives up its rights before it makes the file.
        let home = Server::start().unwrap();
        std::fs::set_permissions(home.directory(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .unwrap();
        let file = home.directory().join("items");
        let server = Server::with(&["-e", file.to_str().unwrap(), "-m", "64"]).unwrap();
        run(async {
            let (env, engine, other) = (common::env(), engine(&at(&server)), store(&at(&server)));
            let hold = lock(&engine, "orders", &ttl(120)).await;
            let mut naive = Naive::on(&server);
            assert!(naive.lock("naive", "me", 600));
            env.sleep(std::time::Duration::from_millis(1_500)).await;
            if is_warm {
                let pid = server.pid().to_string();
                assert!(std::process::Command::new("kill").args(["-USR1", &pid]).status().unwrap().success());
                eventually(&env, "the end of the server", || async { !server.is_running() }).await;
                // The server does not take over what was kept in the second of its calendar in which it starts, or later.
                env.sleep(std::time::Duration::from_millis(2_500)).await;
            }
            server.restart().unwrap();
            let stays = !Naive::on(&server).lock("naive", "them", 600);
            assert_eq!(stays, is_warm, "the control: what is not kept is taken again");
            let standing = other.claim(&claim(&env, "orders", 120)).await.unwrap();
            let is_kept_out = !matches!(standing, leasehold_core::Standing::Granted(_));
            assert_eq!(is_kept_out, is_warm, "{standing:?}");
            assert_eq!(hold.confirm().await.is_ok(), is_warm);
        });
    }
}

/// The negative control of all of these: a server that forgets nothing keeps both.
#[test]
fn what_is_not_forgotten_stays() {
    let server = Server::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&server)));
        let mine = claim(&env, "orders", 60);
        let grant = take(&store, &mine).await;
        assert!(Naive::on(&server).lock("naive", "me", 600));
        eventually(&env, "a second", || async {
            store.server_info().await.unwrap().remembers_for > grant.remembers_for
        })
        .await;
        assert!(
            !Naive::on(&server).lock("naive", "them", 600) && !Naive::on(&server).lock("orders", "them", 600)
        );
        assert_eq!(take(&store, &mine).await.fence, grant.fence);
    });
}
