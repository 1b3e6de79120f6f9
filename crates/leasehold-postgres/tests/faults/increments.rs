//! Many processes add to one table under one lock, while they and the server's processes are killed.
//!
//! The table is a ledger of `number token worker`: an increment reads the highest number and inserts the next, in a
//! transaction that has checked in. Two holders at once would insert the same number twice; a stale one would break the order
//! of tokens. No clock and no pause matters to that, so nothing here depends on how busy the machine is.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use leasehold_core::{Error, Mode, engine::Engine, engine::Wait};
use leasehold_postgres::check_in;
use leasehold_testkit::{postgres::Server, wait};
use tokio_postgres::{Client, GenericClient, NoTls};

use crate::fixture::{SOON, admin, engine, env, name, options, runtime, ttl};

const WORKERS: usize = 32;
/// The increments of each worker; `LEASEHOLD_INCREMENTS` makes it more.
const INCREMENTS: usize = 20;
const ROLE: &str = "LEASEHOLD_TEST_INCREMENTER";
const LEDGER: &str = "CREATE TABLE ledger (number bigint, token bigint, worker int);
    CREATE INDEX ON ledger (number); CREATE INDEX ON ledger (worker); GRANT ALL ON ledger TO locks";
/// Long enough to be renewed on a busy machine, and soon over when its holder was killed.
const TTL_SECONDS: u64 = 3;

fn increments() -> usize {
    std::env::var("LEASEHOLD_INCREMENTS").map_or(INCREMENTS, |count| count.parse().unwrap())
}

async fn highest(session: &impl GenericClient) -> Result<i64, tokio_postgres::Error> {
    let row = session.query_one("SELECT coalesce(max(number), 0) FROM ledger", &[]).await?;
    Ok(row.get(0))
}

async fn insert(
    session: &impl GenericClient,
    number: i64,
    token: i64,
    worker: i32,
) -> Result<(), tokio_postgres::Error> {
    let insert = "INSERT INTO ledger VALUES ($1, $2, $3)";
    session.execute(insert, &[&number, &token, &worker]).await.map(drop)
}

/// A failure of the lock or of the transaction: it was killed, or the lease is over.
#[derive(Debug)]
struct Failed;

impl From<Error> for Failed {
    fn from(_: Error) -> Failed {
        Failed
    }
}

impl From<tokio_postgres::Error> for Failed {
    fn from(_: tokio_postgres::Error) -> Failed {
        Failed
    }
}

async fn increment(engine: &Engine, session: &mut Client, worker: i32) -> Result<(), Failed> {
    let terms = ttl(TTL_SECONDS);
    let hold = engine.acquire(&name("ledger"), Mode::Exclusive, &terms, Wait::For(SOON), None).await?;
    let hold = hold.ok_or(Failed)?;
    let token = hold.lease().fencing_token().unwrap();
    let transaction = session.transaction().await?;
    check_in(&transaction, "ledger", token).await?;
    let number = highest(&transaction).await? + 1;
    insert(&transaction, number, token.as_i64(), worker).await?;
    transaction.commit().await?;
    hold.release().await?;
    Ok(())
}

async fn connect(port: u16) -> Result<Client, tokio_postgres::Error> {
    let login = format!("host=127.0.0.1 port={port} user=locks password=pw dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&login, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Works until its share is in the ledger: what was in doubt when a session ended is counted there.
async fn session(engine: &Engine, port: u16, worker: i32) -> Result<(), Failed> {
    let mut session = connect(port).await?;
    let done = session.query_one("SELECT count(*) FROM ledger WHERE worker = $1", &[&worker]).await?;
    let done = done.get::<_, i64>(0) as usize;
    for _ in done..increments() {
        increment(engine, &mut session, worker).await?;
    }
    Ok(())
}

/// Not a test of its own: the body of a worker process.
#[test]
fn incrementer() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (worker, port) = role.split_once(':').unwrap();
    let (worker, port) = (worker.parse().unwrap(), port.parse().unwrap());
    runtime().block_on(async {
        let (engine, env) = (engine(options(port)), env());
        while session(&engine, port, worker).await.is_err() {
            // The server may be recovering.
            env.sleep(Duration::from_millis(20)).await;
        }
    });
    println!("finished");
}

fn spawn(server: &Server, worker: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "increments::incrementer", "--nocapture"])
        .env(ROLE, format!("{worker}:{}", server.port()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finished(worker: Child) -> bool {
    let output = worker.wait_with_output().unwrap();
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("finished")
}

/// Ends one session of a worker, by its server process: asked to end, or killed, which ends all sessions.
fn strike(server: &Server, kills: bool) {
    let one = "FROM pg_stat_activity WHERE usename = 'locks' ORDER BY random() LIMIT 1";
    let struck = wait::until(SOON, || match kills {
        false => server.sql(&format!("SELECT pg_terminate_backend(pid) {one}")).is_ok(),
        true => server.sql(&format!("SELECT pid {one}")).is_ok_and(|pid| {
            Command::new("kill").args(["-KILL", &pid]).status().is_ok_and(|status| status.success())
        }),
    });
    assert!(struck);
}

#[test]
fn thirty_two_processes_add_exactly_and_in_token_order_while_they_and_the_servers_are_killed() {
    let server = Server::builder().with("max_connections=200").start().unwrap();
    server.sql(LEDGER).unwrap();
    let (env, total) = (env(), WORKERS * increments());
    let mut workers: Vec<Child> = (0..WORKERS).map(|worker| spawn(&server, worker)).collect();
    // A fault comes when the ledger has grown by its share, so they are spread over the whole run.
    let strikes = if total > WORKERS * INCREMENTS { 64 } else { 8 };
    for strike_number in 1..strikes {
        let share = total * strike_number / strikes;
        let grown = format!(
            "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM ledger WHERE number >= {share}) LOOP PERFORM pg_sleep(0.02);
            END LOOP; END $$"
        );
        // The server may still be recovering from the last one.
        wait::attempt(SOON * 30, || server.sql(&grown)).unwrap();
        match strike_number % 8 {
            3 => strike(&server, false),
            7 => strike(&server, true),
            _ => {
                let victim = (env.random() % WORKERS as u128) as usize;
                workers[victim].kill().unwrap();
                workers[victim].wait().unwrap();
                workers[victim] = spawn(&server, victim);
            }
        }
    }
    assert!(workers.into_iter().map(finished).collect::<Vec<_>>().into_iter().all(|one| one));
    let counts = "SELECT count(*), count(DISTINCT number), min(number), max(number) FROM ledger";
    assert_eq!(server.sql(counts).unwrap(), format!("{total}|{total}|1|{total}"));
    let disorder =
        "SELECT count(*) FROM (SELECT token, lag(token) OVER (ORDER BY number) AS last FROM ledger)
        AS pairs WHERE token <= last";
    assert_eq!(server.sql(disorder).unwrap(), "0", "tokens grow in the order of the grants");
}

/// The negative control: without the lock, an increment is lost.
#[test]
fn without_the_lock_the_same_increments_are_lost() {
    let server = Server::start().unwrap();
    server.sql(LEDGER).unwrap();
    runtime().block_on(async {
        let (mut one, mut two) = (admin(&server).await, admin(&server).await);
        let (first, second) = (one.transaction().await.unwrap(), two.transaction().await.unwrap());
        let seen = [highest(&first).await.unwrap(), highest(&second).await.unwrap()];
        insert(&first, seen[0] + 1, 1, 1).await.unwrap();
        insert(&second, seen[1] + 1, 2, 2).await.unwrap();
        first.commit().await.unwrap();
        second.commit().await.unwrap();
        assert_eq!(server.sql("SELECT count(*), max(number) FROM ledger").unwrap(), "2|1");
    });
}
