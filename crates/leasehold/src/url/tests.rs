use std::time::Duration;

use leasehold_core::{
    ErrorKind,
    url::percent::{encode, encode_path},
};
use proptest::prelude::*;

use super::*;

const CANARY: &str = "c4nary-S3CRET";

#[test]
fn every_form_reads_and_prints_in_its_one_spelling() {
    for (text, printed) in [
        ("memory:", "memory:"),
        ("mem:", "memory:"),
        ("memory:tests", "memory:tests"),
        ("sqlite:locks.db", "sqlite:locks.db"),
        ("sqlite:///var/lib/l.db", "sqlite:/var/lib/l.db"),
        ("file:/a%20b?prefix=x%2F", "sqlite:/a%20b?prefix=x%2F"),
        ("redis://db", "redis://db:6379"),
        ("REDIS://db:7000/3", "redis://db:7000/3"),
        ("valkey://db/0", "redis://db:6379"),
        ("rediss://me:pw@[::1]:6380/2", "rediss://me:***@[::1]:6380/2"),
        ("redis://:p%40ss@db", "redis://:***@db:6379"),
        ("redis+unix:///run/r.sock?timeout=500ms", "redis+unix:///run/r.sock?timeout=500ms"),
        ("redis+unix://u:p@/run/r.sock", "redis+unix://u:***@/run/r.sock"),
        (
            "redis+sentinel://a,b:1,c/main/2?min_replicas=1",
            "redis+sentinel://a:26379,b:1,c:26379/main/2?min_replicas=1",
        ),
        ("redis+cluster://a,b?dialect=redisson", "redis+cluster://a:6379,b:6379?dialect=redisson"),
        ("redlock://a:1,b:2,c:3", "redlock://a:1,b:2,c:3"),
        (
            "redlocks://a:1,b:2,c:3?ca=/ca&server_name=db&password_file=/p%20w",
            "redlocks://a:1,b:2,c:3?password_file=/p%20w&ca=/ca&server_name=db",
        ),
        ("rediss://a?key=/k&cert=/c", "rediss://a:6379?cert=/c&key=/k"),
        (
            "redis+sentinel://a/main?sentinel_password=p%26w&sentinel_tls=true",
            "redis+sentinel://a:26379/main?sentinel_password=***&sentinel_tls=true",
        ),
        ("memcached://m", "memcached://m:11211"),
        ("zk://a,b/apps/locks/", "zookeeper://a:2181,b:2181/apps/locks"),
        ("zks://me:pw@a,b:1/x?ca=/x", "zookeepers://me:***@a:2281,b:1/x?ca=/x"),
        ("etcd://a", "etcd://a:2379"),
        ("etcds://me:pw@a,b:1?ca=/x", "etcds://me:***@a:2379,b:1?ca=/x"),
        (
            "quorum:redis://a;memcached://b;sqlite:c;?ttl=2m",
            "quorum:redis://a:6379;memcached://b:11211;sqlite:c;?ttl=120s",
        ),
    ] {
        let url = StoreUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(url.to_string(), printed, "{text}");
        assert_eq!(StoreUrl::parse(&url.reveal()).unwrap(), url, "{text}");
    }
}

#[test]
fn user_info_is_decoded() {
    let url = StoreUrl::parse("redis://a%3Ab:p%40%2F%25@db").unwrap();
    let Credentials { user, password } = url.credentials();
    assert_eq!((user.as_str(), password.reveal()), ("a:b", "p@/%"));
}

#[test]
fn a_password_in_the_query_is_as_secret_as_any() {
    let url = StoreUrl::parse(&format!("redis+sentinel://a/main?sentinel_password={CANARY}")).unwrap();
    assert!(!format!("{url} {url:?} {:?} {:?}", url.options(), url.0).contains(CANARY));
    assert!(url.reveal().contains(CANARY));
}

#[test]
fn an_address_without_a_scheme_is_answered_by_the_url_that_was_meant() {
    for (text, url) in [
        ("127.0.0.1:17001", "redis://127.0.0.1:17001"),
        ("h:2379", "etcd://h:2379"),
        ("locks.db", "sqlite:locks.db"),
    ] {
        let error = StoreUrl::parse(text).unwrap_err();
        assert_eq!(error.hint_text(), Some(&*format!("did you mean `{url}`?")));
    }
    for text in ["", "redis:db:1", "u:secret@db", "redsi://db", "memory:%zz"] {
        let error = StoreUrl::parse(text).unwrap_err();
        assert!(!error.hint_text().unwrap_or_default().contains("did you mean"), "{text}: {error:?}");
    }
}

#[test]
fn mistakes_are_errors_that_say_what_was_meant() {
    for (text, says) in [
        ("", "no scheme"),
        ("localhost", "no scheme"),
        ("redsi://db", "did you mean `redis`?"),
        ("zookeper://db", "did you mean `zookeeper`?"),
        ("mysql://db", "unknown store scheme `mysql`"),
        ("redis:db", "written `redis://"),
        ("redis://", "names no host"),
        ("redis://a b", "names no host"),
        ("redis://a,b", "takes one host"),
        ("redis://db:0", "not a number from 1 to 65535"),
        ("redis://db:70000", "not a number from 1 to 65535"),
        ("redis://[::1", "names no host"),
        ("redis://[zz]", "no IPv6 address"),
        ("redis://db/x", "not the number of a database"),
        ("redis+unix://host/x", "no host"),
        ("redis+sentinel://a,b", "does not name the master"),
        ("redlock://a,b", "quorum of 2"),
        ("redlock://a,b,a:6379", "named twice"),
        ("memcached://u:p@m", "no users"),
        ("etcd://a/b", "no path"),
        ("etcd://a?ca=/x", "`etcd` has no use for the key `ca`"),
        ("redis://a?cert=/x", "`redis` has no use for the key `cert`"),
        ("redis+cluster://a?server_name=x", "`redis+cluster` has no use for the key `server_name`"),
        ("rediss://a?sentinel_ca=x", "`rediss` has no use for the key `sentinel_ca`"),
        ("memcached://a?password_file=x", "`memcached` has no use for the key `password_file`"),
        ("redis://a?password_file=", "`password_file` is empty"),
        ("zookeeper://a/x/../y", "relative"),
        ("zookeepers://a?server_name=x", "`zookeepers` has no use for the key `server_name`"),
        ("sqlite:", "may not be empty"),
        ("sqlite::memory:", "this process alone"),
        ("memory:?tll=3s", "did you mean `ttl`?"),
        ("memory:?min_replica=3", "did you mean `min_replicas`?"),
        ("memory:?colour=red", "unknown key `colour`"),
        ("memory:?dialect=x", "`memory` has no use for the key `dialect`"),
        ("redis://a?longest_lease=1m", "`redis` has no use for the key `longest_lease`"),
        ("redlock://a,b,c?min_replicas=1", "`redlock` has no use for the key `min_replicas`"),
        ("memory:?ttl=30", "not a duration"),
        ("memory:?ttl=0s", "longer than nothing"),
        ("memory:?ttl=1s&ttl=2s", "twice"),
        ("memory:?prefix=", "`prefix`"),
        ("redis://a?min_replicas=-1", "not a number"),
        ("redis://a?dialect=Redis%20son", "lower-case"),
        ("memory:%zz", "`%`"),
        ("memory:%ff", "UTF-8"),
        ("memory:%00", "zero byte"),
        ("quorum:redis://a;redis://b", "quorum of 2"),
        ("quorum:redis://a;redis://b;redis://a:6379", "named twice"),
        ("quorum:redis://a;redis://b;redsi://c", "member 3 of the quorum"),
        ("quorum:redis://a?ttl=1s;redis://b;redis://c", "whole quorum"),
    ] {
        let error = StoreUrl::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
}

#[test]
fn a_password_that_is_not_encoded_breaks_the_url_but_is_not_shown() {
    for mark in ["/", "?", "#", ":", "@", ",", "%", "%zz", ";", "&", "[", "]", " ", "//", "?ttl="] {
        for scheme in
            ["redis", "redis+unix", "redis+sentinel", "redlock", "memcached", "etcd", "redsi", "quorum:redis"]
        {
            for text in [
                format!("{scheme}://me:{CANARY}{mark}x@db"),
                format!("{scheme}://me:x{mark}{CANARY}@db"),
                format!("{scheme}://{CANARY}{mark}{CANARY}@db,db2,db3/m?ttl=1s"),
                format!("{scheme}://:x{mark}{CANARY}@db:x"),
                format!("{scheme}:me:x{mark}{CANARY}@db"),
            ] {
                if let Err(error) = StoreUrl::parse(&text) {
                    assert!(!format!("{error}{error:?}{error:#?}").contains(CANARY), "{text}: {error}");
                }
            }
        }
    }
}

fn words() -> impl Strategy<Value = String> {
    "\\PC{0,8}|[\\x01-\\x1f]{1,3}"
}

fn addresses(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Address>> {
    let host = "[a-z0-9]{1,8}(\\.[a-z]{1,4})?|fd00::[1-9a-f]{1,3}";
    let address = (host, 1u16..).prop_map(|(host, port)| Address { host, port });
    proptest::collection::btree_set(address, count).prop_map(|set| set.into_iter().collect())
}

fn logins() -> impl Strategy<Value = Credentials> {
    (words(), words()).prop_map(|(user, password)| Credentials { user, password: Password::new(password) })
}

fn options() -> impl Strategy<Value = UrlOptions> {
    let span = (1u64..u64::from(u32::MAX), 0u32..1_000_000_000).prop_map(|(s, n)| Duration::new(s, n));
    let prefix = proptest::option::of("\\PC{1,9}");
    let timeout = proptest::option::of((1u64..5000).prop_map(Duration::from_millis));
    (prefix, proptest::option::of(span), timeout).prop_map(|(prefix, ttl, timeout)| {
        let mut options = UrlOptions::default();
        options = prefix.into_iter().fold(options, |it, prefix| it.with("prefix", prefix));
        options = ttl.into_iter().fold(options, |it, ttl| it.with_duration("ttl", ttl));
        timeout.into_iter().fold(options, |it, timeout| it.with_duration("timeout", timeout))
    })
}

fn parsed(scheme: &str, credentials: Credentials, addresses: Vec<Address>, path: String) -> ParsedUrl {
    let (_, scheme) = BACKENDS.find(scheme, true).expect("the scheme is built in");
    ParsedUrl { credentials, addresses, path, ..ParsedUrl::new(scheme) }
}

fn numbered(database: u32) -> String {
    if database == 0 { String::new() } else { format!("/{database}") }
}

/// URLs of every form, without options.
fn places() -> impl Strategy<Value = ParsedUrl> {
    let nobody = Credentials::default;
    let file = |path: &str| encode_path(path.as_bytes()).to_string();
    prop_oneof![
        "\\PC{0,9}".prop_map(move |name| parsed("memory", nobody(), vec![], encode(&name).to_string())),
        "/{0,3}[\\PC&&[^:]]{1,9}".prop_map(move |path| parsed("sqlite", nobody(), vec![], file(&path))),
        (any::<bool>(), logins(), addresses(1..2), any::<u32>()).prop_map(|(tls, login, one, database)| {
            parsed(if tls { "rediss" } else { "redis" }, login, one, numbered(database))
        }),
        (logins(), "/\\PC{1,9}").prop_map(move |(login, path)| parsed(
            "redis+unix",
            login,
            vec![],
            file(&path)
        )),
        (logins(), addresses(1..4), "\\PC{1,9}", 0u32..16).prop_map(
            |(login, addresses, master, database)| {
                parsed(
                    "redis+sentinel",
                    login,
                    addresses,
                    format!("/{}{}", encode(&master), numbered(database)),
                )
            }
        ),
        (logins(), addresses(3..6)).prop_map(|(login, addresses)| parsed(
            "redlock",
            login,
            addresses,
            String::new()
        )),
        (logins(), addresses(1..4), "(/[a-z%& ]{1,5}){0,3}")
            .prop_map(move |(login, addresses, chroot)| parsed("zookeeper", login, addresses, file(&chroot))),
        addresses(1..2).prop_map(move |one| parsed("memcached", nobody(), one, String::new())),
    ]
}

fn urls() -> impl Strategy<Value = StoreUrl> {
    let one = (places(), options()).prop_map(|(place, options)| StoreUrl(ParsedUrl { options, ..place }));
    let quorum = (proptest::collection::vec(places(), 3..5), options()).prop_map(|(places, options)| {
        let mut members: Vec<ParsedUrl> = Vec::new();
        places.into_iter().for_each(|member| {
            if !members.contains(&member) {
                members.push(member)
            }
        });
        let (_, scheme) = BACKENDS.find("quorum", true).expect("the scheme is built in");
        StoreUrl(ParsedUrl { members, options, ..ParsedUrl::new(scheme) })
    });
    let quorum = quorum.prop_filter("distinct", |url| url.0.members.len() >= 3);
    prop_oneof![4 => one, 1 => quorum]
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_it_was(url in urls()) {
        prop_assert_eq!(&StoreUrl::parse(&url.reveal()).unwrap(), &url);
        let shown = url.to_string();
        prop_assert_eq!(StoreUrl::parse(&shown).unwrap().to_string(), shown);
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,60}") {
        let _ = StoreUrl::parse(&text);
    }

    #[test]
    fn any_text_after_a_known_scheme_is_read_or_refused_without_a_panic(
        scheme in "redis|redis\\+unix|redis\\+sentinel|redlock|zk|memory|sqlite|quorum|etcd",
        rest in "[a-c0-9:/@?#%&=,;\\[\\]._ -]{0,40}",
    ) {
        if let Ok(url) = StoreUrl::parse(&format!("{scheme}:{rest}")) {
            prop_assert_eq!(StoreUrl::parse(&url.reveal()).unwrap(), url);
        }
    }

    #[test]
    fn no_password_is_ever_shown(before in "[ -~]{0,12}", after in "[ -~]{0,12}", scheme in "redis|rediss|redlock|etcd|zk") {
        let text = format!("{scheme}://me:{before}{CANARY}{after}@h1,h2,h3");
        let shown = match StoreUrl::parse(&text) {
            Ok(url) => format!("{url} {url:?} {:?} {:?}", url.credentials(), url.0),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!shown.contains(CANARY), "{}: {}", text, shown);
    }
}
