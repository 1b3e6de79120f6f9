//! Error replies of servers: each class names its kind, whether it was applied, and what to do; and nobody sees a secret.

use leasehold_core::{Error, ErrorKind, Outcome, Renewal, Standing, Store};
use leasehold_redis::{Endpoint, RedisStore};
use leasehold_testkit::redis::{Replicated, Server};

use crate::{
    altered::altered,
    common,
    fixture::{at, claim, eventually, options, run, shown, store, try_lock, ttl},
};

const SECRET: &str = "c4nary-p4ss";

async fn refused(store: &RedisStore) -> Error {
    store.claim(&claim(&common::env(), "orders", 30_000)).await.expect_err("refused")
}

#[track_caller]
fn is(error: &Error, kind: ErrorKind, says: &str, hint: &str) {
    assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied), "{error:?}");
    assert!(error.to_string().contains(says), "{error:?}");
    assert!(error.hint_text().is_some_and(|text| text.contains(hint)), "{error:?}");
    assert!(!shown(error).contains(SECRET), "{error:?}");
}

#[test]
fn a_wrong_password_is_named_and_not_shown() {
    let server = Server::builder().password("right").start().unwrap();
    run(async {
        let mut wrong = options(&at(&server));
        wrong.access.password = SECRET.into();
        let error = RedisStore::open(wrong, common::env()).await.unwrap_err();
        is(&error, ErrorKind::Rejected, "WRONGPASS", "user name or the password");
        let error = RedisStore::open(options(&at(&server)), common::env()).await.unwrap_err();
        is(&error, ErrorKind::Rejected, "NOAUTH", "password");
    });
}

#[test]
fn a_wrong_name_in_the_certificate_is_refused() {
    let server = Server::builder().tls().start().unwrap();
    run(async {
        let mut options =
            options(&format!("single={} tls={}", server.tls_port(), server.ca_path().display()));
        options.servers = leasehold_redis::Servers::Single(Endpoint::tcp("127.0.0.2", server.tls_port()));
        // Whether anybody listens there or not: no lock is taken from who does not have the name.
        let other = RedisStore::open(options.clone(), common::env()).await.unwrap_err();
        assert!(matches!(other.kind(), ErrorKind::Rejected | ErrorKind::Unreachable), "{other:?}");
        // Without our authority nobody is trusted.
        options.servers = leasehold_redis::Servers::Single(Endpoint::tcp("localhost", server.tls_port()));
        options.access.ca = None;
        let error = RedisStore::open(options, common::env()).await.unwrap_err();
        is(&error, ErrorKind::Rejected, "certificate", "ca=PATH");
        assert_eq!(server.command(&["DBSIZE"]).unwrap().int(), Some(0));
    });
}

/// X4. Both texts of `NOPERM`: for the script itself, and for a command within it.
#[test]
fn missing_rights_are_named() {
    let users = ["locks on >pw ~* &* -@all +ping +info", "locks on >pw ~* &* +@all -set"];
    for (user, outcome) in users.into_iter().zip([Outcome::NotApplied, Outcome::Unknown]) {
        let server = Server::builder().user(user).start().unwrap();
        run(async {
            let error = refused(&store(&format!("{} acl", at(&server)))).await;
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Rejected, outcome), "{error:?}");
            assert!(
                error.hint_text().unwrap().contains("access control") && !error.is_transient(),
                "{error:?}"
            );
        });
    }
}

#[test]
fn a_key_of_another_type_is_left_alone() {
    let server = Server::start().unwrap();
    run(async {
        for (command, kind) in [
            (&["HSET", "orders", "123e4567-e89b-12d3-a456-426614174000:42", "1"][..], "hash"),
            (&["LPUSH", "orders", "x"], "list"),
        ] {
            server.command(&["DEL", "orders"]).unwrap();
            server.command(command).unwrap();
            let store = store(&at(&server));
            let error = refused(&store).await;
            is(&error, ErrorKind::Mismatch, kind, "another name");
            assert_eq!(server.command(&["DBSIZE"]).unwrap().int(), Some(1), "nothing is written");
        }
    });
}

/// `inspect` says whose a foreign lock is.
#[test]
fn foreign_locks_are_decoded() {
    let server = Server::start().unwrap();
    run(async {
        let store = store(&at(&server));
        let owner = "123e4567-e89b-12d3-a456-426614174000:42";
        server.command(&["HSET", "redisson", owner, "2"]).unwrap();
        server.command(&["PEXPIRE", "redisson", "30000"]).unwrap();
        server.command(&["SET", "python", "4d5f3a2c1b0e4d5f3a2c1b0e4d5f3a2c", "PX", "30000"]).unwrap();
        for (text, says) in [("redisson", "thread 42, taken 2 times"), ("python", "redis-py")] {
            let snapshot = store.inspect(&crate::fixture::name(text)).await.unwrap();
            assert_eq!(snapshot.holders.len(), 1);
            let note = snapshot.holders[0].note.as_deref().unwrap();
            assert!(note.contains(says), "{note}");
            assert!(snapshot.holders[0].expires_in.is_some());
            let listed = store.list(text, 10).await.unwrap();
            assert_eq!(listed.len(), 1, "{text} is listed");
        }
    });
}

#[test]
fn a_replica_is_no_place_for_locks() {
    let kit = Replicated::start(1).unwrap();
    run(async {
        let error = refused(&store(&at(kit.replica(0)))).await;
        is(&error, ErrorKind::Unreachable, "READONLY", "redis+sentinel");
    });
}

#[test]
fn min_replicas_of_the_server_itself_is_named() {
    let server = Server::builder().arg("min-replicas-to-write", "1").start().unwrap();
    run(async {
        let error = refused(&store(&at(&server))).await;
        is(&error, ErrorKind::NoQuorum, "NOREPLICAS", "min-replicas-to-write");
    });
}

/// MISCONF: the last snapshot failed, and the server takes no writes.
#[test]
fn a_server_that_cannot_save_is_named() {
    let server =
        Server::builder().arg("save", "3600 1").arg("enable-protected-configs", "yes").start().unwrap();
    let hidden = server.directory().join("nowhere");
    std::fs::create_dir(&hidden).unwrap();
    server.command(&["CONFIG", "SET", "dir", &hidden.display().to_string()]).unwrap().accepted().unwrap();
    std::fs::remove_dir(&hidden).unwrap();
    server.command(&["SET", "x", "1"]).unwrap();
    server.command(&["BGSAVE"]).unwrap();
    let failed = leasehold_testkit::wait::until(crate::fixture::SOON, || {
        server
            .info("persistence")
            .get("rdb_last_bgsave_status")
            .is_some_and(|status| status.starts_with("err"))
    });
    assert!(failed, "the snapshot fails");
    run(async {
        let error = refused(&store(&at(&server))).await;
        is(&error, ErrorKind::Rejected, "MISCONF", "disk");
    });
}

/// BUSY: another script runs for ever; killed, the lock can be taken.
#[test]
fn a_busy_server_is_named_and_usable_when_the_script_is_killed() {
    let server = Server::builder().arg("busy-reply-threshold", "50").start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&server)));
        store.claim(&claim(&env, "warm", 1_000)).await.unwrap();
        let mut endless = server.connect().unwrap();
        endless.send(&["EVAL", "while true do end", "0"]).unwrap();
        eventually(&env, "a server that says that it is busy", || async {
            server.command(&["PING"]).unwrap().error().is_some()
        })
        .await;
        let error = refused(&store).await;
        is(&error, ErrorKind::TimedOut, "BUSY", "SCRIPT KILL");
        assert!(error.is_transient());
        server.command(&["SCRIPT", "KILL"]).unwrap();
        eventually(&env, "a lock", || async { store.claim(&claim(&env, "orders", 1_000)).await.is_ok() })
            .await;
    });
}

/// R3. No connection is left for us: said, and tried again; who holds something keeps its connection.
#[test]
fn too_many_clients_are_named() {
    let server = Server::start().unwrap();
    run(async {
        let engine = crate::fixture::engine(&at(&server));
        let hold = crate::fixture::lock(&engine, "held", &ttl(1_500)).await;
        let before = hold.lease().deadline();
        eventually(&common::env(), "a renewal, which has a connection of its own", || async {
            hold.lease().deadline() > before
        })
        .await;
        server.command(&["CONFIG", "SET", "maxclients", "1"]).unwrap();
        let error = refused(&store(&at(&server))).await;
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
        assert!(error.is_transient(), "{error:?}");
        let before = hold.lease().deadline();
        eventually(&common::env(), "a renewal", || async { hold.lease().deadline() > before }).await;
        assert!(try_lock(&engine, "other", &ttl(1_500)).await.unwrap().is_some());
    });
}

#[test]
fn a_server_without_a_cluster_and_a_database_too_many_are_named() {
    let server = Server::start().unwrap();
    run(async {
        let error = refused(&store(&format!("cluster={}", server.port()))).await;
        is(&error, ErrorKind::Invalid, "not a node of a Cluster", "redis://");
        let mut far = options(&at(&server));
        far.database = 99;
        let error = RedisStore::open(far, common::env()).await.unwrap_err();
        assert!(
            error.to_string().contains("DB index") || error.to_string().contains("database"),
            "{error:?}"
        );
    });
}

/// A right to one key is withdrawn: its lease ends, and those that were to be renewed with it do not.
#[test]
fn a_forbidden_key_fails_alone() {
    let server = Server::builder().user(common::LEAST_RIGHTS).start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&format!("{} acl", at(&server))));
        let claims = ["a:1", "b:1", "a:2"].map(|text| claim(&env, text, 30_000));
        for mine in &claims {
            store.claim(mine).await.unwrap();
        }
        let rights = ["ACL", "SETUSER", "locks", "resetkeys", "~a:*", "~leasehold:*"];
        server.command(&rights).unwrap().accepted().unwrap();
        let renewals = store.renew(&claims).await;
        for at in [0, 2] {
            assert!(matches!(renewals[at], Ok(Renewal::Renewed { .. })), "{renewals:?}");
        }
        is(renewals[1].as_ref().unwrap_err(), ErrorKind::Rejected, "NOPERM", "access control");
        // The control: all keys in one command are refused for the sake of one.
        let mut naive = server.connect().unwrap();
        naive.call(&["AUTH", "locks", "pw"]).unwrap().accepted().unwrap();
        let script = "for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 30000) end";
        let loaded = naive.call(&["SCRIPT", "LOAD", script]).unwrap();
        let refused = naive.call(&["EVALSHA", loaded.text().unwrap(), "3", "a:1", "b:1", "a:2"]).unwrap();
        assert!(refused.error().is_some_and(|error| error.starts_with("NOPERM")), "{refused:?}");
    });
}

/// A server, or a proxy, that does not know HELLO or its version is spoken to by RESP2.
#[test]
fn a_server_without_resp3_is_spoken_to_by_resp2() {
    let renamed = Server::builder().arg("rename-command", "HELLO \"\"").start().unwrap();
    let behind = Server::start().unwrap();
    let proxy = altered(&behind, |bytes| match bytes {
        // The reply to HELLO 3.
        [b'%', ..] => b"-NOPROTO unsupported protocol version\r\n".to_vec(),
        bytes => bytes.to_vec(),
    });
    run(async {
        for (port, says) in [(renamed.port(), "ERR unknown command"), (proxy, "NOPROTO")] {
            let store = RedisStore::open(options(&format!("single={port}")), common::env()).await.unwrap();
            let standing = store.claim(&claim(&common::env(), "orders", 30_000)).await.unwrap();
            assert!(matches!(standing, Standing::Granted(_)), "{says}");
            // The control insists on RESP3.
            let mut naive = leasehold_testkit::redis::Connection::open(&format!("127.0.0.1:{port}")).unwrap();
            let refused = naive.call(&["HELLO", "3"]).unwrap();
            assert!(refused.error().is_some_and(|error| error.starts_with(says)), "{refused:?}");
        }
    });
}

/// A command that has another name is said to have one; locks need no INFO and no CONFIG.
#[test]
fn renamed_commands_are_named() {
    let hide = |name: &str| Server::builder().arg("rename-command", &format!("{name} \"\""));
    let looks = hide("INFO").arg("rename-command", "CONFIG \"\"").start().unwrap();
    let scripts = hide("EVALSHA").start().unwrap();
    run(async {
        let store = RedisStore::open(options(&at(&looks)), common::env()).await.unwrap();
        store.claim(&claim(&common::env(), "orders", 30_000)).await.unwrap();
        let findings = store.diagnose().await.unwrap();
        assert!(findings.iter().any(|finding| finding.what.contains("INFO")), "{findings:?}");
        let error = refused(&crate::fixture::store(&at(&scripts))).await;
        is(&error, ErrorKind::Rejected, "EVALSHA", "rename-command");
        // The control: the version alone says that the server can do everything.
        assert!(scripts.info("server")["redis_version"].as_str() >= "6.2");
    });
}
