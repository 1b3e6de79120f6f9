//! Serialization with serde: names, sequencers and tickets as text, durations in milliseconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{LockName, Mode, Sequencer, Ticket};

impl Serialize for LockName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

macro_rules! serialize_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
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

serialize_text!(Mode, Sequencer, Ticket);
deserialize_text!(LockName, Sequencer, Ticket);

/// The tag of a contender as `inspect` shows it: eight hexadecimal digits.
pub(crate) fn tag<S: Serializer>(tag: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{tag:08x}"))
}

pub(crate) fn millis<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    whole_millis(*span).serialize(serializer)
}

pub(crate) fn optional_millis<S: Serializer>(
    span: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    span.map(whole_millis).serialize(serializer)
}

fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::{Busy, ClaimId, Contender, FencingToken, Finding, Member, ServerInfo, Snapshot, Stance};

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

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn answers_are_the_json_of_the_command() {
        let holder = Contender {
            tag: 0xab,
            stance: Stance::Holding,
            mode: Some(Mode::Exclusive),
            expires_in: Some(Duration::from_millis(1500)),
            age: None,
            fence: Some(FencingToken::new(7).unwrap()),
            note: Some("n".into()),
        };
        let shown = r#"{"tag":"000000ab","stance":"holding","mode":"exclusive","left_ms":1500,"age_ms":null,"fencing_token":7,"note":"n"}"#;
        assert_eq!(json(&holder), shown);
        let member = Member { url: "redis://a".into(), votes: true, state: "ok".into() };
        let snapshot = Snapshot {
            name: LockName::new("x").unwrap(),
            holders: vec![holder.clone()],
            waiters: Vec::new(),
            fence: None,
            members: vec![member],
        };
        let members = r#"[{"url":"redis://a","votes":true,"state":"ok"}]"#;
        let expected = format!(
            r#"{{"lock":"x","holders":[{shown}],"waiters":[],"fencing_token":null,"members":{members}}}"#
        );
        assert_eq!(json(&snapshot), expected);
        assert!(!json(&Snapshot { members: Vec::new(), ..snapshot }).contains("members"));
        let busy = Busy { holder: None, ahead: Some(2), recheck_in: Duration::from_millis(20) };
        assert_eq!(json(&busy), r#"{"holder":null,"ahead":2,"recheck_in_ms":20}"#);
        let info = ServerInfo { server: "s".into(), lineage: None, remembers_for: Duration::MAX, wall_us: 3 };
        let expected = r#"{"server":"s","lineage":null,"remembers_for_ms":18446744073709551615,"wall_us":3}"#;
        assert_eq!(json(&info), expected);
        let finding = Finding::critical("db", "a", "b", "c");
        assert_eq!(json(&finding), r#"{"severity":"critical","node":"db","what":"a","why":"b","fix":"c"}"#);
    }
}
