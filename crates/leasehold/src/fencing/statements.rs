//! SQL for fencing inside of your own transactions: `create` once, `claim` before the first read, `write_guard` before
//! each write, in the very transaction that reads or writes. Each text begins with what it does, its parameters and what
//! its answer means.
//!
//! Those for SQLite and PostgreSQL (9.5 and later) are run by this project's tests. Those for MySQL (8.0.19 and later) are
//! **not**: try them on yours before you rely on them.
//!
//! ```
//! use leasehold::fencing::statements::POSTGRESQL;
//! assert!(POSTGRESQL.claim.contains("INSERT INTO leasehold_fencing"));
//! ```

/// The statements for one database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Statements {
    /// Makes the table.
    pub create: &'static str,
    /// Raises the mark, before the first read.
    pub claim: &'static str,
    /// Admits a write, or not.
    pub write_guard: &'static str,
    /// The mark.
    pub highest: &'static str,
}

macro_rules! statements {
    ($folder:literal) => {
        Statements {
            create: include_str!(concat!("../../sql/fencing/", $folder, "/create.sql")),
            claim: include_str!(concat!("../../sql/fencing/", $folder, "/claim.sql")),
            write_guard: include_str!(concat!("../../sql/fencing/", $folder, "/write_guard.sql")),
            highest: include_str!(concat!("../../sql/fencing/", $folder, "/highest.sql")),
        }
    };
}

/// For SQLite; tested.
pub const SQLITE: Statements = statements!("sqlite");
/// For PostgreSQL; tested.
pub const POSTGRESQL: Statements = statements!("postgresql");
/// For MySQL; not run by this project's tests.
pub const MYSQL: Statements = statements!("mysql");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_says_what_it_does_and_what_it_needs() {
        for (database, tested) in [(SQLITE, true), (POSTGRESQL, true), (MYSQL, false)] {
            let Statements { create, claim, write_guard, highest } = database;
            for (name, text) in
                [("create", create), ("claim", claim), ("write_guard", write_guard), ("highest", highest)]
            {
                assert!(text.starts_with(&format!("-- {name}: ")), "{text}");
                assert!(text.contains("-- Parameters: "), "{text}");
                assert!(text.contains("leasehold_fencing"), "{text}");
                assert_eq!(!text.contains("Not run by Leasehold's own tests"), tested, "{text}");
            }
        }
    }
}
