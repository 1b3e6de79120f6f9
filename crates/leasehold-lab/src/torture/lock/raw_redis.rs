//! Straight to Redis, as many do: `SET NX PX`, and `DEL` at the end, with or without a look at whose it is. On several
//! servers a majority decides, as in Redlock. Nobody takes the time that has passed off the time to live.

use std::{fmt::Write, time::Duration};

use leasehold_testkit::redis::{Connection, Reply};

use super::{Answer, Lock, Standing, TTL};
use crate::torture::{dice::Dice, lane::Lane, pace::Pace};

const REPLY_LIMIT: Duration = Duration::from_millis(1500);
/// The textbook's compare and delete.
const COMPARE_AND_DELETE: &str =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";

pub(crate) struct RawRedis {
    servers: Vec<(String, Option<Connection>)>,
    lane: Lane,
    key: String,
    id: String,
    dice: Dice,
    pace: Pace,
}

impl RawRedis {
    pub(crate) fn new(servers: &[String], lane: Lane, seed: u64) -> Self {
        let servers = servers.iter().map(|address| (address.clone(), None)).collect();
        let (dice, pace) = (Dice::new(seed, lane as u64), Pace::default());
        Self { servers, lane, key: format!("raw-{}", lane.name()), id: String::new(), dice, pace }
    }

    /// The answers of all servers, `None` of those that gave none.
    fn ask(&mut self, command: &[&str]) -> Vec<Option<Reply>> {
        self.servers.iter_mut().map(|(address, connection)| ask(address, connection, command)).collect()
    }

    fn vote(&mut self) -> Answer {
        self.id.clear();
        // Writing into a string does not fail.
        let _ = write!(self.id, "{:016x}", self.dice.next());
        let (key, id, ttl_ms) = (self.key.clone(), self.id.clone(), TTL.as_millis().to_string());
        let replies = self.ask(&["SET", &key, &id, "NX", "PX", &ttl_ms]);
        let votes = replies.iter().flatten().filter(|reply| reply.text() == Some("OK")).count();
        if votes > replies.len() / 2 {
            return Answer::Granted(None);
        }
        if votes > 0 {
            self.take_back();
        }
        if replies.iter().all(Option::is_none) { Answer::Failed { unknown: true } } else { Answer::Busy }
    }

    fn take_back(&mut self) -> bool {
        let (key, id) = (self.key.clone(), self.id.clone());
        let bare: &[&str] = &["DEL", &key];
        let command: &[&str] =
            if self.lane == Lane::Bare { bare } else { &["EVAL", COMPARE_AND_DELETE, "1", &key, &id] };
        self.ask(command).iter().all(Option::is_some)
    }
}

/// A connection that gave no answer is of no use any more.
fn ask(address: &str, connection: &mut Option<Connection>, command: &[&str]) -> Option<Reply> {
    if connection.is_none() {
        *connection = Connection::open(address).ok();
    }
    let open = connection.as_mut()?;
    let reply = open.set_read_timeout(REPLY_LIMIT).and_then(|()| open.call(command));
    if reply.is_err() {
        *connection = None;
    }
    reply.ok()
}

impl Lock for RawRedis {
    fn acquire(&mut self, wait: Duration) -> Answer {
        let mut left = wait;
        loop {
            let answer = self.vote();
            let pause = self.dice.span_ms(10, 40);
            left = left.saturating_sub(pause);
            if !matches!(answer, Answer::Busy) || left.is_zero() {
                return answer;
            }
            self.pace.wait(pause);
        }
    }

    fn standing(&self) -> Standing {
        Standing { deadline_us: None, lost: false }
    }

    fn release(&mut self) -> bool {
        self.take_back()
    }
}
