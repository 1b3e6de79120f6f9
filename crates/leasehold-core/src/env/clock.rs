//! The machine's clocks and its randomness.

use std::{
    io,
    time::{Duration, SystemTime},
};

use rustix::time::clock_gettime;

use super::{
    moment::Moment,
    platform::{self, CLOCK},
};

/// The random numbers of one system call: 256 bytes are never interrupted.
const RANDOM_NUMBERS: usize = 16;

#[expect(clippy::disallowed_methods, reason = "this is the implementation of Env::now")]
pub(super) fn now() -> Moment {
    let time = clock_gettime(CLOCK);
    Moment::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

#[expect(clippy::disallowed_methods, reason = "this is the implementation of Env::wall_us")]
pub(super) fn wall_us() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn random() -> [u128; RANDOM_NUMBERS] {
    let mut bytes = [0u8; RANDOM_NUMBERS * size_of::<u128>()];
    let mut filled = 0;
    while filled < bytes.len() {
        match platform::random(&mut bytes[filled..]) {
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => panic!("the kernel has no randomness ({error}): a claim id could be guessed"),
        }
    }
    let mut numbers = [0; RANDOM_NUMBERS];
    for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
        *number = u128::from_ne_bytes(*bytes);
    }
    numbers
}
