//! Serialization with serde: a [`FencingToken`] as a number, names, sequencers and tickets as text.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{FencingToken, LockName, Sequencer, Ticket};

impl Serialize for FencingToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}

impl<'de> Deserialize<'de> for FencingToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FencingToken::new(u64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for LockName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Sequencer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text form is the proof of ownership: keep it secret.
impl Serialize for Ticket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! deserialize_text {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

deserialize_text!(LockName, Sequencer, Ticket);

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::{ClaimId, Mode};

    fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, json: &str) {
        assert_eq!(serde_json::to_string(value).unwrap(), json);
        assert_eq!(&serde_json::from_str::<T>(json).unwrap(), value);
    }

    #[test]
    fn values_are_plain_json() {
        let (name, fence) = (LockName::new("a\nb").unwrap(), FencingToken::new(42).unwrap());
        round_trip(&fence, "42");
        round_trip(&name, r#""a\nb""#);
        let sequencer = Sequencer::new(name.clone(), Mode::Exclusive, fence);
        round_trip(&sequencer, &serde_json::to_string(&sequencer.to_string()).unwrap());
        let ticket = Ticket { name, id: ClaimId::from_bits(7), mode: Mode::Shared, fence: Some(fence) };
        round_trip(&ticket, &serde_json::to_string(&ticket.to_string()).unwrap());
        assert!(serde_json::from_str::<FencingToken>("9007199254740992").is_err());
        assert!(serde_json::from_str::<LockName>("\"\"").is_err());
    }
}
