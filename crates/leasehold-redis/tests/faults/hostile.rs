//! Names, servers and clients that mean harm.

use std::{
    collections::BTreeSet,
    io,
    net::{TcpListener, TcpStream},
};

use leasehold_core::{Error, ErrorKind, Outcome, Standing, Store};
use leasehold_redis::{Endpoint, RedisOptions, RedisStore, Servers};
use leasehold_testkit::redis::{Reply, Server};

use crate::{
    common,
    fixture::{at, claim, holder, options, run, store},
};

/// X2. Names and notes go as arguments: the server knows the same scripts after them as before, and executes nothing of them.
#[test]
fn x2_names_and_notes_never_become_part_of_a_script() {
    const EVIL: [&str; 4] = [
        "x', 'y') redis.call('FLUSHALL') --",
        "]] redis.call('FLUSHALL') --",
        "\r\nFLUSHALL\r\n",
        "%s%d\0\" .. redis.call('FLUSHALL') .. \"",
    ];
    let server = Server::start().unwrap();
    server.command(&["SET", "canary", "alive"]).unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&server)));
        let turn = async |text: &str| {
            let mut mine = claim(&env, text, 60_000);
            mine.note = Some(text.into());
            assert!(matches!(store.claim(&mine).await.unwrap(), Standing::Granted(_)), "{text:?}");
            store.renew(std::slice::from_ref(&mine)).await.remove(0).unwrap();
            let shown = store.inspect(&mine.name).await.unwrap();
            assert_eq!(shown.holders[0].note.as_deref(), Some(text));
            store.release(&mine).await.unwrap();
        };
        turn("plain").await;
        let known = server.info("memory")["number_of_cached_scripts"].clone();
        for text in EVIL {
            turn(text).await;
        }
        assert_eq!(server.info("memory")["number_of_cached_scripts"], known, "scripts are constants");
    });
    let canary = || server.command(&["GET", "canary"]).unwrap().text().map(ToString::to_string);
    assert_eq!(canary().as_deref(), Some("alive"));
    let script = format!("redis.call('SET', '{}')", EVIL[0]);
    server.command(&["EVAL", &script, "0"]).unwrap();
    assert_eq!(canary(), None, "the control: a name that is pasted into a script is executed");
}

/// X7. A client that would release another's lock has to guess 128 random bits, which it is not shown.
#[test]
fn x7_ids_are_random_and_not_shown() {
    const COUNT: usize = 256;
    let server = Server::start().unwrap();
    run(async {
        let (env, store) = (common::env(), store(&at(&server)));
        let mut ids = BTreeSet::new();
        for at in 0..COUNT {
            let text = format!("orders {at}");
            store.claim(&claim(&env, &text, 600_000)).await.unwrap();
            let id = holder(&server, &text).unwrap();
            let shown = store.inspect(&crate::fixture::name(&text)).await.unwrap();
            assert!(!format!("{shown:?}").contains(&id), "{shown:?}");
            ids.insert(u128::from_str_radix(&id, 16).expect("32 hexadecimal digits"));
        }
        assert_eq!(ids.len(), COUNT, "no id twice");
        for bit in 0..128 {
            let set = ids.iter().filter(|id| *id >> bit & 1 == 1).count();
            // More than six standard deviations from the half.
            assert!((COUNT * 3 / 10..=COUNT * 7 / 10).contains(&set), "bit {bit} is set in {set} of {COUNT}");
        }
    });
    // The control: an owner named by host and process is guessed by anybody on the host.
    let guess = format!("host:{}", std::process::id());
    server.command(&["SET", "naive", &guess]).unwrap();
    let compare =
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
    assert_eq!(
        server.command(&["EVAL", compare, "1", "naive", &guess]).unwrap(),
        Reply::Int(1),
        "the control"
    );
}

async fn opened(options: RedisOptions) -> Result<RedisStore, Error> {
    RedisStore::open(options, common::env()).await
}

fn with_tls(server: &Server, host: &str, port: u16) -> RedisOptions {
    let mut options = options(&format!("single={port} tls={}", server.ca_path().display()));
    options.servers = Servers::Single(Endpoint::tcp(host, port));
    options
}

/// X5. A certificate that has expired, is signed by an unknown authority, or is of another host; a server that
/// speaks no TLS, and one that speaks nothing else. Nothing is sent to any of them.
#[test]
fn x5_whoever_cannot_prove_who_it_is_gets_no_claim() {
    let (good, expired) =
        (Server::builder().tls().start().unwrap(), Server::builder().expired_tls().start().unwrap());
    let elsewhere = forward("127.0.0.2", good.tls_port());
    run(async {
        let foreign = {
            let mut options = with_tls(&good, "127.0.0.1", good.tls_port());
            options.access.ca = Some(expired.ca_path().to_path_buf());
            options
        };
        for (case, options) in [
            ("expired", with_tls(&expired, "127.0.0.1", expired.tls_port())),
            ("signed by an unknown authority", foreign),
            ("of another host", with_tls(&good, "127.0.0.2", elsewhere)),
        ] {
            let error = opened(options).await.expect_err(case);
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::Rejected, Outcome::NotApplied),
                "{case}: {error:?}"
            );
            assert!(error.to_string().contains("certificate"), "{case}: {error:?}");
        }
        for (case, options) in [
            ("no TLS", with_tls(&good, "127.0.0.1", good.port())),
            ("nothing but TLS", options(&format!("single={}", good.tls_port()))),
        ] {
            let error = opened(options).await.expect_err(case);
            assert_eq!(error.outcome(), Outcome::NotApplied, "{case}: {error:?}");
        }
        assert_eq!(good.command(&["DBSIZE"]).unwrap().int(), Some(0));
        // The control: the very same server is accepted by its name, and a client that does not ask for TLS is let in.
        opened(with_tls(&good, "127.0.0.1", good.tls_port())).await.unwrap();
        opened(options(&at(&good))).await.unwrap();
    });
}

/// Carries bytes between a port of another address and one of 127.0.0.1, and answers the former. Its threads end with their
/// connections, and the last with the process.
fn forward(address: &str, to: u16) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || io::copy(&mut from, &mut to));
    };
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            copy(client.try_clone().unwrap(), server.try_clone().unwrap());
            copy(server, client);
        }
    });
    port
}
