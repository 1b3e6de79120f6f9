//! [`FencingToken`]: the number that lets a resource refuse a late write.

use std::{fmt, num::NonZeroU64, str::FromStr};

use crate::{Error, ErrorKind, Result};

/// A number that grows with every grant of one name.
///
/// Below 2^53, so that Lua, JavaScript and SQL keep it exact. A resource that remembers the highest token it has
/// seen, and refuses lower ones, is safe from a holder that was paused past its lease (Kleppmann, "How to do
/// distributed locking", 2016; Burrows, "The Chubby lock service", 2006, section 2.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(any(test, feature = "serde"), derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(any(test, feature = "serde"), serde(into = "u64", try_from = "u64"))]
pub struct FencingToken(
    /// The number and one, so that an optional token takes no more room than a token.
    NonZeroU64,
);

impl FencingToken {
    /// The largest token: 2^53 − 1.
    pub const MAX: FencingToken = FencingToken::of((1 << 53) - 1);

    /// How far the calendar in a token stays behind the store's own, in microseconds: room for stores that vote to agree
    /// on one token that was proposed to all of them.
    pub const SLACK_US: u64 = 5_000_000;

    /// Stands for "no token" where a number must be written; no store grants it.
    pub(crate) const NONE: FencingToken = FencingToken::of(0);

    /// The token of a number.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] above [`FencingToken::MAX`].
    pub fn new(number: u64) -> Result<Self> {
        if number > Self::MAX.get() {
            let message = format!("fencing token {number} is above 2^53 - 1");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(FencingToken::of(number))
    }

    const fn of(number: u64) -> Self {
        FencingToken(NonZeroU64::MIN.saturating_add(number))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get() - 1
    }

    /// The number as databases bind it: their integers have a sign, and a token is below 2^53.
    pub const fn as_i64(self) -> i64 {
        self.get().cast_signed()
    }

    /// The next token of a counter that stands at `last`: one more, but never below `floor`.
    ///
    /// With the time in microseconds as floor, tokens keep growing even when the counter is lost.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] when 2^53 is reached.
    pub fn after(last: u64, floor: u64) -> Result<Self> {
        let next = last.saturating_add(1).max(floor);
        if next > Self::MAX.get() {
            return Err(Error::new(ErrorKind::Exhausted, "the fencing counter has reached 2^53"));
        }
        Ok(FencingToken::of(next))
    }
}

impl From<FencingToken> for u64 {
    fn from(token: FencingToken) -> u64 {
        token.get()
    }
}

impl From<FencingToken> for i64 {
    fn from(token: FencingToken) -> i64 {
        token.as_i64()
    }
}

impl TryFrom<u64> for FencingToken {
    type Error = Error;

    fn try_from(number: u64) -> Result<Self> {
        FencingToken::new(number)
    }
}

impl TryFrom<i64> for FencingToken {
    type Error = Error;

    fn try_from(number: i64) -> Result<Self> {
        let number = u64::try_from(number).map_err(|source| {
            Error::new(ErrorKind::Invalid, format!("{number} is not a fencing token")).source(source)
        })?;
        FencingToken::new(number)
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.get())
    }
}

impl FromStr for FencingToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = text.parse::<u64>().map_err(|source| {
            Error::new(ErrorKind::Invalid, format!("`{}` is not a fencing token", text.escape_debug()))
                .source(source)
        })?;
        FencingToken::new(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_grows_and_never_falls_below_the_floor() {
        assert_eq!(FencingToken::after(7, 0).unwrap().get(), 8);
        assert_eq!(FencingToken::after(7, 100).unwrap().get(), 100);
        assert_eq!(FencingToken::after(100, 100).unwrap().get(), 101);
        let error = FencingToken::after(FencingToken::MAX.get(), 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exhausted);
    }

    #[test]
    fn numbers_of_databases_round_trip() {
        let token = FencingToken::new(42).unwrap();
        assert_eq!((u64::from(token), i64::from(token), token.as_i64()), (42, 42, 42));
        assert_eq!(FencingToken::try_from(42i64).unwrap(), FencingToken::try_from(42u64).unwrap());
        assert_eq!(FencingToken::try_from(-1i64).unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(FencingToken::MAX.as_i64(), (1 << 53) - 1);
    }

    #[test]
    fn text_round_trips_and_rubbish_is_refused() {
        assert_eq!("42".parse::<FencingToken>().unwrap().to_string(), "42");
        for bad in ["", "-1", "1e3", "9007199254740992"] {
            assert_eq!(bad.parse::<FencingToken>().unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
    }
}
