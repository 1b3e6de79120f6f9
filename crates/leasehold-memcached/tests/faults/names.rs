//! X1. No name ends a command and begins another, and no two names are one lock.

use leasehold_core::{Release, Store};
use leasehold_testkit::{memcached::Server, proxy::Proxy};

use crate::{
    common,
    fixture::{at, claim, holders, kept_out, run, store, take},
    naive::Naive,
};

fn hostile() -> Vec<String> {
    let long = "x".repeat(300);
    let mut names: Vec<String> = [
        "a",
        "a\r\n",
        "a\r\nflush_all\r\n",
        "a\r\ndelete a\r\n",
        "a b",
        "a%20b",
        "a/b",
        "a/../b",
        "..",
        "/",
        "//",
        "\0",
        "leasehold:run",
        "leasehold:%61",
        "leasehold:#",
        "noreply",
        "a noreply",
    ]
    .map(String::from)
    .to_vec();
    // 300 bytes, the longest, and beginnings of each other.
    names.extend([
        long.clone(),
        long.clone() + "y",
        long[..299].to_string(),
        long[..250].into(),
        long[..251].into(),
    ]);
    names.extend(["π".repeat(256), format!("{}/", "π".repeat(255)), "\n".repeat(512)]);
    names
}

#[test]
fn hostile_names_are_locks_of_their_own_and_send_no_commands() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let (env, store) = (common::env(), store(&proxy.port().to_string()));
        let claims: Vec<_> = hostile().iter().map(|text| claim(&env, text, 60)).collect();
        for mine in &claims {
            take(&store, mine).await;
        }
        for mine in &claims {
            kept_out(&store, &claim(&env, mine.name.as_str(), 60)).await;
        }
        let mut listed: Vec<String> =
            store.list("", 1_000).await.unwrap().iter().map(|it| it.name.as_str().to_string()).collect();
        let mut wanted = hostile();
        wanted.sort();
        listed.sort();
        assert_eq!(listed, wanted);
        for mine in &claims {
            store.release(mine).await.unwrap();
        }
        let stats = server.stats().unwrap();
        assert_eq!((stats["cmd_flush"].as_str(), stats["delete_hits"].as_str()), ("0", "25"), "{stats:?}");
        // Every line that was sent is one of ours.
        let sent: Vec<u8> = proxy.take_request_bytes().concat();
        for line in String::from_utf8_lossy(&sent).split("\r\n") {
            assert!(!line.starts_with("flush_all") && !line.starts_with("delete"), "{line}");
        }
    });
    // The control: a client that writes names into its commands as they are empties the server.
    let mut naive = Naive::on(&server);
    assert!(naive.lock("victim", "me", 60));
    server.command("add a\r\nflush_all\r\n 0 60 1\r\nx").unwrap();
    assert!(
        leasehold_testkit::wait::until(crate::fixture::SOON, || !naive.holds("victim", "me")),
        "the control"
    );
}

/// A document of another lock under a key is nobody's but keeps out all the same: two names with one hash would wait for
/// each other and never hold together.
#[test]
fn a_document_of_another_name_is_foreign() {
    let server = Server::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&server)));
        let mine = claim(&env, "one", 60);
        take(&store, &mine).await;
        let copy = "leasehold 1 10000000000 one\n";
        let size = copy.len();
        assert_eq!(server.command(&format!("add two 0 60 {size}\r\n{copy}")).unwrap(), "STORED");
        kept_out(&store, &claim(&env, "two", 60)).await;
        assert_eq!(holders(&store, "two").await, 1);
        assert!(store.list("two", 9).await.unwrap().is_empty());
        assert_eq!(store.release(&claim(&env, "two", 60)).await.unwrap(), Release::NotHeld);
        assert_eq!(holders(&store, "two").await, 1);
        assert!(Naive::on(&server).unlock("two"), "the control: who looks at the key alone frees it");
        assert_eq!(holders(&store, "two").await, 0);
    });
}
