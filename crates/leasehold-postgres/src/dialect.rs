//! [`Dialect`]: a format of locks in the database, one file for each but our own.

pub(crate) mod advisory;
pub(crate) mod shedlock;

use std::time::Duration;

use leasehold_core::{Capability, Error, ErrorKind, Fencing, Result, url::ParsedUrl};

use shedlock::Table;

/// The longest sleep of a waiter in the formats of others: nobody wakes it.
const RECHECK_MAX: Duration = Duration::from_millis(500);

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) enum Dialect {
    /// Leasehold's own: all modes, queues, fencing tokens.
    #[default]
    Native,
    /// Advisory locks of sessions, shared with everybody who calls `pg_advisory_lock`.
    Advisory,
    /// The table of ShedLock, for Java's scheduled tasks: exclusive locks without tokens.
    ShedLock(Table),
}

impl Dialect {
    /// The dialect that a URL names.
    pub(crate) fn of(url: &ParsedUrl) -> Result<Dialect> {
        let [table, columns] = ["table", "columns"].map(|key| url.options.get(key));
        match url.options.dialect() {
            Some("shedlock") => Table::new(table, columns).map(Dialect::ShedLock),
            _ if table.or(columns).is_some() => {
                Err(Error::new(ErrorKind::Invalid, "`table` and `columns` are those of ShedLock")
                    .hint("add dialect=shedlock"))
            }
            None | Some("native") => Ok(Dialect::Native),
            Some("advisory") => Ok(Dialect::Advisory),
            Some(other) => {
                Err(ParsedUrl::unsupported_dialect(other, "there are `native`, `advisory` and `shedlock`"))
            }
        }
    }

    /// The part of the capability of our own format that this one has.
    pub(crate) fn capability(&self, native: Capability) -> Capability {
        let bare = Capability {
            commits: false,
            permits: 0,
            fifo: false,
            fencing: Fencing::None,
            waiters: false,
            wakes: false,
            notes: false,
            lock_delay: false,
            votes: false,
            ..native.clone()
        };
        match self {
            Dialect::Native => native,
            Dialect::Advisory => advisory::capability(bare),
            Dialect::ShedLock(_) => Capability { shared: false, ..bare },
        }
    }
}
