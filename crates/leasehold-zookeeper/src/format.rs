//! [`NodeData`]: the content of a claim's node.

use std::{fmt::Write, sync::Arc, time::Duration};

use leasehold_core::{Claim, FencingToken, Mode, Queueing};

/// The first word of a node of ours, with the version of the format.
const MAGIC: &str = "leasehold/1";

/// The phase of a claim, as written into its node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// It asks, and holds once no member before it is in its way.
    Asking,
    /// It waits, and holds nothing before it asks again.
    Waiting,
}

/// The content of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodeData {
    pub(crate) phase: Phase,
    pub(crate) mode: Mode,
    pub(crate) queueing: Queueing,
    /// Its validity after each change, by the clock of each reader.
    pub(crate) ttl: Duration,
    /// Whether other clients delete it when it has not changed for `ttl`; otherwise it lives by its session.
    pub(crate) expires: bool,
    pub(crate) lock_delay: Duration,
    /// The token of its grant, where that is not the node's `czxid`.
    pub(crate) fence: Option<FencingToken>,
    pub(crate) note: Option<Arc<str>>,
}

impl NodeData {
    pub(crate) fn of(claim: &Claim, phase: Phase, expires: bool) -> NodeData {
        NodeData {
            phase,
            mode: claim.mode,
            queueing: claim.queueing,
            ttl: claim.ttl,
            expires,
            lock_delay: claim.lock_delay,
            fence: None,
            note: claim.note.clone(),
        }
    }

    /// The content of a claim that asks for the lock alone, and lives by its session: that of every other library.
    pub(crate) fn exclusive(note: Option<Arc<str>>) -> NodeData {
        NodeData {
            phase: Phase::Asking,
            mode: Mode::Exclusive,
            queueing: Queueing::Fifo,
            ttl: Duration::ZERO,
            expires: false,
            lock_delay: Duration::ZERO,
            fence: None,
            note,
        }
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let phase = if self.phase == Phase::Asking { "asking" } else { "waiting" };
        let queueing = match self.queueing {
            Queueing::No => "no",
            Queueing::Barging => "barging",
            Queueing::Fifo => "fifo",
        };
        let mode = match self.mode {
            Mode::Permits { take, of } => format!("permits={take}/{of}"),
            Mode::Shared => "shared".to_string(),
            _ => "exclusive".to_string(),
        };
        let ttl = if self.expires { "expires" } else { "session" };
        let mut text = format!("{MAGIC} {phase} {mode} queue={queueing} {ttl}={}", self.ttl.as_millis());
        // Writing into a string does not fail.
        if !self.lock_delay.is_zero() {
            let _ = write!(text, " delay={}", self.lock_delay.as_millis());
        }
        if let Some(fence) = self.fence {
            let _ = write!(text, " fence={fence}");
        }
        if let Some(note) = &self.note {
            text.push('\n');
            text.push_str(note);
        }
        text.into_bytes()
    }

    /// Parses the content; `None` for that of another library.
    pub(crate) fn read(data: &[u8]) -> Option<NodeData> {
        let text = std::str::from_utf8(data).ok()?;
        let (head, note) = match text.split_once('\n') {
            Some((head, note)) => (head, Some(note.into())),
            None => (text, None),
        };
        let mut words = head.split(' ');
        if words.next()? != MAGIC {
            return None;
        }
        let mut data = NodeData::exclusive(note);
        words.try_for_each(|word| data.take(word))?;
        Some(data)
    }

    fn take(&mut self, word: &str) -> Option<()> {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let span = || value.parse().ok().map(Duration::from_millis);
        match key {
            "asking" => self.phase = Phase::Asking,
            "waiting" => self.phase = Phase::Waiting,
            "exclusive" => self.mode = Mode::Exclusive,
            "shared" => self.mode = Mode::Shared,
            "permits" => {
                let (take, of) = value.split_once('/')?;
                self.mode = Mode::Permits { take: take.parse().ok()?, of: of.parse().ok()? };
            }
            "queue" => {
                self.queueing = match value {
                    "no" => Queueing::No,
                    "barging" => Queueing::Barging,
                    _ => Queueing::Fifo,
                }
            }
            "expires" => (self.expires, self.ttl) = (true, span()?),
            "session" => (self.expires, self.ttl) = (false, span()?),
            "delay" => self.lock_delay = span()?,
            "fence" => self.fence = Some(value.parse().ok()?),
            // A later version may have more words.
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let data = NodeData {
            phase: Phase::Waiting,
            mode: Mode::Permits { take: 2, of: 5 },
            queueing: Queueing::Barging,
            ttl: Duration::from_millis(1500),
            expires: true,
            lock_delay: Duration::from_secs(60),
            fence: Some(FencingToken::new(77).unwrap()),
            note: Some("a\nb fence=1\0".into()),
        };
        assert_eq!(NodeData::read(&data.write()), Some(data.clone()));
        for (mode, note) in [(Mode::Exclusive, None), (Mode::Shared, Some("".into()))] {
            let data = NodeData {
                mode,
                note,
                fence: None,
                expires: false,
                lock_delay: Duration::ZERO,
                ..data.clone()
            };
            assert_eq!(NodeData::read(&data.write()), Some(data));
        }
    }

    #[test]
    fn what_others_write_is_not_ours() {
        for foreign in [&b"127.0.0.1"[..], b"", b"\xff\xfe", b"leasehold/2 asking", b"leasehold/1 expires=x"]
        {
            assert_eq!(NodeData::read(foreign), None);
        }
    }
}
