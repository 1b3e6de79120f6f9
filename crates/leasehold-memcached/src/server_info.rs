//! [`Server`]: the identity and settings of the server, and [`ServerClock`].

use std::{collections::HashMap, str::FromStr, sync::Arc, time::Duration};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result, store_kit::Locked};

use crate::{
    keys::RUN,
    options::MemcachedOptions,
    transport::protocol::{CommandBatch, Item, Reply},
};

/// The first version whose compare-and-delete works (memcached#844).
pub(crate) const COMPARE_AND_DELETE: (u32, u32, u32) = (1, 6, 13);
/// The first version with meta commands.
pub(crate) const OLDEST: (u32, u32, u32) = (1, 6, 0);
/// The smallest item limit: a document may have a name and a note, both escaped.
pub(crate) const ITEM_MIN: usize = 32 << 10;
/// The largest document.
pub(crate) const DOCUMENT_MAX: usize = 256 << 10;
/// The end of the item that identifies the run: the last date that a server takes. The remaining time tells its clock.
pub(crate) const RUN_DATE: u64 = 0x7fff_ffff;
/// The longest span in seconds; a longer time to live is taken for a date.
pub(crate) const THIRTY_DAYS: u64 = 30 * 24 * 3600;

/// One run of a server, as it was when it was last queried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Server {
    /// The name of this run with this memory, the same for all clients.
    pub(crate) name: Arc<str>,
    /// The stored identification of the run; empty when there is no room for it.
    pub(crate) mark: String,
    /// The start of the server in microseconds. Fencing tokens are this plus the CAS unique of an item.
    pub(crate) token_base: u64,
    /// Whether compare-and-delete and extension in place work.
    pub(crate) compares: bool,
    pub(crate) document_max: usize,
    /// Whether it evicts items when it needs room.
    pub(crate) evicts: bool,
    /// The second of its calendar.
    pub(crate) second: u64,
    /// The number of evicted items and of flushes.
    pub(crate) forgotten: (u64, u64),
    uptime: Duration,
    asked: Moment,
}

impl Server {
    /// The commands whose replies [`Server::parse`] takes. They write one small item that identifies the run, if there is
    /// none.
    pub(crate) fn query(env: &Env) -> CommandBatch {
        let mark = format!("{:032x}", env.random());
        CommandBatch::new().stats().settings().add(RUN, RUN_DATE, mark.as_bytes()).get(RUN)
    }

    /// The server that replied to [`Server::query`], sent at `asked`.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] when it demands a login or is too old, [`ErrorKind::Unsafe`] when its settings make locks
    /// impossible.
    pub(crate) fn parse(
        replies: impl IntoIterator<Item = Reply>,
        asked: Moment,
        options: &MemcachedOptions,
    ) -> Result<Server> {
        let mut replies = replies.into_iter();
        let (stats, settings) = (Stats::of(replies.next())?, Stats::of(replies.next())?);
        let mark = match replies.nth(1) {
            Some(Reply::Item(Item { value, .. })) => String::from_utf8_lossy(&value).into_owned(),
            // No room for it.
            _ => String::new(),
        };
        let version: String = stats.need("version")?;
        let numbers = numbers(&version);
        if numbers < OLDEST {
            return Err(Error::new(ErrorKind::Rejected, format!("memcached {version} has no meta commands"))
                .hint("memcached 1.6.13 or later is needed"));
        }
        if settings.need::<String>("cas_enabled")? != "yes" {
            return Err(unsafe_because(
                "it was started with -C: without CAS uniques a release frees any holder's lock",
            ));
        }
        let item_max: usize = settings.need("item_size_max")?;
        if item_max < ITEM_MIN {
            return Err(unsafe_because(
                "its items are smaller than the document of a lock may be (-I 32k or more)",
            ));
        }
        let (second, uptime) = (stats.need::<u64>("time")?, stats.need::<u64>("uptime")?);
        let started = second.saturating_sub(uptime);
        if started <= 2 * THIRTY_DAYS {
            return Err(unsafe_because("its calendar is at 1970: dates cannot be told from spans"));
        }
        Ok(Server {
            name: format!("{}@{started}:{mark}", stats.need::<u64>("pid")?).into(),
            mark,
            token_base: started.saturating_mul(1_000_000),
            compares: numbers >= COMPARE_AND_DELETE && !options.text_only,
            document_max: DOCUMENT_MAX.min(item_max - 1024),
            evicts: settings.need::<String>("evictions")? == "on",
            second,
            forgotten: (stats.need("evictions")?, stats.need("cmd_flush")?),
            uptime: Duration::from_secs(uptime.saturating_sub(1)),
            asked,
        })
    }

    /// The span without data loss, by its counters: since its start, or if it has lost data since then, since the counters
    /// are known.
    pub(crate) fn remembers_for(&self, now: Moment) -> Duration {
        let since_asked = now.since(self.asked);
        if self.forgotten == (0, 0) { self.uptime + since_asked } else { since_asked }
    }

    /// Takes over the start of that span from an earlier query.
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

/// One reply to `stats` or `stats settings`.
#[derive(Clone, Default, Debug)]
pub(crate) struct Stats(pub(crate) HashMap<String, String>);

impl Stats {
    pub(crate) fn of(reply: Option<Reply>) -> Result<Stats> {
        match reply {
            Some(Reply::Stats(stats)) => Ok(Stats(stats.into_iter().collect())),
            Some(Reply::Refused(why)) => {
                Err(Error::new(ErrorKind::Rejected, format!("the server does not identify itself: {why}"))
                    .hint("servers with users and passwords are not supported"))
            }
            _ => Err(Error::new(ErrorKind::Corrupt, "the server does not identify itself")),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    pub(crate) fn need<T: FromStr>(&self, name: &str) -> Result<T> {
        let (text, error) = (self.get(name), |message| Error::new(ErrorKind::Corrupt, message));
        let text = text.ok_or_else(|| error(format!("the server does not report its `{name}`")))?;
        text.parse().map_err(|_| error(format!("`{name}` is no number: `{text}`")))
    }
}

pub(crate) fn numbers(version: &str) -> (u32, u32, u32) {
    let mut numbers = version.split(['.', '-', '_', ' ']).map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

/// The lag of a clock that works: it ticks once a second.
const TICK: i128 = 1_000_000_000;
/// The two clocks may differ in rate by one in this number.
const RATE: i128 = 100;

/// Detects a server clock that stands still.
///
/// The server's time advances by a timer, once a second. After it was stopped (SIGSTOP, a paused virtual machine), it
/// answers before the timer fires: an item stored then for T seconds ends T seconds after the moment at which it was
/// stopped, which may be at once. So the time that it shows is compared with the time that has passed here.
#[derive(Debug, Default)]
pub(crate) struct ServerClock(Locked<Option<Lead>>);

#[derive(Debug, Clone)]
struct Lead {
    /// The run of the server that it belongs to.
    run: Arc<str>,
    /// The server's time minus ours, at least, in nanoseconds.
    lead: i128,
    at: Moment,
}

impl ServerClock {
    /// The span by which holds end earlier than shown by a server whose time is `second`, requested at `sent` and answered
    /// at `received`.
    pub(crate) fn lag(&self, run: &Arc<str>, second: u64, sent: Moment, received: Moment) -> Duration {
        let time = i128::from(second) * 1_000_000_000;
        let mut seen = self.0.lock();
        let lead = seen.as_ref().filter(|seen| seen.run == *run).map(|seen| {
            // The older an observation, the less precise.
            seen.lead - i128::from(received.nanos().saturating_sub(seen.at.nanos())) / RATE
        });
        let lag = lead.map_or(0, |lead| lead + i128::from(sent.nanos()) - TICK - time);
        let now = time - i128::from(received.nanos());
        if lead.is_none_or(|lead| now >= lead) {
            *seen = Some(Lead { run: run.clone(), lead: now, at: received });
        }
        Duration::from_nanos(u64::try_from(lag.max(0)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
pub(crate) mod tests;
