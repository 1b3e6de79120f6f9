//! The schema, and the statements, each in a file of its own, with the types of its arguments.
//!
//! They are sent unnamed, but for those of [`Named`](crate::named::Named).

use std::borrow::Cow;

use tokio_postgres::types::Type;

macro_rules! schema {
    [$($file:literal),*] => {
        concat!($(include_str!(concat!("../sql/schema/", $file, ".sql")), "\n"),*)
    };
}

/// The script that makes the schema. It may be run again.
pub const SCHEMA: &str =
    schema!["01_tables", "02_rules", "03_claim", "04_renew", "05_release", "06_check_in", "07_member"];

/// A statement.
pub(crate) struct Sql {
    pub(crate) text: Cow<'static, str>,
    pub(crate) types: &'static [Type],
}

macro_rules! statements {
    ($($name:ident = $file:literal: [$($kind:ident),*];)*) => {
        $(pub(crate) static $name: Sql =
            Sql { text: Cow::Borrowed(include_str!(concat!("../sql/", $file, ".sql"))), types: &[$(Type::$kind),*] };)*
    };
}

statements! {
    CLAIM = "call/claim": [BYTEA, BYTEA, INT2, INT8, INT8, INT2, BOOL, INT8, INT8, INT8, INT8, INT8, BYTEA, BOOL];
    RENEW = "call/renew": [BYTEA_ARRAY, BYTEA_ARRAY, INT8_ARRAY, BOOL];
    RELEASE = "call/release": [BYTEA, BYTEA, INT8];
    FORCE_RELEASE = "call/force_release": [BYTEA];
    INSPECT = "call/inspect": [BYTEA];
    LIST = "call/list": [BYTEA, BYTEA, INT8];
    WATCH = "call/watch": [BYTEA_ARRAY];
    PROBE = "call/probe": [TEXT];
    CHECK_IN = "call/check_in": [BYTEA, INT8];
    DOCTOR = "call/doctor": [TEXT];
    REMEMBERS = "call/remembers": [];
    PROMOTE = "call/promote": [];
    SERVER = "call/server": [];
    VERSION = "call/version": [];
    SHEDLOCK_CLAIM = "shedlock/claim": [TEXT, TEXT, INT8];
    SHEDLOCK_RENEW = "shedlock/renew": [TEXT_ARRAY, TEXT_ARRAY, INT8_ARRAY];
    SHEDLOCK_RELEASE = "shedlock/release": [TEXT, TEXT];
    SHEDLOCK_FORCE_RELEASE = "shedlock/force_release": [TEXT];
    SHEDLOCK_LIST = "shedlock/list": [TEXT, BOOL];
    ADVISORY_SESSION = "advisory/session": [];
    ADVISORY_CLAIM = "advisory/claim": [INT8, INT2, BOOL, TEXT, TEXT];
    ADVISORY_CONVERT = "advisory/convert": [INT8, INT2, BOOL, TEXT];
    ADVISORY_RENEW = "advisory/renew": [TEXT];
    ADVISORY_RELEASE = "advisory/release": [];
    ADVISORY_HOLDERS = "advisory/holders": [INT8, INT2];
    ADVISORY_TERMINATE = "advisory/terminate": [INT8, INT2, TEXT, INT8];
}
