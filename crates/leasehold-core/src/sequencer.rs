//! [`Sequencer`]: a lock's name, mode and fencing token in one printable string.

use std::{fmt, str::FromStr};

use crate::{
    Error, ErrorKind, FencingToken, LockName, Mode, Result,
    url::percent::{decode_bytes, encode_path},
};

/// The proof of a hold for a third party, which checks it with the store or against the highest one it has seen.
///
/// Chubby's sequencer (Burrows 2006, section 2.4): lock name + mode + generation, here the fencing token. It proves
/// nothing about who presents it; it is checked, not believed.
///
/// The text form is `leasehold:MODE:TOKEN:NAME`, where MODE is `x`, `s` or `pTAKE/OF` and NAME has everything but
/// ASCII letters, digits and `-._~/` percent-encoded, so the string survives headers, shells and logs.
///
/// ```
/// use leasehold_core::{FencingToken, LockName, Mode, Sequencer};
/// let sequencer = Sequencer::new(LockName::new("billing 42").unwrap(), Mode::Exclusive, FencingToken::new(7).unwrap());
/// assert_eq!(sequencer.to_string(), "leasehold:x:7:billing%2042");
/// assert_eq!("leasehold:x:7:billing%2042".parse::<Sequencer>().unwrap(), sequencer);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sequencer {
    name: LockName,
    mode: Mode,
    fence: FencingToken,
}

impl Sequencer {
    /// Puts the three parts together.
    pub fn new(name: LockName, mode: Mode, fence: FencingToken) -> Self {
        Sequencer { name, mode, fence }
    }

    /// The lock.
    pub fn name(&self) -> &LockName {
        &self.name
    }

    /// The mode in which it is held.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The fencing token of the grant.
    pub fn fencing_token(&self) -> FencingToken {
        self.fence
    }
}

impl fmt::Display for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            Mode::Exclusive => f.write_str("leasehold:x:")?,
            Mode::Shared => f.write_str("leasehold:s:")?,
            Mode::Permits { take, of } => write!(f, "leasehold:p{take}/{of}:")?,
        }
        write!(f, "{}:{}", self.fence, encode_path(self.name.as_bytes()))
    }
}

fn decode_name(text: &str) -> Option<LockName> {
    let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"%-._~/".contains(&byte);
    let bytes = text.bytes().all(is_encoded).then(|| decode_bytes(text, "the name"))?;
    LockName::new(String::from_utf8(bytes.ok()?).ok()?).ok()
}

fn decode_mode(text: &str) -> Option<Mode> {
    match text {
        "x" => Some(Mode::Exclusive),
        "s" => Some(Mode::Shared),
        _ => {
            let (take, of) = text.strip_prefix('p')?.split_once('/')?;
            let (take, of) = (take.parse().ok()?, of.parse().ok()?);
            (1..=of).contains(&take).then_some(Mode::Permits { take, of })
        }
    }
}

impl FromStr for Sequencer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let mut parts = text.strip_prefix("leasehold:")?.splitn(3, ':');
            let mode = decode_mode(parts.next()?)?;
            let fence = parts.next()?.parse().ok()?;
            Some(Sequencer { mode, fence, name: decode_name(parts.next()?)? })
        };
        parse().ok_or_else(|| {
            let message = format!("`{}` is not a sequencer", text.escape_debug());
            Error::new(ErrorKind::Invalid, message).hint("a sequencer reads leasehold:MODE:TOKEN:NAME")
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn modes() -> impl Strategy<Value = Mode> {
        let permits = (1u32..50, 0u32..50).prop_map(|(take, more)| Mode::Permits { take, of: take + more });
        prop_oneof![Just(Mode::Exclusive), Just(Mode::Shared), permits]
    }

    proptest! {
        #[test]
        fn every_sequencer_round_trips_in_printable_ascii(name in "\\PC{1,80}|[\\x00-\\x1f]{1,9}", mode in modes(), fence in 0u64..(1 << 53)) {
            let sequencer = Sequencer::new(LockName::new(name).unwrap(), mode, FencingToken::new(fence).unwrap());
            let text = sequencer.to_string();
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{}", text);
            prop_assert_eq!(text.parse::<Sequencer>().unwrap(), sequencer);
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "(leasehold:)?[xsp0-9/:%a-fA-F]{0,40}") {
            if let Ok(sequencer) = text.parse::<Sequencer>() {
                prop_assert_eq!(sequencer.to_string().parse::<Sequencer>().unwrap(), sequencer);
            }
        }
    }

    #[test]
    fn malformed_sequencers_are_refused() {
        for bad in [
            "",
            "leasehold:x:7:",
            "leasehold:q:7:a",
            "leasehold:p0/3:7:a",
            "leasehold:p4/3:7:a",
            "leasehold:x:7:a%2",
            "leasehold:x:7:a b",
            "leasehold:x:-7:a",
            "leasehold:x:7",
            "other:x:7:a",
            "leasehold:x:7:%FF",
        ] {
            assert_eq!(bad.parse::<Sequencer>().unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
    }
}
