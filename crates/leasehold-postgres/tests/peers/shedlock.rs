//! ShedLock's own provider, in Java, on the table that its manual prescribes: `dialect=shedlock`.

use std::time::Duration;

use leasehold_core::{Claim, ClaimId, LockName, Release, Severity};
use leasehold_testkit::{
    foreign_client,
    peer::{Peer, Program},
};

use crate::context::TestContext;

/// The table of its manual.
pub(crate) const TABLE: &str =
    "CREATE TABLE shedlock(name VARCHAR(64) NOT NULL, lock_until TIMESTAMP NOT NULL,
    locked_at TIMESTAMP NOT NULL, locked_by VARCHAR(255) NOT NULL, PRIMARY KEY (name));
    GRANT SELECT, INSERT, UPDATE ON shedlock TO locks";

const KEYS: &str = "dialect=shedlock";
/// How long a hold lives that is to end by itself.
const SHORT: Duration = Duration::from_secs(2);

/// ShedLock, with what it needs, and a program that uses it.
fn program() -> Program {
    let place =
        foreign_client::installed(env!("CARGO_TARGET_TMPDIR"), "shedlock", "classes/Peer.class", |place| {
            let fetch = ["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"];
            foreign_client::run(place, "mvn", &fetch);
            foreign_client::run(place, "javac", &["-d", "classes", "-cp", "lib/*", "Peer.java"]);
        });
    let classes = format!("{0}/classes:{0}/lib/*", place.display());
    let args = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &classes, "Peer", "7.9.0"];
    Program { path: "java".into(), args: args.map(Into::into).to_vec(), role: String::new() }
}

async fn peer(context: &TestContext) -> Peer {
    context.peer(&program()).await
}

pub(crate) async fn its_hold_keeps_us_out_and_is_shown_with_its_host(context: &TestContext) {
    let (mut peer, store, name) = (peer(context).await, context.store(KEYS).await, &context.name);
    peer.expect(&format!("lock {name} 60000"), "granted").await;
    let holder = context.kept_out(&store).await;
    let note = holder.note.unwrap();
    assert!(note.starts_with("held by ShedLock on "), "{note}");
    assert!(
        holder.expires_in.unwrap() > Duration::from_secs(1) && holder.age.unwrap() < crate::context::PATIENCE
    );
    assert_eq!(store.list(name, 10).await.unwrap()[0].holders[0].note.as_ref(), Some(&note));
    peer.expect(&format!("unlock {name}"), "released").await;
    context.locked(&context.engine(KEYS).await).await.release().await.unwrap();
}

pub(crate) async fn our_hold_keeps_it_out_until_the_release(context: &TestContext) {
    let (mut peer, engine, name) = (peer(context).await, context.engine(KEYS).await, &context.name);
    let hold = context.locked(&engine).await;
    peer.expect(&format!("lock {name} 60000"), "busy").await;
    assert_eq!(hold.release().await.unwrap(), Release::Released);
    peer.expect(&format!("lock {name} 60000"), "granted").await;
}

/// SIGKILL while it holds: its time is respected to the end, by the server's clock.
pub(crate) async fn its_hold_ends_when_it_was_killed(context: &TestContext) {
    let (mut peer, engine, name) = (peer(context).await, context.engine(KEYS).await, &context.name);
    let sent = context.env.now();
    peer.expect(&format!("lock {name} {}", SHORT.as_millis()), "granted").await;
    peer.kill();
    let hold = context.won(&engine).await;
    assert!(context.env.now().since(sent) >= SHORT.mul_f64(0.99));
    hold.confirm().await.unwrap();
}

/// SIGKILL while we hold.
pub(crate) async fn our_hold_ends_when_we_were_killed(context: &TestContext) {
    let (mut ours, mut peer) = (context.process_of_ours(KEYS).await, peer(context).await);
    let (sent, name) = (context.env.now(), &context.name);
    ours.expect(&format!("lock {name} {}", SHORT.as_millis()), "granted").await;
    ours.kill();
    peer.expect(&format!("wait {name} 60000 60000"), "granted").await;
    assert!(context.env.now().since(sent) >= SHORT.mul_f64(0.99));
    context.kept_out(&context.store(KEYS).await).await;
}

/// `lockAtLeastFor`. The control is the same without one.
pub(crate) async fn its_minimum_hold_keeps_us_out_after_its_unlock(context: &TestContext) {
    let (mut peer, engine, name) = (peer(context).await, context.engine(KEYS).await, &context.name);
    peer.expect(&format!("hold {name} 60000 0"), "granted").await;
    peer.expect(&format!("unlock {name}"), "released").await;
    context.locked(&engine).await.release().await.unwrap();
    let sent = context.env.now();
    peer.expect(&format!("hold {name} 60000 {}", SHORT.as_millis()), "granted").await;
    peer.expect(&format!("unlock {name}"), "released").await;
    let hold = context.won(&engine).await;
    assert!(context.env.now().since(sent) >= SHORT.mul_f64(0.99));
    hold.release().await.unwrap();
}

/// `--hold-at-least`: the hold stays when the job is done. The control is a release.
pub(crate) async fn our_minimum_hold_keeps_it_out_after_the_job(context: &TestContext) {
    let (mut peer, engine, name) = (peer(context).await, context.engine(KEYS).await, &context.name);
    context.locked(&engine).await.release().await.unwrap();
    peer.expect(&format!("lock {name} 60000"), "granted").await;
    peer.expect(&format!("unlock {name}"), "released").await;
    let ticket = context.locked(&engine).await.detach(Duration::from_secs(90)).await.unwrap();
    engine.close(Duration::from_secs(20)).await.unwrap();
    peer.expect(&format!("lock {name} 60000"), "busy").await;
    let other = context.engine(KEYS).await;
    assert_eq!(other.release_ticket(&ticket).await.unwrap(), Release::Released);
    peer.expect(&format!("lock {name} 60000"), "granted").await;
}

/// `extend`, and our renewals; neither revives or prolongs what the other has.
pub(crate) async fn both_prolong_their_own_and_not_the_others(context: &TestContext) {
    let (mut peer, store, name) = (peer(context).await, context.store(KEYS).await, &context.name);
    let ours = context.claim();
    peer.expect(&format!("lock {name} 60000"), "granted").await;
    peer.expect(&format!("extend {name} 90000"), "extended").await;
    assert!(context.kept_out(&store).await.expires_in.unwrap() > Duration::from_secs(60));
    let renewed = store.renew(std::slice::from_ref(&ours)).await.remove(0).unwrap();
    assert!(matches!(renewed, leasehold_core::Renewal::Gone(_)), "{renewed:?}");
    assert_eq!(store.force_release(name).await.unwrap().len(), 1);
    assert!(matches!(store.claim(&ours).await.unwrap(), leasehold_core::Standing::Granted(_)));
    peer.expect(&format!("extend {name} 90000"), "gone").await;
    let renewed = store.renew(std::slice::from_ref(&ours)).await.remove(0).unwrap();
    assert!(matches!(renewed, leasehold_core::Renewal::Renewed { .. }), "{renewed:?}");
}

/// Errors and the doctor speak of its table. The control is the table that is as it should be.
pub(crate) async fn a_table_that_does_not_fit_is_named(context: &TestContext) {
    let wrong = async |keys: &str| {
        let found = context.diagnosis(keys).await.into_iter();
        found.filter(|it| it.severity == Severity::Critical).map(|it| it.what).collect::<Vec<_>>()
    };
    let zones = "CREATE TABLE with_zones(name VARCHAR(64) PRIMARY KEY, until TIMESTAMPTZ, at TIMESTAMPTZ, who VARCHAR(255));
        GRANT SELECT, INSERT, UPDATE ON with_zones TO locks";
    context.server.sql(zones).unwrap();
    assert_eq!(wrong(KEYS).await, ["fsync is off"]);
    let absent = format!("{KEYS}&table=public.absent");
    let found = wrong(&absent).await;
    assert!(found.len() == 2 && found.iter().any(|what| what.contains("public.absent")), "{found:?}");
    let found = wrong(&format!("{KEYS}&table=with_zones&columns=name,until,at,who")).await;
    assert!(found.iter().any(|what| what.contains("with_zones have a zone")), "{found:?}");
    let long = Claim::new(
        LockName::new("x".repeat(65)).unwrap(),
        ClaimId::mint(&context.env),
        Duration::from_secs(60),
    );
    let refused = async |keys: &str, claim: &Claim| {
        let error = context.store(keys).await.claim(claim).await.unwrap_err();
        error.hint_text().unwrap_or_default().to_string()
    };
    assert!(refused(KEYS, &long).await.contains("too narrow"));
    assert!(refused(&absent, &context.claim()).await.contains("table=schema.name"));
    assert!(refused(&format!("{KEYS}&table=with_zones"), &context.claim()).await.contains("columns="));
}
