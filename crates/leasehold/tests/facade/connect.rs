use std::time::Duration;

use leasehold::{Client, ErrorKind};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn clients_of_one_memory_meet_and_names_and_prefixes_keep_others_apart() {
    block_on(async {
        let connect = async |url: &str| Client::connect(url).await.unwrap();
        let guard = connect("memory:meet").await.mutex("x").unwrap().lock().await.unwrap();
        for (url, free) in [
            ("memory:meet", false),
            ("mem:meet?ttl=5s", false),
            ("memory:other", true),
            ("memory:meet?prefix=tenant%2F", true),
        ] {
            let locked = connect(url).await.mutex("x").unwrap().try_lock().await.unwrap();
            assert_eq!(locked.is_some(), free, "{url}");
        }
        let prefixed = connect("memory:meet?prefix=tenant%2F").await;
        let _inner = prefixed.mutex("y").unwrap().lock().await.unwrap();
        assert!(connect("memory:meet").await.mutex("tenant/y").unwrap().try_lock().await.unwrap().is_none());
        guard.release().await.unwrap();
    });
}

#[test]
fn the_query_sets_the_terms_and_the_caller_has_the_last_word() {
    block_on(async {
        let client = Client::connect("memory:?ttl=7s&timeout=900ms").await.unwrap();
        assert_eq!(client.options().ttl, Duration::from_secs(7));
        assert_eq!(client.options().retry_timeout, Duration::from_millis(900));
        assert!(client.options().note.is_some(), "who holds it is told unless something else is");
        let client =
            Client::connect("memory:?ttl=7s").await.unwrap().fair().ttl(terms_ttl()).build().unwrap();
        assert!(client.options().fair && client.options().ttl == terms_ttl());
        let error = Client::connect("memory:?ttl=1ns").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    });
}

fn terms_ttl() -> Duration {
    Duration::from_secs(8)
}

#[cfg(feature = "sqlite")]
#[test]
fn an_sqlite_file_is_a_store_for_clients_of_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let url = leasehold::url::StoreUrl::sqlite(directory.path().join("a b?.db")).unwrap().with_prefix("p/");
    block_on(async {
        let one = Client::connect(url.to_string()).await.unwrap();
        let two = Client::connect(&url).await.unwrap();
        let guard = one.mutex("x").unwrap().lock().await.unwrap();
        assert!(two.mutex("x").unwrap().try_lock().await.unwrap().is_none());
        guard.release().await.unwrap();
        let guard = two.mutex("x").unwrap().lock().await.unwrap();
        assert!(guard.fencing_token().is_some());
        drop(guard);
        two.close(Duration::from_secs(5)).await.unwrap();
        one.close(Duration::from_secs(5)).await.unwrap();
    });
    assert!(directory.path().join("a b?.db").exists());
}

#[test]
fn a_store_that_is_not_built_in_is_named_honestly_and_without_the_password() {
    for (url, feature, is_built_in) in [
        ("redis://me:c4nary@a", "redis", cfg!(feature = "redis")),
        ("redlock://me:c4nary@a,b,c", "redis", cfg!(feature = "redis")),
        ("quorum:redis://me:c4nary@a;redis://b;redis://c", "redis", cfg!(feature = "redis")),
        ("memcached://m", "memcached", cfg!(feature = "memcached")),
        ("zk://me:c4nary@a,b", "zookeeper", cfg!(feature = "zookeeper")),
        ("etcd://me:c4nary@a", "etcd", cfg!(feature = "etcd")),
    ] {
        if is_built_in {
            continue;
        }
        let error = block_on(Client::connect(url)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{url}");
        assert!(error.hint_text().unwrap().contains(&format!("feature `{feature}`")), "{url}: {error:?}");
        assert!(error.to_string().contains("was built without"), "{url}: {error}");
        assert!(!format!("{error:?}").contains("c4nary"), "{error:?}");
    }
    assert_eq!(block_on(Client::connect("redsi://db")).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(block_on(Client::connect("memory:?tll=1s")).unwrap_err().kind(), ErrorKind::Invalid);
}

#[cfg(feature = "memcached")]
#[test]
fn a_memcached_that_is_not_there_is_named() {
    // Nobody listens at port 1.
    for (url, kind) in [
        ("memcached://127.0.0.1:1?timeout=300ms", ErrorKind::Unreachable),
        ("memcached://127.0.0.1:1?dialect=plain", ErrorKind::Unsupported),
        ("memcached://127.0.0.1:1?resp=2", ErrorKind::Invalid),
        ("memcached://127.0.0.1:1?strict=true&timeout=300ms", ErrorKind::Unreachable),
    ] {
        let error = block_on(Client::connect(url)).unwrap_err();
        assert_eq!(error.kind(), kind, "{url}: {error:?}");
        let is_named = error.to_string().contains("127.0.0.1:1");
        assert!(is_named || kind != ErrorKind::Unreachable, "{error}");
    }
}

#[cfg(feature = "zookeeper")]
#[test]
fn a_zookeeper_that_is_not_there_is_named_without_the_password() {
    // Nobody listens at port 1.
    let error = block_on(Client::connect("zk://me:c4nary@127.0.0.1:1/locks?timeout=300ms")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    assert!(!format!("{error:?}").contains("c4nary"), "{error:?}");
    let error = block_on(Client::connect("zk://127.0.0.1:1?dialect=redisson")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn an_etcd_that_is_not_built_in_or_not_there_is_named_without_the_password() {
    // Nobody listens at ports 1 and 2.
    let url = "etcd://me:c4nary@127.0.0.1:1,127.0.0.1:2?timeout=300ms";
    let error = block_on(Client::connect(url)).unwrap_err();
    let shown = format!("{error:?}");
    assert!(!shown.contains("c4nary"), "{shown}");
    if cfg!(feature = "etcd") {
        assert!(shown.contains("127.0.0.1:"), "{shown}");
        assert!(matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut), "{shown}");
    } else {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{shown}");
        assert!(error.hint_text().unwrap().contains("feature `etcd`"), "{shown}");
    }
}

#[cfg(feature = "redis")]
#[test]
fn a_redis_that_is_not_there_is_named_without_the_password() {
    // Nobody listens at port 1.
    for url in [
        "redis://me:c4nary@127.0.0.1:1",
        "redis+sentinel://me:c4nary@127.0.0.1:1/main",
        "redis+cluster://me:c4nary@127.0.0.1:1",
    ] {
        let error = block_on(Client::connect(&format!("{url}?timeout=300ms"))).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut), "{error:?}");
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
        assert!(!format!("{error:?}").contains("c4nary"), "{error:?}");
    }
    for (url, kind) in [
        ("redis://127.0.0.1:1?dialect=curator", ErrorKind::Unsupported),
        ("redis://127.0.0.1:1?template=a:*", ErrorKind::Invalid),
        ("redis://127.0.0.1:1?dialect=spring", ErrorKind::Invalid),
        ("redis://127.0.0.1:1?dialect=spring&template=:*", ErrorKind::Invalid),
        ("redis://127.0.0.1:1?strict=perhaps", ErrorKind::Invalid),
        ("redis://127.0.0.1:1?ca=x.pem", ErrorKind::Invalid),
        ("memory:?strict=true", ErrorKind::Invalid),
    ] {
        assert_eq!(block_on(Client::connect(url)).unwrap_err().kind(), kind, "{url}");
    }
}
