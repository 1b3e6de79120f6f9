//! Logins and certificates in files, which change while a client lives; Sentinels and Clusters with their own.

use std::{fs, path::Path, sync::Arc};

use leasehold_core::{
    Engine, Error, ErrorKind, Hold, Result, Store,
    backend::{BackendEntry, Registry},
    url::ParsedUrl,
};
use leasehold_redis::BACKEND;
use leasehold_testkit::redis::{Cluster, Connection, Sentinels, Server};

use crate::{
    common,
    fixture::{eventually, lock, run, shown, ttl},
};

const OLD: &str = "old-c4nary";
const NEW: &str = "new-c4nary";
/// A name that no resolver knows.
const NAME: &str = "locks.invalid";

static STORES: Registry =
    Registry(&[BackendEntry { title: "Redis", feature: "redis", schemes: &[], backend: Some(&BACKEND) }]);

async fn open(url: &str) -> Result<Arc<dyn Store>> {
    (BACKEND.open)(&ParsedUrl::parse(url, &STORES)?, None, &common::env()).await
}

async fn engine(url: &str) -> Engine {
    Engine::new(open(url).await.unwrap(), common::env())
}

/// The error of an opening, which shows no secret.
async fn refused(url: &str) -> Error {
    let error = open(url).await.expect_err("refused");
    assert!(!shown(&error).contains("c4nary"), "{error:?}");
    error
}

#[track_caller]
fn is(error: &Error, kind: ErrorKind, says: &str, hint: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(says), "{error:?}");
    assert!(error.hint_text().is_some_and(|text| text.contains(hint)), "{error:?}");
}

/// Ends all connections to a server but this one, and waits until the client has renewed on a new one.
async fn renewed_on_a_new_connection(admin: &mut Connection, hold: &Hold) {
    let kind = ["CLIENT", "KILL", "TYPE", "normal"];
    admin.call(&kind).unwrap().accepted().unwrap();
    admin.call(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap().accepted().unwrap();
    let before = hold.lease().deadline();
    eventually(&common::env(), "a renewal", || async { hold.lease().deadline() > before }).await;
    assert!(hold.lease().check().is_ok());
}

#[test]
fn a_password_is_rotated_under_a_living_client() {
    let server = Server::builder().password(OLD).start().unwrap();
    let file = server.directory().join("password");
    run(async {
        let mut admin = server.connect().unwrap();
        for protocol in ["2", "3"] {
            admin.call(&["CONFIG", "SET", "requirepass", OLD]).unwrap().accepted().unwrap();
            fs::write(&file, format!("{OLD}\n")).unwrap();
            let address = server.address();
            let url = format!("redis://{address}?password_file={}&resp={protocol}", file.display());
            let engine = engine(&url).await;
            let hold = lock(&engine, "orders", &ttl(3_000)).await;
            // A waiter has the second connection, the one for wake-ups.
            let waiter = tokio::spawn({
                let engine = engine.clone();
                async move { lock(&engine, "orders", &ttl(3_000)).await }
            });
            admin.call(&["CONFIG", "SET", "requirepass", NEW]).unwrap().accepted().unwrap();
            fs::write(&file, NEW).unwrap();
            renewed_on_a_new_connection(&mut admin, &hold).await;
            // A release at once could meet the caller's own broken connection, and be repeated later.
            drop(hold);
            drop(waiter.await.unwrap());
            // The control: the password of the start is refused.
            let mut naive = Connection::open(&address).unwrap();
            assert!(naive.call(&["AUTH", OLD]).unwrap().error().is_some());
            let error = refused(&format!("redis://:{OLD}@{address}?resp={protocol}")).await;
            let says = if protocol == "3" { "WRONGPASS" } else { "refuses the login" };
            is(&error, ErrorKind::Rejected, says, "password");
        }
    });
}

#[test]
fn a_certificate_is_demanded_and_rotated_under_a_living_client() {
    let server = Server::builder().mutual_tls().start().unwrap();
    run(async {
        for protocol in ["2", "3"] {
            let at = format!("rediss://localhost:{}?resp={protocol}", server.tls_port());
            // The control has none.
            let error = refused(&format!("{at}&ca={}", server.ca_path().display())).await;
            is(&error, ErrorKind::Rejected, "demands a certificate", "cert=PATH");
            let old = server.directory().join("old");
            fs::create_dir_all(&old).unwrap();
            for name in ["ca.pem", "client.pem", "client.key"] {
                fs::copy(server.directory().join(name), old.join(name)).unwrap();
            }
            let engine = engine(&format!("{at}&{}", server.tls_query())).await;
            let hold = lock(&engine, "orders", &ttl(3_000)).await;
            let waiter = tokio::spawn({
                let engine = engine.clone();
                async move { lock(&engine, "orders", &ttl(3_000)).await }
            });
            server.rotate_certificates().unwrap();
            renewed_on_a_new_connection(&mut server.connect().unwrap(), &hold).await;
            // A release at once could meet the caller's own broken connection, and be repeated later.
            drop(hold);
            drop(waiter.await.unwrap());
            // The control: the certificate of the start is refused, and the old authority knows nobody any more.
            let mine =
                |directory: &Path| format!("cert={0}/client.pem&key={0}/client.key", directory.display());
            let error = refused(&format!("{at}&ca={}&{}", server.ca_path().display(), mine(&old))).await;
            is(&error, ErrorKind::Rejected, "does not accept the certificate", "cert=PATH");
            let error =
                refused(&format!("{at}&ca={}/ca.pem&{}", old.display(), mine(server.directory()))).await;
            is(&error, ErrorKind::Rejected, "server's certificate", "ca=PATH");
        }
    });
}

#[test]
fn sentinels_have_their_own_login_and_tls() {
    let first = Server::builder().mutual_tls().start().unwrap();
    let kit = Sentinels::with(
        |server| server.password("master-c4nary"),
        |sentinel| sentinel.password("sentinel-c4nary").tls_of(&first),
    )
    .unwrap();
    let password = first.directory().join("password");
    fs::write(&password, "sentinel-c4nary").unwrap();
    let hosts: Vec<_> = (0..3).map(|at| format!("127.0.0.1:{}", kit.sentinel(at).tls_port())).collect();
    let at = format!("redis+sentinel://:master-c4nary@{}/main?sentinel_tls=true", hosts.join(","));
    let tls: Vec<_> = first.tls_query().split('&').map(|pair| format!("&sentinel_{pair}")).collect();
    let (tls, login) = (tls.concat(), format!("&sentinel_password_file={}", password.display()));
    run(async {
        // The controls: without a certificate, without a password, with the master's.
        let error = refused(&format!("{at}&sentinel_ca={}{login}", first.ca_path().display())).await;
        is(&error, ErrorKind::Rejected, "demands a certificate", "sentinel_cert=PATH");
        let error = refused(&format!("{at}{tls}")).await;
        is(&error, ErrorKind::Rejected, "NOAUTH", "sentinel_password_file=PATH");
        let error = refused(&format!("{at}{tls}&sentinel_password=master-c4nary")).await;
        is(&error, ErrorKind::Rejected, "refuses the login", "sentinel_password_file=PATH");
        let engine = engine(&format!("{at}{tls}{login}")).await;
        let hold = lock(&engine, "orders", &ttl(10_000)).await;
        // The Sentinels are heard as well.
        kit.failover().unwrap();
        let before = hold.lease().deadline();
        eventually(&common::env(), "a renewal", || async { hold.lease().deadline() > before }).await;
        assert!(hold.release().await.is_ok());
    });
}

#[test]
fn a_cluster_that_announces_numbers_has_certificates_with_a_name() {
    let first = Server::builder().tls_named(NAME).start().unwrap();
    let kit =
        Cluster::with(|node| node.tls_of(&first).arg("tls-cluster", "yes").arg("tls-replication", "yes"))
            .unwrap();
    let hosts: Vec<_> = (0..3).map(|at| format!("127.0.0.1:{}", kit.node(at).tls_port())).collect();
    run(async {
        for protocol in ["2", "3"] {
            let at = format!("rediss+cluster://{}?{}&resp={protocol}", hosts.join(","), first.tls_query());
            // The control: its numbers are no names of the certificate.
            is(&refused(&at).await, ErrorKind::Rejected, "for another name", "server_name=NAME");
            let engine = engine(&format!("{at}&server_name={NAME}")).await;
            for name in ["a", "b", "c", "d", "e", "f"] {
                let hold = lock(&engine, name, &ttl(10_000)).await;
                let waiter = tokio::spawn({
                    let engine = engine.clone();
                    async move { lock(&engine, name, &ttl(10_000)).await }
                });
                hold.release().await.unwrap();
                waiter.await.unwrap().release().await.unwrap();
            }
        }
    });
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_opening() {
    let server = Server::builder().tls().password(OLD).start().unwrap();
    let (directory, ca) = (server.directory().display(), server.ca_path());
    fs::write(server.directory().join("empty"), "").unwrap();
    fs::write(server.directory().join("blank"), "\nc4nary\n").unwrap();
    fs::write(server.directory().join("junk"), "c4nary").unwrap();
    let at = format!("rediss://:{OLD}@localhost:{}?ca={}", server.tls_port(), ca.display());
    run(async {
        for (query, says, hint) in [
            (format!("password_file={directory}/none"), "`password_file`", "leave one of them out"),
            (format!("cert={directory}/none"), "none of `cert` cannot be read: No such file", "exist"),
            (
                format!("cert={directory}/junk&key=/proc/1/mem"),
                "/proc/1/mem of `key`",
                "may this user read it",
            ),
            (format!("key={directory}/client.key"), "`key` without `cert`", "certificate"),
        ] {
            is(&refused(&format!("{at}&{query}")).await, ErrorKind::Invalid, says, hint);
        }
        let plain = format!("redis://{}?password_file={directory}", server.address());
        for (file, says) in
            [("none", "none of `password_file`"), ("empty", "it is empty"), ("blank", "no password")]
        {
            let error = refused(&format!("{plain}/{file}")).await;
            assert!(error.to_string().contains(says), "{error:?}");
        }
        let error = refused(&format!("{at}&cert={directory}/junk")).await;
        is(&error, ErrorKind::Rejected, "cannot be used", "are they PEM");
        // The control: the same URL with none of them.
        open(&at).await.unwrap();
    });
}
