use proptest::prelude::*;

use super::*;

fn answers(changes: &[(&str, &str)]) -> Vec<Reply> {
    let stats = [
        ("pid", "7"),
        ("uptime", "100"),
        ("time", "1800000100"),
        ("version", "1.6.18"),
        ("evictions", "0"),
        ("cmd_flush", "0"),
    ];
    let settings = [("cas_enabled", "yes"), ("item_size_max", "1048576"), ("evictions", "off")];
    let change = |pairs: &[(&str, &str)], whose: &str| {
        let changed = |name: &str| changes.iter().find(|(key, _)| *key == format!("{whose}{name}"));
        let all = pairs.iter();
        Reply::Stats(
            all.map(|(name, value)| {
                (name.to_string(), changed(name).map_or(*value, |(_, value)| value).to_string())
            })
            .collect(),
        )
    };
    let mark = Item { value: b"mark".to_vec(), ..Item::default() };
    vec![change(&stats, ""), change(&settings, "-"), Reply::Done, Reply::Item(mark)]
}

pub(crate) fn read(changes: &[(&str, &str)]) -> Result<Server> {
    Server::parse(answers(changes), Moment::from_nanos(0), &MemcachedOptions::new("m", 1))
}

#[test]
fn a_server_says_who_it_is() {
    let server = read(&[]).unwrap();
    assert_eq!(&*server.name, "7@1800000000:mark");
    assert_eq!(server.token_base, 1_800_000_000_000_000);
    assert!(server.compares && !server.evicts);
    assert_eq!(server.remembers_for(Moment::from_nanos(1_000_000_000)), Duration::from_secs(100));
}

#[test]
fn servers_that_cannot_keep_locks_are_refused() {
    for (change, kind) in [
        (("version", "1.5.6"), ErrorKind::Rejected),
        (("-cas_enabled", "no"), ErrorKind::Unsafe),
        (("-item_size_max", "1024"), ErrorKind::Unsafe),
        (("time", "200"), ErrorKind::Unsafe),
        (("pid", "x"), ErrorKind::Corrupt),
    ] {
        assert_eq!(read(&[change]).unwrap_err().kind(), kind, "{change:?}");
    }
    let refused = vec![Reply::Refused("CLIENT_ERROR unauthenticated".into())];
    let error = Server::parse(refused, Moment::from_nanos(0), &MemcachedOptions::new("m", 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
}

#[test]
fn old_servers_do_not_compare_before_they_delete() {
    assert!(!read(&[("version", "1.6.12")]).unwrap().compares);
    assert!(read(&[("version", "1.6.13")]).unwrap().compares);
    assert!(read(&[("version", "1.7.0-beta1")]).unwrap().compares);
}

#[test]
fn what_was_forgotten_is_not_remembered() {
    let server = read(&[("cmd_flush", "1")]).unwrap();
    assert_eq!(server.remembers_for(Moment::from_nanos(5)), Duration::from_nanos(5));
    let options = MemcachedOptions::new("m", 1);
    let later = Server::parse(answers(&[("cmd_flush", "1")]), Moment::from_nanos(4), &options).unwrap();
    assert_eq!(later.seen_before(&server).remembers_for(Moment::from_nanos(5)), Duration::from_nanos(5));
}

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

#[test]
fn a_clock_that_stands_still_is_seen() {
    let (clock, run) = (ServerClock::default(), Arc::from("run"));
    assert_eq!(clock.lag(&run, 1000, at(50), at(60)), Duration::ZERO);
    assert_eq!(clock.lag(&run, 1005, at(5_050), at(5_060)), Duration::ZERO);
    // Stopped for ten seconds: what it stores for twelve lasts two.
    let lag = clock.lag(&run, 1005, at(15_050), at(15_060));
    assert!(lag > Duration::from_millis(8_800) && lag < Duration::from_secs(10), "{lag:?}");
    assert_eq!(clock.lag(&run, 1015, at(15_200), at(15_210)), Duration::ZERO, "the timer has fired");
    assert_eq!(clock.lag(&Arc::from("other"), 3, at(15_300), at(15_310)), Duration::ZERO, "another run");
}

proptest! {
    #[test]
    fn a_clock_that_ticks_lags_for_nothing(
        steps in proptest::collection::vec((1u64..3_000, 0u64..500, 0u64..500), 1..50),
        phase in 0u64..1_000,
    ) {
        let (clock, run) = (ServerClock::default(), Arc::from("run"));
        let mut now = 0;
        for (pause, there, back) in steps {
            now += pause;
            let (sent, asked) = (now, now + there);
            now = asked + back;
            let second = 1_000 + (asked + phase) / 1_000;
            prop_assert_eq!(clock.lag(&run, second, at(sent), at(now)), Duration::ZERO);
        }
    }
}
