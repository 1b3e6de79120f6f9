use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::io::{AsyncRead, BufReader};

use super::*;

/// All answers that the bytes hold, given in pieces of these sizes, and whether nothing is left.
fn read(bytes: &[u8], wants: &[Want], sizes: &[usize]) -> Result<(Vec<Reply>, bool), Broken> {
    let mut pieces: Box<dyn AsyncRead + Unpin + '_> = Box::new(tokio::io::empty());
    let (mut rest, mut sizes) = (bytes, sizes.iter().copied().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
        pieces = Box::new(pieces.chain(piece));
        rest = after;
    }
    let (mut read, mut replies) = (BufReader::new(pieces), Vec::new());
    for want in wants {
        match read_reply(&mut read, *want).now_or_never().expect("all bytes are there") {
            Ok(reply) => replies.push(reply),
            Err(Broken::Closed) => break,
            Err(malformed) => return Err(malformed),
        }
    }
    let left = read.fill_buf().now_or_never().expect("all bytes are there");
    Ok((replies, left.is_ok_and(|left| left.is_empty())))
}

/// An answer, what asks for it, and its bytes.
fn answers() -> impl Strategy<Value = (Want, Reply, Vec<u8>)> {
    let plain = |want, reply: Reply, bytes: &str| Just((want, reply, bytes.as_bytes().to_vec()));
    let refused = "SERVER_ERROR out of memory storing object";
    prop_oneof![
        plain(Want::Storage, Reply::Done, "STORED\r\n"),
        plain(Want::Storage, Reply::Other, "NOT_STORED\r\n"),
        plain(Want::Storage, Reply::Other, "EXISTS\r\n"),
        plain(Want::Storage, Reply::Nothing, "NOT_FOUND\r\n"),
        plain(Want::Storage, Reply::Refused(refused.into()), &format!("{refused}\r\n")),
        plain(Want::Meta(7), Reply::Done, "HD O7\r\n"),
        plain(Want::Meta(7), Reply::Other, "EX O7\r\n"),
        plain(Want::Meta(7), Reply::Nothing, "EN\r\n"),
        plain(Want::Meta(7), Reply::Nothing, "NF O7\r\n"),
        plain(Want::Meta(7), Reply::Refused("ERROR".into()), "ERROR\r\n"),
        stats(),
        items(),
    ]
}

fn stats() -> impl Strategy<Value = (Want, Reply, Vec<u8>)> {
    let stat = ("[a-z_]{1,9}", "[0-9a-z.]{0,9}");
    proptest::collection::vec(stat, 0..5).prop_map(|stats| {
        let lines: String = stats.iter().map(|(name, value)| format!("STAT {name} {value}\r\n")).collect();
        (Want::Stats, Reply::Stats(stats), format!("{lines}END\r\n").into_bytes())
    })
}

fn items() -> impl Strategy<Value = (Want, Reply, Vec<u8>)> {
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'E')], 0..20),
    ];
    (value, any::<u64>(), any::<Option<u64>>(), any::<bool>()).prop_map(|(value, cas, ttl, stale)| {
        let left = ttl.map_or("-1".to_string(), |ttl| ttl.to_string());
        let mark = if stale { " X W" } else { "" };
        let mut bytes = format!("VA {} c{cas} t{left} O7{mark}\r\n", value.len()).into_bytes();
        bytes.extend(&value);
        bytes.extend(b"\r\n");
        (Want::Meta(7), Reply::Item(Item { value, cas, ttl, stale }), bytes)
    })
}

proptest! {
    #[test]
    fn answers_are_read_however_the_bytes_are_split(
        answers in proptest::collection::vec(answers(), 0..12),
        sizes in proptest::collection::vec(1usize..40, 1..8),
    ) {
        let wants: Vec<Want> = answers.iter().map(|(want, ..)| *want).collect();
        let bytes: Vec<u8> = answers.iter().flat_map(|(.., bytes)| bytes.clone()).collect();
        let wanted: Vec<Reply> = answers.into_iter().map(|(_, reply, _)| reply).collect();
        prop_assert_eq!(read(&bytes, &wants, &sizes), Ok((wanted, true)));
    }

    #[test]
    fn half_an_answer_is_no_answer((want, _, bytes) in answers(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(bytes.len());
        let read = read(&bytes[..cut], &[want], &[bytes.len()]);
        prop_assert_eq!(read.map(|(replies, _)| replies), Ok(vec![]));
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused_and_the_same_in_pieces(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        want in prop_oneof![Just(Want::Storage), Just(Want::Meta(7)), Just(Want::Stats)],
        sizes in proptest::collection::vec(1usize..40, 1..8),
    ) {
        let wants = [want; 4];
        prop_assert_eq!(read(&bytes, &wants, &[bytes.len()]).is_ok(), read(&bytes, &wants, &sizes).is_ok());
    }

    #[test]
    fn nearly_right_bytes_do_not_upset_it(
        line in "(VA|HD|EN|EX|NF|STAT|STORED|END|ERROR|SERVER_ERROR)( (c|t|O|X|W|k|f|-)?[0-9]{0,25}){0,4}(\r\n|\n|\r)?.{0,9}(\r\n)?",
        sizes in proptest::collection::vec(1usize..9, 1..4),
    ) {
        for want in [Want::Storage, Want::Meta(7), Want::Stats] {
            let whole = read(line.as_bytes(), &[want; 2], &[line.len().max(1)]);
            prop_assert_eq!(whole.is_ok(), read(line.as_bytes(), &[want; 2], &sizes).is_ok());
        }
    }
}

#[test]
fn what_was_not_asked_for_is_refused() {
    let table: [(&str, Want); 14] = [
        ("HD O8\r\n", Want::Meta(7)),
        ("HD\r\n", Want::Meta(7)),
        ("VA 1 c1 t1\r\na\r\n", Want::Meta(7)),
        ("VA 1 c1 t1 O7\r\nab\r\n", Want::Meta(7)),
        ("VA -1 O7\r\n", Want::Meta(7)),
        ("VA +1 O7\r\na\r\n", Want::Meta(7)),
        ("VA 99999999999999999999 O7\r\n", Want::Meta(7)),
        ("VA 1 c+1 O7\r\na\r\n", Want::Meta(7)),
        ("HD k1 O7\r\n", Want::Meta(7)),
        ("STORED\r\n", Want::Meta(7)),
        ("HD O7\r\n", Want::Storage),
        // After it the server reads the value as commands.
        ("CLIENT_ERROR bad data chunk\r\n", Want::Storage),
        ("STAT a 1\r\nERROR\r\n", Want::Stats),
        ("VALUE a 0 1\r\n", Want::Stats),
    ];
    for (bytes, want) in table {
        assert!(read(bytes.as_bytes(), &[want], &[bytes.len()]).is_err(), "{bytes:?} for {want:?}");
    }
}

#[test]
fn nothing_is_read_without_bounds() {
    for want in [Want::Storage, Want::Meta(7), Want::Stats] {
        assert!(read(&vec![b'x'; LINE_MAX + 2], &[want], &[100]).is_err());
    }
    let stats = "STAT a 1\r\n".repeat(STATS_MAX + 1);
    assert!(read(stats.as_bytes(), &[Want::Stats], &[1000]).is_err());
}

#[test]
fn the_bytes_are_those_of_the_protocol() {
    let batch = CommandBatch::new().add("k", 30, b"v\r\n").cas("k", -1, b"", 7);
    let text = String::from_utf8(batch.bytes).unwrap();
    assert_eq!(text, "add k 1279607123 30 3\r\nv\r\n\r\ncas k 1279607123 -1 0 7\r\n\r\n");
    assert_eq!(batch.wants, [Want::Storage, Want::Storage]);
    let batch = CommandBatch::new().get("k").delete("k", 7).extend("k", 8, 30);
    let text = String::from_utf8(batch.bytes).unwrap();
    let [Want::Meta(one), Want::Meta(two), Want::Meta(three)] = batch.wants[..] else { panic!() };
    assert_eq!(text, format!("mg k v c t O{one}\r\nmd k C7 O{two}\r\nmd k C8 I T30 O{three}\r\n"));
}
