use leasehold_core::ClaimId;

use super::*;

/// A member of the queue in words: mode (`x`, `s`, `2/5`), then `waiting`, `no` for a claim that does not wait, `delay` for
/// a delay marker, `foreign`, `over`.
fn member(number: i32, words: &str) -> Member {
    let mut words = words.split(' ');
    let mode = mode(words.next().unwrap());
    let mut data = NodeData { mode, ttl: Duration::from_secs(9), ..NodeData::exclusive(None) };
    let (id, dialect) =
        (ClaimId::from_bits(u128::from(number.unsigned_abs()) + 1), ZooKeeperDialect::Curator);
    let mut name = format!("{}{number:010}", dialect.stem(id));
    let (mut left, mut is_foreign) = (None, false);
    for word in words {
        match word {
            "waiting" => data.phase = Phase::Waiting,
            "no" => data.queueing = Queueing::No,
            "delay" => name = dialect.read(&name).unwrap().delay_marker(),
            "foreign" => is_foreign = true,
            "over" => left = Some(Duration::ZERO),
            other => panic!("{other:?}"),
        }
    }
    let content = if is_foreign { b"127.0.0.1".to_vec() } else { data.write() };
    let name = dialect.read(&name).unwrap();
    Member { left, ..Member::new(name, &content, stat(number)) }
}

fn mode(word: &str) -> Mode {
    match word.split_once('/') {
        Some((take, of)) => Mode::Permits { take: take.parse().unwrap(), of: of.parse().unwrap() },
        None if word == "s" => Mode::Shared,
        None => Mode::Exclusive,
    }
}

fn members(all: &[&str]) -> Vec<Member> {
    all.iter().zip(0..).map(|(words, at)| member(at, words)).collect()
}

fn names(members: &[Member]) -> Vec<String> {
    members.iter().map(|member| member.name.name.clone()).collect()
}

/// The decision about a claim behind these members, in words.
fn decide(mode: Mode, others: &[&str]) -> String {
    let all = members(others);
    let queue = Queue::of(ZooKeeperDialect::Curator, &names(&all), None);
    let number = all.len().try_into().unwrap();
    let to_read = queue.to_read(mode, number);
    let read: Vec<Member> = all.into_iter().filter(|member| to_read.contains(&member.name)).collect();
    match queue.decide(mode, number, &read) {
        Decision::Granted => "granted".into(),
        Decision::Changed => "changed".into(),
        Decision::Mismatch(limit) => format!("mismatch {limit:?}"),
        Decision::Expired(all) => {
            let versions: Vec<String> = all.iter().map(|(_, version)| version.to_string()).collect();
            format!("expired {}", versions.join(" "))
        }
        Decision::Blocked(blocker) => {
            let target = match blocker.target {
                WatchTarget::Node { name, mode } => format!("node {} {mode:?}", &name[name.len() - 1..]),
                WatchTarget::Any(names) => format!("any of {}", names.len()),
            };
            let fence = blocker.holder.and_then(|holder| holder.fence).map_or(0, FencingToken::get);
            format!("holder {fence}, {} ahead, {target}", blocker.ahead)
        }
    }
}

#[test]
fn each_queue_has_its_decision() {
    let table: &[(&str, &[&str], &str)] = &[
        ("x", &[], "granted"),
        ("s", &["s", "s"], "granted"),
        ("x", &["x"], "holder 100, 1 ahead, node 0 None"),
        ("x", &["s", "s", "x waiting"], "holder 100, 3 ahead, node 2 None"),
        ("s", &["s", "x waiting", "s waiting"], "holder 100, 3 ahead, node 1 Some(Exclusive)"),
        ("x", &["x foreign"], "holder 100, 1 ahead, node 0 None"),
        ("x", &["x delay"], "holder 0, 1 ahead, node 0 None"),
        ("x", &["x over"], "expired 0"),
        ("s", &["s", "s over", "x over"], "expired 1 2"),
        ("1/3", &["2/3"], "granted"),
        ("2/3", &["1/3", "1/3"], "holder 100, 2 ahead, any of 2"),
        ("1/3", &["1/5"], "mismatch Some(5)"),
        ("x", &["1/3"], "mismatch Some(3)"),
        ("1/3", &["x"], "mismatch None"),
    ];
    for (word, others, expected) in table {
        assert_eq!(decide(mode(word), others), *expected, "{word} behind {others:?}");
    }
}

#[test]
fn a_writer_whose_queue_shrank_reads_it_again_and_a_reader_goes_on() {
    let all = members(&["s", "s", "s"]);
    let queue = Queue::of(ZooKeeperDialect::Curator, &names(&all), Some(3));
    assert_eq!(queue.to_read(Mode::Exclusive, 3).len(), 2, "the first and the last are enough");
    assert_eq!(queue.decide(Mode::Exclusive, 3, &all[2..]), Decision::Changed);
    assert_eq!(queue.decide(Mode::Exclusive, 3, &[]), Decision::Changed);
    assert_eq!(queue.to_read(Mode::Shared, 3).len(), 3);
    assert_eq!(queue.decide(Mode::Shared, 3, &all[1..]), Decision::Granted);
    assert_eq!(queue.decide(Mode::Shared, 3, &[]), Decision::Granted);
}

#[test]
fn the_first_in_order_hold_and_a_claim_that_does_not_wait_is_shown_only_as_a_holder() {
    use Stance::{Delaying, Holding, Waiting};
    let table: &[(&[&str], &[Option<Stance>])] = &[
        (&["x", "x", "x waiting"], &[Some(Holding), Some(Waiting), Some(Waiting)]),
        (&["x waiting", "x"], &[Some(Waiting), Some(Waiting)]),
        (
            &["s", "s", "x waiting", "s waiting"],
            &[Some(Holding), Some(Holding), Some(Waiting), Some(Waiting)],
        ),
        (&["x no", "x no"], &[Some(Holding), None]),
        (&["x delay", "x"], &[Some(Delaying), Some(Waiting)]),
        (&["x foreign", "x foreign"], &[Some(Holding), Some(Waiting)]),
    ];
    for (words, expected) in table {
        assert_eq!(stances(&members(words)), *expected, "{words:?}");
    }
}

#[test]
fn an_upgrade_sees_the_other_holder_and_not_itself() {
    let other = |words: &[&str], own: usize| {
        let mut members = members(words);
        let name = members[own].name.clone();
        other_holder(&mut members, &name).and_then(|other| other.fence).map(FencingToken::get)
    };
    assert_eq!(other(&["x", "s waiting"], 0), None);
    assert_eq!(other(&["s", "x"], 1), Some(100));
}
/// The first node has the transaction id 100.
fn stat(number: i32) -> Stat {
    Stat {
        czxid: i64::from(number) + 100,
        mzxid: 0,
        pzxid: 0,
        ctime: 0,
        mtime: 0,
        version: number,
        cversion: 0,
        aversion: 0,
        ephemeral_owner: 0,
        data_length: 0,
        num_children: 0,
    }
}
