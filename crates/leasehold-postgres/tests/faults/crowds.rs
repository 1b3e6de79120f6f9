//! Many locks of few clients: connections, memory, and the size of the table.

use std::time::Duration;

use leasehold_core::{Claim, ClaimId, Mode, Renewal, Standing, Store, engine::Wait};
use leasehold_postgres::PostgresStore;
use leasehold_testkit::{postgres::Server, wait};

use crate::fixture::{SOON, admin, engine, env, lock, name, options, runtime, store, ttl};

/// A count that a variable makes greater.
fn count(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |count| count.parse().unwrap())
}

fn number(server: &Server, query: &str) -> u64 {
    server.sql(query).unwrap().parse().unwrap()
}

/// Kilobytes of memory that this process has.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).expect("a number")
}

/// All are held by one client and waited for by another; `LEASEHOLD_NAMES` makes them more.
#[test]
fn many_names_held_and_waited_for_take_three_connections_and_lose_no_wake_up() {
    let (server, names) = (Server::start().unwrap(), count("LEASEHOLD_NAMES", 300));
    runtime().block_on(async {
        let (env, one, two) = (env(), engine(options(server.port())), engine(options(server.port())));
        // Longer than the test may take: only a wake-up helps.
        let (terms, patience) = (ttl(36_000), Duration::from_secs(600));
        let (before, begin) = (resident_kib(), env.now());
        let mut holds = Vec::new();
        for at in 0..names {
            holds.push(lock(&one, &format!("lock {at}"), &terms).await);
        }
        let waiters: Vec<_> = (0..names)
            .map(|at| {
                let (two, terms) = (two.clone(), terms.clone());
                tokio::spawn(async move {
                    let text = name(&format!("lock {at}"));
                    two.acquire(&text, Mode::Exclusive, &terms, Wait::For(patience), None).await
                })
            })
            .collect();
        let waiting = "SELECT count(*) FROM leasehold.locks, unnest(claims) AS c WHERE c.state = 0";
        assert!(wait::until(patience, || number(&server, waiting) == names as u64));
        let clients = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leasehold'";
        assert_eq!(number(&server, clients), 3, "one that holds, and two of the one that waits");
        let (memory, taken) = (resident_kib().saturating_sub(before), env.now());
        for hold in holds {
            hold.release().await.unwrap();
        }
        for waiter in waiters {
            assert!(waiter.await.unwrap().unwrap().is_some(), "woken");
        }
        let (claimed, handed) = (taken.since(begin), env.now().since(taken));
        eprintln!("{names} names: {memory} KiB, claimed in {claimed:?}, handed over in {handed:?}");
    });
}

/// The updates of the table that its pages took, and all.
fn updates(server: &Server, table: &str) -> (u64, u64) {
    let query = |column| {
        number(server, &format!("SELECT {column} FROM pg_stat_user_tables WHERE relid = '{table}'::regclass"))
    };
    (query("n_tup_hot_upd"), query("n_tup_upd"))
}

async fn renew_all(store: &PostgresStore, claims: &[Claim]) {
    for renewal in store.renew(claims).await {
        assert!(matches!(renewal, Ok(Renewal::Renewed { .. })), "{renewal:?}");
    }
}

/// A lease of thirty seconds is renewed 360 times an hour: `LEASEHOLD_RENEWALS=360 LEASEHOLD_NAMES=10000` plays that hour.
/// Between two visits of autovacuum, which comes once a minute, are six. The control: a table with an index on the expiry
/// as it is written on the first day, which takes a new place for each update.
#[test]
fn renewals_do_not_make_the_table_grow() {
    const A_MINUTE: usize = 6;
    let server = Server::builder().with("autovacuum=off").start().unwrap();
    let (names, rounds) = (count("LEASEHOLD_NAMES", 300), count("LEASEHOLD_RENEWALS", 24));
    runtime().block_on(async {
        let (store, env) = (store(&server), env());
        let claims: Vec<Claim> = (0..names)
            .map(|at| Claim::new(name(&format!("lock {at}")), ClaimId::mint(&env), Duration::from_secs(36_000)))
            .collect();
        for claim in &claims {
            assert!(matches!(store.claim(claim).await.unwrap(), Standing::Granted(_)));
        }
        let size = || number(&server, "SELECT pg_total_relation_size('leasehold.locks')");
        let (first, begin) = (size(), env.now());
        let mut largest = first;
        for round in 1..=rounds {
            renew_all(&store, &claims).await;
            if round % A_MINUTE == 0 {
                server.sql("VACUUM leasehold.locks").unwrap();
                largest = largest.max(size());
            }
        }
        let took = env.now().since(begin);
        store.close().await.unwrap();
        let all = (names * rounds) as u64;
        assert!(wait::until(SOON, || updates(&server, "leasehold.locks").1 >= all), "the session counts at its end");
        let (hot, seen) = updates(&server, "leasehold.locks");
        eprintln!("{seen} updates in {took:?}, {hot} of them within the page; {first} bytes, then {largest}");
        assert!(largest <= 2 * first, "{first} bytes, then {largest}");

        let naive = admin(&server).await;
        naive.batch_execute("CREATE TABLE naive (id int PRIMARY KEY, expires timestamptz); CREATE INDEX ON naive (expires);
            INSERT INTO naive SELECT i, now() FROM generate_series(1, 300) AS i").await.unwrap();
        for _ in 0..24 {
            naive.batch_execute("UPDATE naive SET expires = clock_timestamp()").await.unwrap();
        }
        drop(naive);
        assert!(wait::until(SOON, || updates(&server, "naive").1 >= 300 * 24));
        assert_eq!(updates(&server, "naive").0, 0, "the control");
    });
}
