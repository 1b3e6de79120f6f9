//! psycopg, which calls `pg_try_advisory_lock` and `pg_advisory_lock`: `dialect=advisory`. And the faults of sessions.

use std::time::Duration;

use leasehold_core::{Claim, ErrorKind, LockName, LockOptions, LostReason, Mode, Release, Standing, Wait};
use leasehold_testkit::{
    peer::{Peer, Program},
    postgres::{Pooler, Server},
    wait,
};

use crate::context::{PATIENCE, TestContext};

const KEYS: &str = "dialect=advisory";

async fn peer(context: &TestContext) -> Peer {
    context.peer(&Program::python(env!("CARGO_TARGET_TMPDIR"), "psycopg")).await
}

/// The context of a lock with a number for its name; 31 random bits are no other case's.
fn numbered(context: &TestContext) -> TestContext {
    let name = LockName::new((context.env.random() as u32 >> 1).to_string()).unwrap();
    TestContext { env: context.env.clone(), server: context.server.clone(), name }
}

pub(crate) async fn its_lock_keeps_us_out_and_is_shown_with_its_process(context: &TestContext) {
    let context = &numbered(context);
    let (mut peer, store, name) = (peer(context).await, context.store(KEYS).await, &context.name);
    peer.expect(&format!("lock {name} alone"), "granted").await;
    let holder = context.kept_out(&store).await;
    let locks = format!("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = {name}");
    let process = context.server.sql(&locks).unwrap();
    assert!(holder.note.unwrap().contains(&format!("process {process}, user locks")));
    assert_eq!(holder.mode, Some(Mode::Exclusive));
    peer.expect(&format!("unlock {name}"), "released").await;
    peer.expect(&format!("lock {name} shared"), "granted").await;
    assert_eq!(context.kept_out(&store).await.mode, Some(Mode::Shared));
    let reader = Claim { mode: Mode::Shared, ..context.claim() };
    assert!(matches!(store.claim(&reader).await.unwrap(), Standing::Granted(_)), "readers share");
}

/// Both spaces of keys: a bigint, and two integers.
pub(crate) async fn our_hold_keeps_it_out_until_the_release(context: &TestContext) {
    let context = &numbered(context);
    let pair = LockName::new(format!("-7,{}", context.name)).unwrap();
    let (mut peer, store) = (peer(context).await, context.store(KEYS).await);
    for name in [&context.name, &pair] {
        let claim = Claim { name: name.clone(), ..context.claim() };
        assert!(matches!(store.claim(&claim).await.unwrap(), Standing::Granted(_)));
        peer.expect(&format!("lock {name} alone"), "busy").await;
        // The other space of keys is another lock.
        let other = if name.contains(',') { context.name.to_string() } else { pair.to_string() };
        peer.expect(&format!("lock {other} alone"), "granted").await;
        peer.expect(&format!("unlock {other}"), "released").await;
        assert_eq!(store.release(&claim).await.unwrap(), Release::Released);
        peer.expect(&format!("lock {name} alone"), "granted").await;
        peer.expect(&format!("unlock {name}"), "released").await;
    }
}

/// It waits in the server, and is granted by our release.
pub(crate) async fn our_release_lets_its_waiter_in(context: &TestContext) {
    let context = &numbered(context);
    let (mut peer, engine, name) = (peer(context).await, context.engine(KEYS).await, &context.name);
    let hold = context.locked(&engine).await;
    peer.send(&format!("wait {name} alone 60000"));
    let waiting = format!("SELECT count(*) FROM pg_locks WHERE NOT granted AND objid = {name}");
    assert!(wait::until(PATIENCE, || context.server.sql(&waiting).as_deref() == Ok("1")));
    hold.release().await.unwrap();
    assert_eq!(peer.answer().await, "granted");
    peer.expect(&format!("unlock {name}"), "released").await;
}

/// SIGKILL of either: the server reads the end of the connection, and frees the lock at once.
pub(crate) async fn the_lock_of_who_was_killed_is_free_at_once(context: &TestContext) {
    let context = &numbered(context);
    let (mut theirs, engine, name) = (peer(context).await, context.engine(KEYS).await, &context.name);
    theirs.expect(&format!("lock {name} alone"), "granted").await;
    theirs.kill();
    context.won(&engine).await.release().await.unwrap();
    let (mut ours, mut theirs) = (context.process_of_ours(KEYS).await, peer(context).await);
    ours.expect(&format!("lock {name} 3600000"), "granted").await;
    theirs.expect(&format!("lock {name} alone"), "busy").await;
    ours.kill();
    theirs.expect(&format!("wait {name} alone 60000"), "granted").await;
}

/// The session is the hold. The control is psycopg, which goes on after its session has ended, beside the next holder.
pub(crate) async fn who_has_lost_its_session_is_told_at_once(context: &TestContext) {
    let context = &numbered(context);
    let (mut peer, one, two) = (peer(context).await, context.engine(KEYS).await, context.engine(KEYS).await);
    let (name, naive) = (&context.name, numbered(context).name);
    peer.expect(&format!("lock {naive} alone"), "granted").await;
    let hold = context.locked(&one).await;
    assert!(hold.remaining() > PATIENCE / 2);
    for name in [name, &naive] {
        let end = format!(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory' AND objid = {name}"
        );
        assert_eq!(context.server.sql(&end).unwrap(), "t");
    }
    // Long before its time is over: by the end of the connection.
    let lost = hold.lost().await;
    assert!(lost.certain && lost.reason == LostReason::Gone, "{lost:?}");
    context.won(&two).await.release().await.unwrap();
    let other = TestContext { env: context.env.clone(), server: context.server.clone(), name: naive };
    other.won(&two).await.release().await.unwrap();
    drop(peer);
}

/// The server frees every lock. The control is a lock in our own format, which is kept.
pub(crate) async fn a_killed_server_frees_all_and_holders_are_told(_: &TestContext) {
    let context = &numbered(&TestContext::new(Server::start().unwrap().into()));
    let (engine, kept) = (context.engine(KEYS).await, context.engine("").await);
    let (hold, control) = (context.locked(&engine).await, context.locked(&kept).await);
    context.server.kill();
    context.server.restart().unwrap();
    let lost = hold.lost().await;
    assert!(lost.certain, "{lost:?}");
    context.won(&context.engine(KEYS).await).await.release().await.unwrap();
    assert!(control.check().is_ok() && !control.remaining().is_zero());
    control.confirm().await.unwrap();
}

/// The server process of a hold stands still: the lease ends by our clock, and the lock stays shut until it goes on.
/// The control is who asks the server: to it the lock looks as before when the lease has ended.
pub(crate) async fn a_session_that_stands_still_is_lost_at_its_deadline_and_lets_nobody_in(
    context: &TestContext,
) {
    let context = &numbered(context);
    let (one, two, other) =
        (context.engine(KEYS).await, context.engine(KEYS).await, context.store(KEYS).await);
    // Long enough to be renewed on a busy machine.
    let terms = LockOptions { ttl: Duration::from_secs(8), ..LockOptions::default() };
    let hold = one.acquire(&context.name, Mode::Exclusive, &terms, Wait::No, None).await.unwrap().unwrap();
    let sessions =
        format!("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = {}", context.name);
    let process = context.server.sql(&sessions).unwrap();
    let signal = |signal: &str| {
        let sent = std::process::Command::new("kill").args([signal, &process]).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    let lost = hold.lost().await;
    assert_eq!(lost.reason, LostReason::Expired, "{lost:?}");
    context.kept_out(&other).await;
    signal("-CONT");
    drop(hold);
    context.won(&two).await.release().await.unwrap();
}

/// Said or found out: sessions that pass from hand to hand keep no lock. The control is psycopg: two of its clients have
/// one lock through the same pooler.
pub(crate) async fn a_pooler_in_transaction_mode_is_refused(context: &TestContext) {
    let context = &numbered(context);
    let pooler = Pooler::start(&context.server).unwrap();
    let program = Program::python(env!("CARGO_TARGET_TMPDIR"), "psycopg");
    let [mut one, mut two] = [
        Peer::start(&program, &pooler.url(), PATIENCE).await,
        Peer::start(&program, &pooler.url(), PATIENCE).await,
    ];
    one.expect(&format!("lock {} alone", context.name), "granted").await;
    two.expect(&format!("lock {} alone", context.name), "granted").await;
    for keys in [KEYS.to_string(), format!("{KEYS}&pooler=transaction")] {
        let error = context.refused(&format!("{}?timeout=20s&{keys}", pooler.url())).await;
        assert_eq!(error.kind(), ErrorKind::Unsafe, "{error}");
        assert!(error.to_string().contains("pooler in transaction mode"), "{error}");
    }
}

/// The doctor has nothing to say about a table or the disk: it keeps nothing there.
pub(crate) async fn the_doctor_speaks_of_sessions(context: &TestContext) {
    let found = context.diagnosis(KEYS).await;
    assert!(found.iter().all(|it| it.severity == leasehold_core::Severity::Ok), "{found:?}");
    let native = context.diagnosis("").await;
    assert!(native[0].what.contains("fsync"), "the control: {native:?}");
}
