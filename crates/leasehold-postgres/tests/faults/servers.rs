//! Servers that are killed, sessions that are ended or stand still, standbys that are promoted, clocks that jump.

use std::time::Duration;

use leasehold_core::{Claim, ClaimId, ErrorKind, Outcome, Release, Standing, Store, engine::LockWatcher};
use leasehold_postgres::{PostgresOptions, PostgresStore};
use leasehold_testkit::{
    postgres::{Pooler, Server},
    proxy::{FaultRule, Proxy},
    wait,
};

use crate::fixture::{
    SOON, admin, advisory_lock, engine, env, lock, name, options, runtime, store, try_lock, ttl,
};

/// The control: an advisory lock is gone with the server, and its holder is not told.
#[test]
fn p1_a_killed_server_comes_back_with_every_hold_and_its_tokens() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        let (one, two) = (engine(options(server.port())), engine(options(server.port())));
        let hold = lock(&one, "orders", &ttl(60)).await;
        let naive = admin(&server).await;
        assert!(advisory_lock(&naive).await);
        server.kill();
        server.restart().unwrap();
        assert!(advisory_lock(&admin(&server).await).await, "the control holds nothing any more");
        hold.confirm().await.unwrap();
        assert!(try_lock(&two, "orders").await.is_none());
        let before = hold.lease().fencing_token();
        hold.release().await.unwrap();
        assert!(lock(&two, "orders", &ttl(60)).await.lease().fencing_token() > before);
    });
}

/// The control: whoever holds an advisory lock by that session goes on, and so does the next.
#[test]
fn p2_a_session_that_is_terminated_costs_no_hold_and_no_waiter() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        let (one, two) = (engine(options(server.port())), engine(options(server.port())));
        let hold = lock(&one, "orders", &ttl(60)).await;
        let (naive, other, root) = (admin(&server).await, admin(&server).await, admin(&server).await);
        assert!(advisory_lock(&naive).await && !advisory_lock(&other).await);
        let waiting = tokio::spawn(async move { lock(&two, "orders", &ttl(60)).await });
        let looker = store(&server);
        while looker.inspect(&name("orders")).await.unwrap().waiters.is_empty() {}
        let end = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
            WHERE pid <> pg_backend_pid() AND (application_name = 'leasehold' OR query LIKE '%advisory%')";
        root.batch_execute(end).await.unwrap();
        let second = admin(&server).await;
        assert!(advisory_lock(&second).await, "the control: a second one is in");
        hold.confirm().await.unwrap();
        hold.release().await.unwrap();
        drop(waiting.await.unwrap());
    });
}

/// The control: a statement without a limit waits as long as that session likes.
#[test]
fn p3_a_session_that_keeps_a_row_blocks_one_lock_for_a_moment_and_no_other() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        let (client, env) = (store(&server), env());
        let claim = |text: &str| Claim::new(name(text), ClaimId::mint(&env), Duration::from_secs(30));
        let (first, other) = (claim("orders"), claim("other"));
        assert!(matches!(client.claim(&first).await.unwrap(), Standing::Granted(_)));
        let (keeper, naive) = (admin(&server).await, admin(&server).await);
        keeper
            .batch_execute("BEGIN; SELECT FROM leasehold.locks WHERE name = 'orders' FOR UPDATE")
            .await
            .unwrap();
        let error = client.claim(&claim("orders")).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::TimedOut, Outcome::NotApplied), "{error}");
        assert!(error.hint_text().unwrap().contains("transaction left open"), "{error:?}");
        assert!(matches!(client.claim(&other).await.unwrap(), Standing::Granted(_)));
        let endless = naive.batch_execute("SELECT FROM leasehold.locks WHERE name = 'orders' FOR UPDATE");
        assert!(env.within(Duration::from_secs(2), endless).await.is_none(), "the control waits");
        keeper.batch_execute("ROLLBACK").await.unwrap();
        assert!(matches!(client.renew(&[first]).await[..], [Ok(leasehold_core::Renewal::Renewed { .. })]));
    });
}

/// The control takes no answer for a refusal, and leaves a hold of nobody.
#[test]
fn p4_a_server_that_stands_still_is_an_error_with_an_unknown_outcome_and_the_release_undoes_it() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        let mut impatient = options(server.port());
        impatient.timeout = Duration::from_millis(500);
        let [client, naive] = [impatient.clone(), impatient].map(|it| PostgresStore::new(it, env()).unwrap());
        let (others, env) = (store(&server), env());
        let claim = |text: &str| Claim::new(name(text), ClaimId::mint(&env), Duration::from_secs(60));
        for impatient in [&client, &naive] {
            // A busy machine may take longer to connect, and to make the schema.
            while impatient.server_info().await.is_err() {}
        }
        let sessions = "SELECT pid FROM pg_stat_activity WHERE application_name = 'leasehold'";
        let stopped = server.sql(sessions).unwrap();
        let signal = |signal: &str| {
            let sent = std::process::Command::new("kill").arg(signal).args(stopped.lines()).status();
            assert!(sent.unwrap().success());
        };
        signal("-STOP");
        let (cured, ghost) = (claim("orders"), claim("naive"));
        let error = client.claim(&cured).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::TimedOut, Outcome::Unknown), "{error}");
        assert!(naive.claim(&ghost).await.is_err());
        client.release(&cured).await.unwrap();
        signal("-CONT");
        // They read what is in their sockets, and then find that nobody is there.
        let left = || !server.sql(sessions).unwrap().lines().any(|pid| stopped.lines().any(|it| it == pid));
        assert!(wait::until(SOON, left));
        assert!(matches!(others.claim(&claim("naive")).await.unwrap(), Standing::Held(_)), "the control");
        assert!(matches!(client.claim(&cured).await.unwrap(), Standing::Gone(_)));
        assert!(matches!(others.claim(&claim("orders")).await.unwrap(), Standing::Granted(_)));
    });
}

/// A standby that has the row of one lock, `warm`.
pub(crate) fn follower(primary: &Server) -> Server {
    let standby = runtime().block_on(async {
        let engine = engine(options(primary.port()));
        drop(lock(&engine, "warm", &ttl(600)).await);
        primary.standby().unwrap()
    });
    let applied = || standby.sql("SELECT count(*) FROM leasehold.locks").as_deref() == Ok("1");
    assert!(wait::until(SOON, applied), "the standby follows");
    standby
}

/// The standby does not receive what comes from now on.
pub(crate) fn cut_off(standby: &Server, primary: &Server) {
    standby.sql("ALTER SYSTEM SET primary_conninfo = ''").unwrap();
    standby.sql("SELECT pg_reload_conf()").unwrap();
    let alone = || primary.sql("SELECT count(*) FROM pg_stat_replication").as_deref() == Ok("0");
    assert!(wait::until(SOON, alone));
}

/// Both keep their connections by the same addresses. The control asks nobody, and holds on beside the next.
#[test]
fn p5_a_promoted_standby_that_lagged_is_noticed_at_once_and_one_that_did_not_keeps_the_hold() {
    for lags in [true, false] {
        let primary = Server::start().unwrap();
        let standby = follower(&primary);
        runtime().block_on(async {
            let mut both = options(primary.port());
            both.config.host("127.0.0.1").port(standby.port());
            let (one, two) = (engine(both.clone()), engine(both));
            if lags {
                cut_off(&standby, &primary);
            }
            let hold = lock(&one, "orders", &ttl(600)).await;
            let arrived = || standby.sql("SELECT count(*) FROM leasehold.locks").as_deref() == Ok("2");
            assert!(lags || wait::until(SOON, arrived));
            let env = env();
            let begin = env.now();
            primary.kill();
            standby.sql("SELECT pg_promote()").unwrap();
            let confirmed = env.within(SOON, async {
                loop {
                    match hold.confirm().await {
                        Err(error) if error.is_transient() => {}
                        result => return result,
                    }
                }
            });
            let confirmed = confirmed.await.expect("an answer of the new primary");
            assert_eq!(confirmed.is_err(), lags, "{confirmed:?}");
            assert!(env.now().since(begin) < SOON, "long before its time to live");
            let next = try_lock(&two, "orders").await;
            assert_eq!(next.is_some(), lags, "the control would hold beside it");
            if let Some(next) = next {
                assert!(
                    next.lease().fencing_token() > hold.lease().fencing_token(),
                    "the clock is the floor"
                );
            }
        });
    }
}

/// The control: an update at that level is refused when another was faster.
#[test]
fn p6_a_stricter_isolation_by_default_costs_repetitions_and_no_error() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        store(&server).server_info().await.unwrap();
        server.sql("ALTER ROLE locks SET default_transaction_isolation = 'serializable'").unwrap();
        let work = (0..4).map(|_| {
            let engine = engine(options(server.port()));
            tokio::spawn(async move {
                for _ in 0..25 {
                    lock(&engine, "orders", &ttl(60)).await.release().await.unwrap();
                }
            })
        });
        for task in work.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        // The claim waits for a row that changes after its snapshot was taken; the control, too.
        let (first, naive, root) = (admin(&server).await, admin(&server).await, admin(&server).await);
        let touch = "UPDATE leasehold.locks SET fence = fence";
        first.batch_execute(&format!("BEGIN; {touch}")).await.unwrap();
        server.sql("ALTER FUNCTION leasehold.claim SET lock_timeout = '5s'").unwrap();
        let ours = store(&server);
        let claim = Claim::new(name("orders"), ClaimId::mint(&env()), SOON);
        let granted = tokio::spawn(async move { ours.claim(&claim).await });
        let refused = tokio::spawn(async move {
            naive.batch_execute(&format!("BEGIN ISOLATION LEVEL SERIALIZABLE; {touch}")).await
        });
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while root.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) < 2 {}
        first.batch_execute("COMMIT").await.unwrap();
        assert_eq!(refused.await.unwrap().unwrap_err().code().unwrap().code(), "40001");
        let granted = granted.await.unwrap();
        assert!(matches!(granted, Ok(Standing::Granted(_))), "{granted:?}");
    });
}

/// The control: a resource that does not look at tokens takes the write of the first one, too.
#[test]
fn p7_a_clock_that_jumps_ahead_ends_leases_early_and_tokens_tell_and_back_takes_none_back() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        let (one, two) = (engine(options(server.port())), engine(options(server.port())));
        let hold = lock(&one, "orders", &ttl(60)).await;
        let jump = |by: &str| {
            let now =
                format!("SELECT (extract(epoch FROM clock_timestamp() + interval '{by}') * 1000000)::bigint");
            let set =
                format!("CREATE OR REPLACE FUNCTION leasehold.now() RETURNS bigint LANGUAGE sql AS '{now}'");
            server.sql(&set.replace(&format!("'{by}'"), &format!("''{by}''"))).unwrap();
        };
        jump("1 hour");
        let next = try_lock(&two, "orders").await.expect("the lease is over by that clock");
        assert!(hold.check().is_ok(), "the control believes in its own clock");
        assert!(
            next.lease().fencing_token() > hold.lease().fencing_token(),
            "a resource that looks refuses the first"
        );
        assert_eq!(hold.confirm().await.unwrap_err().kind(), ErrorKind::Lost);
        jump("-1 hour");
        let token = next.lease().fencing_token();
        next.release().await.unwrap();
        assert!(try_lock(&one, "orders").await.expect("it is free").lease().fencing_token() > token);
    });
}

/// The control: a session without the limit waits for the row.
#[test]
fn p8_a_statement_timeout_is_named_and_nothing_was_done() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        let engine = engine(options(server.port()));
        lock(&engine, "orders", &ttl(60)).await.release().await.unwrap();
        server.sql("ALTER ROLE locks SET statement_timeout = '200ms'").unwrap();
        let (keeper, client) = (admin(&server).await, store(&server));
        keeper
            .batch_execute("BEGIN; SELECT FROM leasehold.locks WHERE name = 'orders' FOR UPDATE")
            .await
            .unwrap();
        let claim = Claim::new(name("orders"), ClaimId::mint(&env()), Duration::from_secs(30));
        let error = client.claim(&claim).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::TimedOut, Outcome::NotApplied), "{error}");
        assert!(error.hint_text().unwrap().contains("statement_timeout"), "{error:?}");
        keeper.batch_execute("ROLLBACK").await.unwrap();
        assert!(matches!(client.claim(&claim).await.unwrap(), Standing::Granted(_)));
    });
}

/// The pooler keeps its connections with clients, so none of theirs ends. The control: the hold that the standby never had is
/// not asked about, and its time to live is far from over.
#[test]
fn p12_behind_a_pooler_a_promoted_standby_is_noticed_by_the_next_answer() {
    let primary = Server::start().unwrap();
    let standby = follower(&primary);
    let behind = Proxy::to(&primary.address()).unwrap();
    let pooler = Pooler::before("127.0.0.1", behind.port()).unwrap();
    let before = Proxy::to(&pooler.address()).unwrap();
    runtime().block_on(async {
        let (mut pooled, env) = (options(before.port()), env());
        pooled.is_pooled = true;
        let engine = engine(pooled);
        let kept = lock(&engine, "kept", &ttl(600)).await;
        let arrived = || standby.sql("SELECT count(*) FROM leasehold.locks").as_deref() == Ok("2");
        assert!(wait::until(SOON, arrived));
        cut_off(&standby, &primary);
        let lost = lock(&engine, "lost", &ttl(600)).await;
        primary.kill();
        standby.sql("SELECT pg_promote()").unwrap();
        behind.retarget(&standby.address()).unwrap();
        assert!(lost.lease().check().is_ok(), "the control takes itself to hold");
        let asked = env.within(SOON, async { while kept.confirm().await.is_err() {} });
        asked.await.expect("an answer of the new primary");
        env.within(SOON, lost.lease().lost()).await.expect("long before its time to live");
        assert_eq!(before.connections(), 1, "none was made anew");
    });
}

/// Both come while it waits, and long before the lease ends.
#[test]
fn behind_a_pooler_that_the_url_does_not_name_a_watcher_sees_a_grant_and_a_release() {
    let server = Server::start().unwrap();
    let pooler = Pooler::start(&server).unwrap();
    runtime().block_on(async {
        let (holder, watching, env) = (engine(options(server.port())), engine(options(pooler.port())), env());
        let mut watcher = LockWatcher::new(&watching, &name("orders"), SOON);
        let mut sees = async |is_held: bool| {
            let seen = watcher.until_for(SOON, |lock| (lock.holders.is_empty() != is_held).then_some(()));
            seen.await.unwrap().expect("it is seen long before the lease ends");
        };
        sees(false).await;
        let later = Duration::from_millis(300);
        let grant = async {
            env.sleep(later).await;
            lock(&holder, "orders", &ttl(600)).await
        };
        let ((), hold) = tokio::join!(sees(true), grant);
        let release = async {
            env.sleep(later).await;
            hold.release().await.unwrap();
        };
        tokio::join!(sees(false), release);
    });
}

/// The control is the URL with the password.
#[test]
fn a_failure_to_connect_says_what_to_do() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        let good = options(server.port());
        PostgresStore::open(good.clone(), env()).await.unwrap();
        let [mut nameless, mut secure] = [good.clone(), good.clone()];
        nameless.access.password = "".into();
        secure.access.tls = true;
        let fails = async |options: PostgresOptions, says: &str, advises: &str| {
            let error = PostgresStore::open(options, env()).await.unwrap_err();
            let hint = error.hint_text().unwrap_or_default();
            assert!(error.to_string().contains(says) && hint.contains(advises), "{error:?}");
        };
        fails(nameless, "password missing", "password_file=").await;
        fails(secure, "store: server does not support TLS", "ssl = on").await;
        server.sql("ALTER ROLE locks SET default_transaction_read_only = on").unwrap();
        fails(good, "does not allow writes", "target_session_attrs=read-write").await;
    });
}

/// A claim is given up and released, twice, before its statement arrives. The control: an insert of the same kind makes a row.
#[test]
fn a_claim_that_was_released_twice_makes_no_ghost() {
    let server = Server::builder().with("log_statement=all").start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    runtime().block_on(async {
        let (env, mut options) = (env(), options(proxy.port()));
        options.timeout = Duration::from_millis(500);
        let mine = PostgresStore::new(options, env.clone()).unwrap();
        let claim = |text: &str| Claim::new(name(text), ClaimId::mint(&env), SOON * 30);
        let warm = claim("warm");
        mine.claim(&warm).await.unwrap();
        mine.release(&warm).await.unwrap();
        let late = claim("orders");
        let about = |bytes: &[u8]| bytes.windows(6).any(|word| word == b"orders");
        let rule = proxy.on_request(about, FaultRule::Hold);
        let error = mine.claim(&late).await.unwrap_err();
        assert!(rule.fired() && error.outcome() == Outcome::Unknown, "{error}");
        for _ in 0..2 {
            assert_eq!(mine.release(&late).await.unwrap(), Release::NotHeld);
        }
        let claims = || server.log().matches("leasehold.claim(").count();
        let before = claims();
        rule.release();
        assert!(wait::until(SOON, || claims() > before), "the late claim arrives");
        let other = store(&server);
        assert!(matches!(other.claim(&claim("orders")).await.unwrap(), Standing::Granted(_)));
        let row = "INSERT INTO naive VALUES ('orders') ON CONFLICT DO NOTHING";
        server.sql("CREATE TABLE naive (name text PRIMARY KEY)").unwrap();
        server.sql("DELETE FROM naive WHERE name = 'orders'").unwrap();
        server.sql(row).unwrap();
        assert_eq!(server.sql("SELECT count(*) FROM naive").as_deref(), Ok("1"), "the control: a ghost");
    });
}
