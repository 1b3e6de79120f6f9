//! [`Server`]: which run of which server answers, and whether it may be trusted with locks.

use std::{collections::HashMap, sync::Arc, time::Duration};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result};

use crate::{
    batch::CommandBatch,
    keys::RUN,
    options::MemcachedOptions,
    reply::{Item, Reply},
};

/// From here on compare-and-delete works (memcached#844).
pub(crate) const COMPARE_AND_DELETE: (u32, u32, u32) = (1, 6, 13);
/// The first with meta commands.
pub(crate) const OLDEST: (u32, u32, u32) = (1, 6, 0);
/// A document may have a name and a note, each of them escaped.
pub(crate) const ITEM_MIN: usize = 32 << 10;
/// The most that a document may need.
pub(crate) const DOCUMENT_MAX: usize = 256 << 10;
/// The date of the item that names the run: the last that a server takes. What is left until then tells its time.
pub(crate) const RUN_DATE: u64 = 0x7fff_ffff;
/// A time to live above this is a date.
pub(crate) const THIRTY_DAYS: u64 = 30 * 24 * 3600;

/// One run of a server, as it was when it was connected to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Server {
    /// The same for all who reach this run with this memory.
    pub(crate) name: Arc<str>,
    /// What names the run, as it is stored; empty when there is no room for it.
    pub(crate) mark: String,
    /// The version, as it says it.
    pub(crate) version: String,
    /// The CAS unique of an item and this make its fencing token: when the server started, in microseconds.
    pub(crate) token_base: u64,
    /// Whether compare-and-delete and renewal in place work.
    pub(crate) compares: bool,
    /// The largest document.
    pub(crate) document_max: usize,
    /// Whether it throws out what is not used when it needs room.
    pub(crate) evicts: bool,
    /// The second of its calendar.
    pub(crate) second: u64,
    /// How much it has thrown out and how often it was emptied.
    pub(crate) forgotten: (u64, u64),
    uptime: Duration,
    asked: Moment,
}

impl Server {
    /// Asks who it is. Writes one small item that names the run, if it is not there.
    pub(crate) fn question(env: &Env) -> CommandBatch {
        let mark = format!("{:032x}", env.random());
        CommandBatch::new().stats().settings().add(RUN, RUN_DATE, mark.as_bytes()).look(RUN)
    }

    /// What it answered to [`Server::question`], asked at `asked`.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] when it does not let us in or is too old, [`ErrorKind::Unsafe`] when it is set up so that
    /// locks cannot be kept in it.
    pub(crate) fn read(replies: Vec<Reply>, asked: Moment, options: &MemcachedOptions) -> Result<Server> {
        let mut replies = replies.into_iter();
        let (stats, settings) = (Stats::of(replies.next())?, Stats::of(replies.next())?);
        let mark = match replies.nth(1) {
            Some(Reply::Item(Item { value, .. })) => String::from_utf8_lossy(&value).into_owned(),
            // There is no room for it.
            _ => String::new(),
        };
        let version = stats.text("version")?.to_string();
        let numbers = numbers(&version);
        if numbers < OLDEST {
            return Err(Error::new(ErrorKind::Rejected, format!("memcached {version} has no meta commands"))
                .hint("memcached 1.6.13 or later is needed"));
        }
        if settings.text("cas_enabled")? != "yes" {
            return Err(unsafe_because(
                "it was started with -C: without CAS uniques a release frees anybody's lock",
            ));
        }
        let item_max = usize::try_from(settings.number("item_size_max")?).unwrap_or(usize::MAX);
        if item_max < ITEM_MIN {
            return Err(unsafe_because(
                "its items may not be as large as the document of a lock (-I 32k or more)",
            ));
        }
        let (second, uptime) = (stats.number("time")?, stats.number("uptime")?);
        let started = second.saturating_sub(uptime);
        if started <= 2 * THIRTY_DAYS {
            return Err(unsafe_because("its calendar stands at 1970: dates cannot be told from spans"));
        }
        Ok(Server {
            name: format!("{}@{started}:{mark}", stats.number("pid")?).into(),
            mark,
            version,
            token_base: started.saturating_mul(1_000_000),
            compares: numbers >= COMPARE_AND_DELETE && !options.text_only,
            document_max: DOCUMENT_MAX.min(item_max - 1024),
            evicts: settings.text("evictions")? == "on",
            second,
            forgotten: (stats.number("evictions")?, stats.number("cmd_flush")?),
            uptime: Duration::from_secs(uptime.saturating_sub(1)),
            asked,
        })
    }

    /// For how long it has forgotten nothing, as far as its counters say: since it started, or if it has forgotten
    /// something since then, since we know them.
    pub(crate) fn remembers_for(&self, now: Moment) -> Duration {
        let since_asked = now.since(self.asked);
        if self.forgotten == (0, 0) { self.uptime + since_asked } else { since_asked }
    }

    /// Takes over since when an earlier look knows that nothing was forgotten.
    pub(crate) fn seen_before(mut self, before: &Server) -> Server {
        if self.name == before.name && self.forgotten == before.forgotten && self.forgotten != (0, 0) {
            self.asked = before.asked;
        }
        self
    }
}

fn unsafe_because(what: &str) -> Error {
    Error::new(ErrorKind::Unsafe, format!("the server cannot keep locks: {what}"))
        .hint("start it in another way, or use another store")
}

/// One answer to `stats`.
pub(crate) struct Stats(HashMap<String, String>);

impl Stats {
    pub(crate) fn of(reply: Option<Reply>) -> Result<Stats> {
        match reply {
            Some(Reply::Stats(stats)) => Ok(Stats(stats.into_iter().collect())),
            Some(Reply::Refused(why)) => {
                Err(Error::new(ErrorKind::Rejected, format!("the server does not say what it is: {why}"))
                    .hint("servers with users and passwords are not spoken to"))
            }
            _ => Err(Error::new(ErrorKind::Corrupt, "the server does not say what it is")),
        }
    }

    /// What it says, by its names.
    pub(crate) fn into_fields(self) -> HashMap<String, String> {
        self.0
    }

    fn text(&self, name: &str) -> Result<&str> {
        let missing = || Error::new(ErrorKind::Corrupt, format!("the server does not say its `{name}`"));
        self.0.get(name).map(String::as_str).ok_or_else(missing)
    }

    fn number(&self, name: &str) -> Result<u64> {
        let text = self.text(name)?;
        text.parse().map_err(|_| Error::new(ErrorKind::Corrupt, format!("`{name}` is no number: `{text}`")))
    }
}

/// The second of the server's calendar, from an answer to `stats`.
pub(crate) fn second(reply: Option<Reply>) -> Result<u64> {
    Stats::of(reply)?.number("time")
}

pub(crate) fn numbers(version: &str) -> (u32, u32, u32) {
    let mut numbers = version.split(['.', '-', '_', ' ']).map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn answers(changes: &[(&str, &str)]) -> Vec<Reply> {
        let stats = [
            ("pid", "7"),
            ("uptime", "100"),
            ("time", "1800000100"),
            ("version", "1.6.18"),
            ("evictions", "0"),
            ("cmd_flush", "0"),
        ];
        let settings = [("cas_enabled", "yes"), ("item_size_max", "1048576"), ("evictions", "off")];
        let change = |pairs: &[(&str, &str)], whose: &str| {
            let changed = |name: &str| changes.iter().find(|(key, _)| *key == format!("{whose}{name}"));
            let all = pairs.iter();
            Reply::Stats(
                all.map(|(name, value)| {
                    (name.to_string(), changed(name).map_or(*value, |(_, value)| value).to_string())
                })
                .collect(),
            )
        };
        let mark = Item { value: b"mark".to_vec(), ..Item::default() };
        vec![change(&stats, ""), change(&settings, "-"), Reply::Done, Reply::Item(mark)]
    }

    pub(crate) fn read(changes: &[(&str, &str)]) -> Result<Server> {
        Server::read(answers(changes), Moment::from_nanos(0), &MemcachedOptions::new("m", 1))
    }

    #[test]
    fn a_server_says_who_it_is() {
        let server = read(&[]).unwrap();
        assert_eq!(&*server.name, "7@1800000000:mark");
        assert_eq!(server.token_base, 1_800_000_000_000_000);
        assert!(server.compares && !server.evicts);
        assert_eq!(server.remembers_for(Moment::from_nanos(1_000_000_000)), Duration::from_secs(100));
    }

    #[test]
    fn servers_that_cannot_keep_locks_are_refused() {
        for (change, kind) in [
            (("version", "1.5.6"), ErrorKind::Rejected),
            (("-cas_enabled", "no"), ErrorKind::Unsafe),
            (("-item_size_max", "1024"), ErrorKind::Unsafe),
            (("time", "200"), ErrorKind::Unsafe),
            (("pid", "x"), ErrorKind::Corrupt),
        ] {
            assert_eq!(read(&[change]).unwrap_err().kind(), kind, "{change:?}");
        }
        let refused = vec![Reply::Refused("CLIENT_ERROR unauthenticated".into())];
        let error = Server::read(refused, Moment::from_nanos(0), &MemcachedOptions::new("m", 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
    }

    #[test]
    fn old_servers_do_not_compare_before_they_delete() {
        assert!(!read(&[("version", "1.6.12")]).unwrap().compares);
        assert!(read(&[("version", "1.6.13")]).unwrap().compares);
        assert!(read(&[("version", "1.7.0-beta1")]).unwrap().compares);
    }

    #[test]
    fn what_was_forgotten_is_not_remembered() {
        let server = read(&[("cmd_flush", "1")]).unwrap();
        assert_eq!(server.remembers_for(Moment::from_nanos(5)), Duration::from_nanos(5));
        let options = MemcachedOptions::new("m", 1);
        let later = Server::read(answers(&[("cmd_flush", "1")]), Moment::from_nanos(4), &options).unwrap();
        assert_eq!(later.seen_before(&server).remembers_for(Moment::from_nanos(5)), Duration::from_nanos(5));
    }
}
