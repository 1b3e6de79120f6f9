//! The corpus, run by `cargo test` with stable Rust: every file through its target, and what a small mutator makes of
//! it. The dice are thrown with the file's own bytes, so that every run is the same.
//!
//! Every crate that has targets mounts this file in its `fuzz` module.

use std::{fs, path::Path};

/// A target: the directory of its corpus, and what takes the bytes. It panics when something is wrong.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// How many mutations of each file are tried.
const MUTATIONS: usize = 400;
/// How many changes a mutation consists of, at most.
const CHANGES_MAX: u64 = 6;
/// No input is longer.
const BYTES_MAX: usize = 1 << 14;
/// Numbers at which arithmetic breaks.
const EDGES: &[&str] = &[
    "0",
    "-1",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "-2147483648",
    "4294967295",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "%",
    "%0",
    "%zz",
    "\u{0}",
    "\u{1F512}",
    "\r\n",
];

/// Runs all targets of a crate.
pub(crate) fn run(targets: &[Target]) {
    for (name, target) in targets {
        let files = files(name);
        assert!(!files.is_empty(), "there is nothing in fuzz/corpus/{name}");
        for bytes in &files {
            check(name, *target, bytes);
            let mut dice = Dice::of(bytes);
            for _ in 0..MUTATIONS {
                check(name, *target, &mutated(bytes, &files, &mut dice));
            }
        }
    }
}

fn files(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let cannot = |error: std::io::Error| -> ! { panic!("{}: {error}", directory.display()) };
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| cannot(error));
    let paths = entries.map(|entry| entry.unwrap_or_else(|error| cannot(error)).path());
    let mut files: Vec<Vec<u8>> =
        paths.map(|path| fs::read(path).unwrap_or_else(|error| cannot(error))).collect();
    files.sort();
    files
}

fn check(name: &'static str, target: fn(&[u8]), bytes: &[u8]) {
    let shown = Shown { name, bytes };
    target(bytes);
    drop(shown);
}

/// Says which input made a target panic.
struct Shown<'b> {
    name: &'static str,
    bytes: &'b [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("target {}, input b\"{}\"", self.name, self.bytes.escape_ascii());
        }
    }
}

fn mutated(bytes: &[u8], others: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(CHANGES_MAX) {
        change(&mut bytes, others, dice);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn change(bytes: &mut Vec<u8>, others: &[Vec<u8>], dice: &mut Dice) {
    let from = dice.upto(bytes.len());
    let to = (from + dice.upto(8)).min(bytes.len());
    match dice.below(8) {
        0 => drop(bytes.drain(from..to)),
        1 => {
            let piece = bytes[from..to].to_vec();
            bytes.splice(from..from, piece);
        }
        2 => bytes.insert(from, dice.next() as u8),
        3 => bytes.truncate(from),
        4 => {
            let edge = EDGES[dice.upto(EDGES.len() - 1)];
            bytes.splice(from..to, edge.bytes());
        }
        5 => {
            let other = &others[dice.upto(others.len() - 1)];
            bytes.truncate(from);
            bytes.extend_from_slice(&other[dice.upto(other.len())..]);
        }
        6 => number(bytes, dice),
        _ => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1 << dice.below(8);
            }
        }
    }
}

/// Puts another number in the place of one.
fn number(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[*at - 1].is_ascii_digit()))
        .collect();
    if starts.is_empty() {
        return;
    }
    let from = starts[dice.upto(starts.len() - 1)];
    let to = from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let edge = EDGES[dice.upto(EDGES.len() - 1)];
    bytes.splice(from..to, edge.bytes());
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Dice(u64);

impl Dice {
    /// Thrown with the bytes (FNV-1a).
    fn of(bytes: &[u8]) -> Dice {
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Dice(bytes.iter().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn upto(&mut self, last: usize) -> usize {
        self.below(last as u64 + 1) as usize
    }
}
