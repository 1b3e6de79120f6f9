//! A disk without room.

use std::process::{Command, ExitStatus};

use leasehold_core::{Claim, ClaimId, ErrorKind, Mode, Outcome, Queueing, Release, Renewal, Standing, Store};
use leasehold_postgres::{PostgresStore, check_in};
use leasehold_testkit::{postgres::Server, wait};
use rustix::process::geteuid;

use crate::fixture::{SOON, admin, engine, env, lock, name, options, runtime, store, ttl};

/// The variable with the directory of the small disk, for the process that sees it.
const DISK: &str = "LEASEHOLD_TEST_DISK";
const TEST: &str = "disk::p11_holds_outlive_a_full_disk_and_waiters_wait_for_room";
/// Mounts the first argument as a disk of a megabyte for the servers' user, and becomes the program in the others.
const MOUNT: &str = "mount -t tmpfs -o size=1m tmpfs \"$1\" && chown \"$2\" \"$1\" && shift 2 && exec \"$@\"";

/// Runs this test program's test again, where a small disk is mounted that no other process sees.
fn in_a_namespace_with_a_disk(directory: &str) -> ExitStatus {
    let (user, program) = (geteuid(), std::env::current_exe().unwrap());
    let mut command = Command::new("unshare");
    if user.is_root() {
        command.args(["--mount", "sh", "-c", MOUNT, "sh", directory, "postgres"]);
    } else {
        // Only root may mount, and is back to itself then, for servers refuse to run as root.
        command.args(["--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", directory, "root"]);
        command.args(["unshare", "--user", &format!("--map-user={user}"), "--"]);
    }
    command.arg(program).args(["--exact", TEST]).env(DISK, directory).status().unwrap()
}

#[test]
fn p11_holds_outlive_a_full_disk_and_waiters_wait_for_room() {
    if let Ok(directory) = std::env::var(DISK) {
        return holds_outlive_a_full_disk(&directory);
    }
    let directory = std::env::temp_dir().join(format!("leasehold-disk-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let status = in_a_namespace_with_a_disk(directory.to_str().unwrap());
    std::fs::remove_dir(&directory).unwrap();
    assert!(status.success());
}

/// A server whose table of locks is on the small disk. Its log of changes is elsewhere: a server without room for that stops.
fn start(directory: &str) -> Server {
    let server = Server::builder().with("autovacuum=off").start().unwrap();
    server.sql(&format!("CREATE TABLESPACE small LOCATION '{directory}'")).unwrap();
    let own = "GRANT CREATE ON TABLESPACE small TO locks; ALTER ROLE locks SET default_tablespace = small;
        CREATE TABLE naive (id int, renewed timestamptz) TABLESPACE small;
        CREATE TABLE filler (text text) TABLESPACE small; ALTER TABLE filler ALTER text SET STORAGE PLAIN";
    server.sql(own).unwrap();
    server
}

fn claim(text: &str, mode: Mode) -> Claim {
    Claim { mode, ..Claim::new(name(text), ClaimId::mint(&env()), SOON * 30) }
}

async fn take(store: &PostgresStore, claim: &Claim) {
    assert!(matches!(store.claim(claim).await.unwrap(), Standing::Granted(_)), "{claim:?}");
}

/// Claims of new names are refused once their pages are full, and nothing was done.
async fn until_refused(store: &PostgresStore) {
    for at in 0..1000 {
        let new = claim(&format!("new {at}"), Mode::Exclusive);
        if let Err(error) = store.claim(&new).await {
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Exhausted, Outcome::NotApplied));
            assert!(error.hint_text().unwrap().contains("free space"), "{error:?}");
            return;
        }
    }
    panic!("a thousand names fit");
}

/// Renews until old versions, which a transaction keeps, leave no room on the page. That is an error, and no loss.
async fn renewed_beside_an_old_snapshot(server: &Server, store: &PostgresStore, claims: &[Claim]) {
    let keeper = admin(server).await;
    keeper.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM leasehold.locks").await.unwrap();
    let mut refused = None;
    for _ in 0..1000 {
        refused = store.renew(&claims[..1]).await.pop().unwrap().err();
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("a page holds no thousand versions");
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Exhausted, Outcome::NotApplied));
    keeper.batch_execute("ROLLBACK").await.unwrap();
    for renewal in store.renew(claims).await {
        assert!(matches!(renewal, Ok(Renewal::Renewed { .. })), "{renewal:?}");
    }
}

/// The control writes a row for each renewal, and cannot any more.
fn holds_outlive_a_full_disk(directory: &str) {
    let server = start(directory);
    runtime().block_on(async {
        let (store, engine) = (store(&server), engine(options(server.port())));
        let permits = Mode::Permits { take: 1, of: 3 };
        let claims = [("alone", Mode::Exclusive), ("shared", Mode::Shared), ("permits", permits)];
        let claims = claims.map(|(text, mode)| claim(text, mode));
        for claim in &claims {
            take(&store, claim).await;
        }
        let queued = Claim { queueing: Queueing::Fifo, ..claim("alone", Mode::Exclusive) };
        assert!(matches!(store.claim(&queued).await.unwrap(), Standing::Waiting(_)));
        let fill = "INSERT INTO filler SELECT repeat('x', 1900) FROM generate_series(1, 10000)";
        assert!(server.sql(fill).unwrap_err().to_string().contains("No space left on device"));
        let control = server.sql("INSERT INTO naive VALUES (1, now())").unwrap_err();
        assert!(control.to_string().contains("No space left on device"), "the control: {control}");

        until_refused(&store).await;
        for renewal in store.renew(&claims).await {
            assert!(matches!(renewal, Ok(Renewal::Renewed { .. })), "{renewal:?}");
        }
        take(&store, &claims[1]).await;
        assert!(matches!(store.claim(&queued).await.unwrap(), Standing::Waiting(_)));
        renewed_beside_an_old_snapshot(&server, &store, &claims).await;
        let token = store.inspect(&name("alone")).await.unwrap().holders[0].fence.unwrap();
        let mut session = admin(&server).await;
        let transaction = session.transaction().await.unwrap();
        check_in(&transaction, "alone", token).await.unwrap();
        transaction.commit().await.unwrap();

        // What the old versions took is free again.
        until_refused(&store).await;
        let refusals = || server.log().matches("No space left on device").count();
        let before = refusals();
        let waiter = tokio::spawn(async move { lock(&engine, "room", &ttl(600)).await });
        assert!(wait::until(SOON, || refusals() >= before + 3) && !waiter.is_finished(), "it asks again");
        for claim in claims.iter().chain([&queued]) {
            assert_eq!(store.release(claim).await.unwrap(), Release::Released, "{claim:?}");
        }
        server.sql("DROP TABLE filler").unwrap();
        waiter.await.unwrap().release().await.unwrap();
    });
}
