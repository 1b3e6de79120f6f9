//! Errors of the server and of the connection: their kind, whether the request was applied, and what to do.

use std::error::Error as StdError;

use leasehold_core::{Error, ErrorKind};
use tokio_postgres::{Row, types::FromSql};

/// For a server that takes no writes.
const READ_ONLY: &str = "it is a standby (name the others in the URL as well, with target_session_attrs=read-write), \
    or default_transaction_read_only is on for this user or database";

/// The class of a failed request, by what becomes of it and of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// Refused; the connection serves on.
    Refused,
    /// Given up for another transaction; the same request may pass now.
    Again,
    /// Refused, for the statement has lost its name: without it it may pass.
    Nameless,
    /// Not applied, and this server will not do any more.
    Elsewhere,
    /// The outcome is unknown, and the connection has ended.
    Lost,
}

pub(crate) fn failure(error: &tokio_postgres::Error) -> Failure {
    match error.code().map(|code| classify(code.code()).0) {
        Some(failure) => failure,
        None if error.is_closed() || innermost(error).is::<std::io::Error>() => Failure::Lost,
        None => Failure::Refused,
    }
}

/// The error for a failure, with a hint.
pub(crate) fn explain(error: &tokio_postgres::Error) -> Error {
    if let Some(answer) = error.as_db_error() {
        return answered(answer.code().code(), answer.message());
    }
    let text = innermost(error).to_string();
    let hint = match &*text {
        "password missing" => {
            "put a password into the URL, PGPASSWORD or ~/.pgpass, or add password_file=PATH"
        }
        "database does not allow writes" => READ_ONLY,
        "server does not support TLS" => "set ssl = on there, or sslmode=disable on a trusted network",
        _ => "is the server running, and is the address right?",
    };
    match failure(error) {
        Failure::Lost => Error::new(ErrorKind::Unreachable, text).hint(hint).unknown(),
        _ => Error::new(ErrorKind::Rejected, text).hint(hint),
    }
}

/// The error for an answer of the server: its SQLSTATE and its message.
pub(crate) fn answered(code: &str, message: &str) -> Error {
    let (failure, kind, hint) = classify(code);
    let told = Error::new(kind, format!("{message} ({code})")).hint(hint);
    if failure == Failure::Lost { told.unknown() } else { told }
}

pub(crate) fn innermost(error: &tokio_postgres::Error) -> &(dyn StdError + 'static) {
    let mut innermost: &(dyn StdError + 'static) = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

fn classify(code: &str) -> (Failure, ErrorKind, &'static str) {
    use ErrorKind::{Corrupt, Exhausted, Rejected, Stale, TimedOut, Unreachable};
    use Failure::{Again, Elsewhere, Lost, Nameless, Refused};
    const LOG: &str = "see the server's log";
    match code {
        "40001" | "40P01" => (Again, TimedOut, "other transactions change the same row: repeat it"),
        "LH001" => (Refused, Stale, "roll back, and stop the work of this holder"),
        "26000" | "0A000" => (Nameless, Rejected, LOG),
        "40003" => (Lost, Unreachable, "repeat the claim by its id"),
        "55P03" => (
            Refused,
            TimedOut,
            "a session keeps the row of this lock: is its backend stopped, or a transaction left open?",
        ),
        "57014" => (Refused, TimedOut, "statement_timeout is too short, or the server is overloaded"),
        "57P03" => (Elsewhere, Unreachable, "the server starts or recovers: wait for it"),
        "25006" => (Elsewhere, Unreachable, READ_ONLY),
        "57P01" | "57P02" | "57P05" | "25P03" => {
            (Lost, Unreachable, "the server has ended this session: repeat the claim by its id")
        }
        "53100" => (Refused, Exhausted, "free space on the disk of the server"),
        "53300" => {
            (Elsewhere, Exhausted, "raise max_connections, or use a pooler; a client has two connections")
        }
        "42501" => {
            (Refused, Rejected, "GRANT USAGE ON SCHEMA leasehold, and SELECT, INSERT, UPDATE ON its tables")
        }
        "42P01" | "42883" | "42704" | "3F000" => {
            (Refused, Corrupt, "the schema is damaged: run what `leasehold stores --sql postgres` prints")
        }
        "3D000" => (Elsewhere, Rejected, "the database does not exist: createdb makes it"),
        _ => match &code[..2.min(code.len())] {
            "08" => (Lost, Unreachable, "repeat the claim by its id"),
            "28" => (Elsewhere, Rejected, "user and password are wrong, or pg_hba.conf does not admit them"),
            "53" | "54" => (Refused, Exhausted, LOG),
            "58" => (Refused, Unreachable, LOG),
            "XX" => (Refused, Corrupt, LOG),
            _ => (Refused, Rejected, LOG),
        },
    }
}

pub(crate) fn column<'r, T: FromSql<'r>>(row: &'r Row, at: usize) -> Result<T, Error> {
    row.try_get(at).map_err(|source| {
        Error::new(ErrorKind::Corrupt, format!("an answer of the server: {source}"))
            .hint("the schema is damaged: run what `leasehold stores --sql postgres` prints")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_kind_and_says_whether_it_may_have_been_applied() {
        for (code, expected) in [
            ("40001", (Failure::Again, ErrorKind::TimedOut)),
            ("57P01", (Failure::Lost, ErrorKind::Unreachable)),
            ("08006", (Failure::Lost, ErrorKind::Unreachable)),
            ("25006", (Failure::Elsewhere, ErrorKind::Unreachable)),
            ("28P01", (Failure::Elsewhere, ErrorKind::Rejected)),
            ("53100", (Failure::Refused, ErrorKind::Exhausted)),
            ("42501", (Failure::Refused, ErrorKind::Rejected)),
            ("XX001", (Failure::Refused, ErrorKind::Corrupt)),
            ("1", (Failure::Refused, ErrorKind::Rejected)),
        ] {
            let (failure, kind, hint) = classify(code);
            assert_eq!((failure, kind), expected, "{code}");
            assert!(!hint.is_empty());
        }
    }
}
