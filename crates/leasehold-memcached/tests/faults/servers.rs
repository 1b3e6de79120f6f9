//! Servers that sleep, are set up unsafely, are not there, or speak nonsense.

use std::time::Duration;

use leasehold_core::{ErrorKind, LockOptions, Outcome, Standing, Store, decide::validity};
use leasehold_memcached::MemcachedStore;
use leasehold_testkit::memcached::Server;

use crate::{
    common,
    fixture::{at, claim, engine, eventually, holders, lock, lost_in_time, run, store, take, try_lock, ttl},
    naive::{Naive, Trusting, gives_up},
};

async fn refused(words: &str) -> leasehold_core::Error {
    let error = MemcachedStore::open(common::options(words).unwrap(), common::env()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotApplied, "{error:?}");
    assert!(error.to_string().starts_with("connect on memcached://127.0.0.1:"), "{error}");
    error
}

/// `-C`: every CAS unique is 0, so that a release by another deletes anybody's lock.
#[test]
fn a_server_without_cas_is_refused() {
    let server = Server::with(&["-C"]).unwrap();
    run(async {
        let error = refused(&at(&server)).await;
        assert_eq!(error.kind(), ErrorKind::Unsafe);
        assert!(error.to_string().contains("-C"), "{error}");
        let late = store(&at(&server)).claim(&claim(&common::env(), "x", 60)).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Unsafe, "also when it is found out later");
    });
    // The control: compare-and-delete compares nothing there.
    assert!(Naive::on(&server).lock("x", "me", 60));
    assert_eq!(server.command("md x C0").unwrap(), "HD");
    assert!(Naive::on(&server).lock("x", "them", 60), "the control: two holders");
}

#[test]
fn a_server_that_evicts_is_refused_when_strict() {
    let (evicting, firm) = (Server::start().unwrap(), Server::with(&["-M"]).unwrap());
    run(async {
        let error = refused(&format!("{} strict", at(&evicting))).await;
        assert_eq!(error.kind(), ErrorKind::Unsafe);
        assert!(error.hint_text().unwrap().contains("-M"), "{error:?}");
        for words in [at(&evicting), format!("{} strict", at(&firm))] {
            take(&store(&words), &claim(&common::env(), "x", 60)).await;
        }
    });
    // The control: nobody tells the naive client that its lock may be thrown out.
    assert!(Naive::on(&evicting).lock("naive", "me", 60));
}

/// 30 days are a span, a second more is a date in 1970: whoever asks for it has a lock that nobody holds.
#[test]
fn a_time_to_live_of_more_than_30_days_is_refused() {
    let server = Server::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&server)));
        let (longest, days) = (claim(&env, "x", 2_592_000), claim(&env, "y", 2_592_001));
        take(&store, &longest).await;
        assert_eq!(holders(&store, "x").await, 1);
        assert_eq!(store.claim(&days).await.unwrap_err().kind(), ErrorKind::Invalid);
        let mut delayed = claim(&env, "z", 2_592_000);
        delayed.lock_delay = Duration::from_secs(1);
        assert_eq!(store.claim(&delayed).await.unwrap_err().kind(), ErrorKind::Invalid);
    });
    let mut naive = Naive::on(&server);
    assert!(
        naive.lock("naive", "me", 2_592_001) && naive.lock("naive", "them", 2_592_001),
        "the control: two holders"
    );
}

/// The server sleeps past the time to live and wakes: the holder knew in time, nobody hangs, and what was queued in the
/// meantime makes no hold that nobody has.
#[test]
fn a_server_that_sleeps_past_the_ttl() {
    let server = Server::start().unwrap();
    run(async {
        let (env, engine) = (common::env(), engine(&at(&server)));
        let hold = lock(&engine, "orders", &ttl(4)).await;
        server.pause().unwrap();
        lost_in_time(&env, &hold).await;
        let terms = LockOptions { retry_timeout: Duration::from_millis(300), ..ttl(4) };
        assert!(try_lock(&engine, "other", &terms).await.is_err(), "nobody answers");
        gives_up(&server.address(), "naive");
        server.resume().unwrap();
        eventually(&env, "no ghost of the claim that was given up", || async {
            try_lock(&engine, "other", &terms).await.is_ok_and(|hold| hold.is_some())
        })
        .await;
        let mut naive = Naive::on(&server);
        eventually(&env, "the control: a lock that nobody has", || {
            let is_held = naive.holds("naive", "me");
            async move { is_held }
        })
        .await;
    });
}

/// Which of a server's threads comes first after a pause, the one that keeps the clock or one that answers, is chance; and
/// so would be the control. All are put on one processor that has other things to do, and the clock's has no priority.
struct AnswersFirst {
    processor: String,
}

/// Keeps the processor busy until it is dropped.
struct Busy(std::process::Child);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl AnswersFirst {
    fn on(server: &Server) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        let processor = allowed.trim().split([',', '-']).next().unwrap().to_string();
        let pid = server.pid().to_string();
        // Of a process with threads the number names the first one, and that keeps the clock.
        for command in
            [["taskset", "-a", "-c", "-p", &processor, &pid].as_slice(), &["chrt", "-i", "-p", "0", &pid]]
        {
            let done = std::process::Command::new(command[0]).args(&command[1..]).output().unwrap();
            assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
        AnswersFirst { processor }
    }

    fn busy(&self) -> Busy {
        let forever = ["-c", &self.processor, "sh", "-c", "while :; do :; done"];
        Busy(std::process::Command::new("taskset").args(forever).spawn().unwrap())
    }
}

/// The server is stopped and goes on. Until its timer fires its clock stands where it was: what it stores then for four
/// seconds ends at once. The store sees that no time has passed there, and does not call it a lease of four seconds.
#[test]
fn a_server_that_was_stopped_grants_no_lease_that_ends_early() {
    let server = Server::start().unwrap();
    let mut two_holders = false;
    run(async {
        let env = common::env();
        let mut options = common::options(&at(&server)).unwrap();
        options.timeout = Duration::from_secs(30);
        let (store, mut naive) = (MemcachedStore::new(options, env.clone()).unwrap(), Naive::on(&server));
        let answers_first = AnswersFirst::on(&server);
        for round in 0..3 {
            // So it knows the clock.
            for _ in 0..12 {
                holders(&store, "warm").await;
                env.sleep(Duration::from_millis(100)).await;
            }
            let (text, other) = (format!("orders-{round}"), format!("naive-{round}"));
            let mut late = server.connect().unwrap();
            // It is the clock's thread that accepts.
            assert!(late.command("version").unwrap().starts_with("VERSION "));
            server.pause().unwrap();
            env.sleep(Duration::from_secs(5)).await;
            late.send(format!("add {other} 0 4 2\r\nme\r\n").as_bytes()).unwrap();
            let (sent, mine) = (env.now(), claim(&env, &text, 4));
            let (asking, asked) = (store.clone(), mine.clone());
            let answer = tokio::spawn(async move { asking.claim(&asked).await });
            let busy = answers_first.busy();
            env.sleep(Duration::from_millis(100)).await;
            server.resume().unwrap();
            let standing = answer.await.unwrap().unwrap();
            let Standing::Granted(grant) = standing else { panic!("{standing:?}") };
            let deadline = validity::deadline(sent, grant.valid_for, store.capability().drift);
            assert_eq!(late.line().unwrap(), "STORED");
            drop(busy);
            // The control: told that it has the lock for four seconds, and the next is told the same.
            let told = env.now();
            eventually(&env, "the next holder", || {
                let entered = naive.lock(&other, "them", 4);
                async move { entered }
            })
            .await;
            two_holders |= env.now().since(told) < Duration::from_secs(2);
            eventually(&env, "the next holder", || {
                let entered = naive.lock(&text, "them", 4);
                async move { entered }
            })
            .await;
            assert!(
                env.now() >= deadline,
                "another entered {:?} before the deadline",
                deadline.since(env.now())
            );
        }
    });
    assert!(two_holders, "the control: two holders");
}

/// Without its crawler or its dumps a server does not say what it has: that is an error, and no empty list.
#[test]
fn a_server_that_does_not_list_its_keys_says_so() {
    let servers = [Server::with(&["-o", "no_lru_crawler"]).unwrap(), Server::with(&["-X"]).unwrap()];
    run(async {
        for server in &servers {
            let store = store(&at(server));
            take(&store, &claim(&common::env(), "x", 60)).await;
            let error = store.list("", 9).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
            assert_eq!(holders(&store, "x").await, 1);
            assert_eq!(Naive::on(server).list(), 0, "the control: one that is there is not listed");
        }
    });
}

/// What answers is no Memcached, or answers out of order: an error, no panic and no hang.
#[test]
fn a_server_that_speaks_nonsense_is_an_error() {
    use std::io::{Read, Write};
    let nonsense: [&[u8]; 5] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xfe\r\n",
        b"+OK\r\n",
        b"END\r\nEND\r\nSTORED\r\nEN\r\n",
        b"",
    ];
    for answer in nonsense {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::Builder::new().spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer);
            }
        });
        run(async {
            let error = refused(&port.to_string()).await;
            assert!(matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Corrupt), "{error:?}");
        });
        let mut naive = Trusting::at(&format!("127.0.0.1:{port}"));
        naive.lock("naive", 60);
        assert!(naive.believes(), "the control: whatever is not a refusal is a lock");
        server.unwrap().join().unwrap();
    }
}
