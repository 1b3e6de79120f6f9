//! The diagnosis of real servers.

use leasehold_core::{Severity, Store};
use leasehold_postgres::{PostgresStore, tokio_postgres::config::TargetSessionAttrs};
use leasehold_testkit::postgres::{Pooler, Server};

use crate::fixture::{env, options, runtime, store};

/// The findings that are not green, the worst first.
async fn wrong(store: &PostgresStore) -> Vec<String> {
    let findings = store.diagnose().await.unwrap();
    findings.into_iter().filter(|it| it.severity != Severity::Ok).map(|it| it.what).collect()
}

#[test]
fn a_server_without_fsync_or_autovacuum_a_pooler_and_a_standby_are_found() {
    let server = Server::start().unwrap();
    let pooler = Pooler::start(&server).unwrap();
    runtime().block_on(async {
        assert_eq!(wrong(&store(&server)).await, ["fsync is off"]);
        let deaf = PostgresStore::new(options(pooler.port()), env()).unwrap();
        let found = wrong(&deaf).await;
        assert!(found.len() == 2 && found[1].contains("pooler in transaction mode"), "{found:?}");
        server.sql("ALTER TABLE leasehold.locks SET (autovacuum_enabled = off)").unwrap();
        let found = wrong(&store(&server)).await;
        assert!(found.len() == 2 && found[1].contains("autovacuum"), "{found:?}");
        server.sql("ALTER TABLE leasehold.locks RESET (autovacuum_enabled)").unwrap();
        let standby = server.standby().unwrap();
        let found = wrong(&store(&server)).await;
        assert!(found.len() == 2 && found[1].contains("waits for none"), "{found:?}");
        let mut any = options(standby.port());
        any.config.target_session_attrs(TargetSessionAttrs::Any);
        let found = wrong(&PostgresStore::new(any, env()).unwrap()).await;
        assert!(found[0].contains("standby"), "{found:?}");
    });
}

/// The control is the user with the rights.
#[test]
fn a_user_without_rights_is_told_which() {
    let server = Server::start().unwrap();
    runtime().block_on(async {
        store(&server).server_info().await.unwrap();
        server
            .sql("CREATE ROLE guest LOGIN PASSWORD 'pw'; GRANT USAGE ON SCHEMA leasehold TO guest")
            .unwrap();
        let mut guest = options(server.port());
        guest.access.user = "guest".into();
        let guest = PostgresStore::new(guest, env()).unwrap();
        assert!(wrong(&guest).await.iter().any(|what| what.contains("may not write")));
        let name = leasehold_core::LockName::new("a").unwrap();
        let error = guest.inspect(&name).await.unwrap_err();
        assert!(error.hint_text().unwrap().contains("SELECT, INSERT, UPDATE"), "{error:?}");
        assert!(store(&server).inspect(&name).await.is_ok());
    });
}

/// Before the schema is made, and after. The control is the finding when all is well again.
#[test]
fn a_refusal_of_the_server_is_a_finding_that_names_the_remedy() {
    let server = Server::start().unwrap();
    let diagnosed = async || {
        let mut any = options(server.port());
        any.config.target_session_attrs(TargetSessionAttrs::Any);
        PostgresStore::new(any, env()).unwrap().diagnose().await.unwrap().remove(0)
    };
    let finds = async |before: &str, what: &str, fix: &str, after: &str| {
        server.sql(before).unwrap();
        let worst = diagnosed().await;
        server.sql(after).unwrap();
        assert!(worst.what.contains(what) && worst.fix.contains(fix), "{worst:?}");
        assert_eq!(worst.severity, Severity::Critical);
    };
    let read_only = |how: &str| format!("ALTER ROLE locks SET default_transaction_read_only = {how}");
    runtime().block_on(async {
        let create = "GRANT CREATE ON DATABASE postgres TO locks";
        let no_create = "REVOKE CREATE ON DATABASE postgres FROM locks";
        finds(no_create, "for database postgres", "GRANT CREATE ON DATABASE", create).await;
        finds(&read_only("on"), "read-only", "default_transaction_read_only", &read_only("off")).await;
        assert_eq!(diagnosed().await.what, "fsync is off");
        finds(&read_only("on"), "read-only", "default_transaction_read_only", &read_only("off")).await;
        let owner = "ALTER SCHEMA leasehold OWNER TO postgres";
        let usage = "GRANT USAGE ON SCHEMA leasehold TO locks";
        finds(owner, "for schema leasehold", "GRANT USAGE ON SCHEMA leasehold", usage).await;
        assert_eq!(diagnosed().await.what, "fsync is off");
    });
}
