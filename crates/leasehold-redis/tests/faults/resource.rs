//! The protected resource: a number that several clients read, add to and write back. It is in Redis because all of them reach
//! it there; the lock knows nothing of it.
#![allow(dead_code, reason = "each test program uses a part of it")]

use leasehold_testkit::redis::Connection;

/// The check of the resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Check {
    /// Nothing: the last write counts.
    Nothing,
    /// The token of a write, against those of earlier writes.
    Writes,
    /// The token of the first access, which is the read, and then that of the write.
    Claims,
}

impl Check {
    pub(crate) fn of(word: &str) -> Check {
        match word {
            "writes" => Check::Writes,
            "claims" => Check::Claims,
            _ => Check::Nothing,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Check::Nothing => "nothing",
            Check::Writes => "writes",
            Check::Claims => "claims",
        }
    }
}

/// `HSET` of a value and of the highest token seen, in one script.
const WRITE: &str = "if ARGV[3] ~= 'nothing' then
    if tonumber(redis.call('HGET', KEYS[1], 'mark') or 0) > tonumber(ARGV[1]) then return 0 end
    redis.call('HSET', KEYS[1], 'mark', ARGV[1])
end
redis.call('HSET', KEYS[1], 'value', ARGV[2])
return 1";

/// Raises the mark, then reads.
const CLAIM: &str =
    "if ARGV[2] == 'claims' and tonumber(redis.call('HGET', KEYS[1], 'mark') or 0) < tonumber(ARGV[1]) then
    redis.call('HSET', KEYS[1], 'mark', ARGV[1])
end
return tonumber(redis.call('HGET', KEYS[1], 'value') or 0)";

pub(crate) struct Resource {
    connection: Connection,
    key: String,
    check: Check,
}

impl Resource {
    pub(crate) fn at(address: &str, key: &str, check: Check) -> Resource {
        let connection = Connection::open(address).expect("a server");
        Resource { connection, key: key.into(), check }
    }

    pub(crate) fn read(&mut self, token: u64) -> i64 {
        let (token, check) = (token.to_string(), self.check.word());
        let reply = self.connection.call(&["EVAL", CLAIM, "1", &self.key, &token, check]).expect("a reply");
        reply.int().expect("a number")
    }

    /// Whether the write was accepted.
    pub(crate) fn write(&mut self, token: u64, value: i64) -> bool {
        let (token, value, check) = (token.to_string(), value.to_string(), self.check.word());
        let command = ["EVAL", WRITE, "1", &self.key, &token, &value, check];
        self.connection.call(&command).expect("a reply").int() == Some(1)
    }
}
