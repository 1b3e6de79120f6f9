//! The machine's clocks and its randomness.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use super::moment::Moment;

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

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

#[expect(clippy::disallowed_methods, reason = "this is the implementation of Env::random")]
pub(super) fn random() -> u128 {
    let mut bytes = [0u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => panic!("the kernel has no randomness ({errno}): a claim id could be guessed"),
        }
    }
    u128::from_ne_bytes(bytes)
}
