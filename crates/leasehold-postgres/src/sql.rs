//! The schema, and the statements, each in a file of its own, with the types of its arguments.
//!
//! They are sent unnamed: behind a pooler a named statement may be another client's.

use std::borrow::Cow;

use tokio_postgres::types::Type;

/// The script that makes the schema. It may be run again.
pub const SCHEMA: &str = concat!(
    include_str!("../sql/schema/01_tables.sql"),
    "\n",
    include_str!("../sql/schema/02_rules.sql"),
    "\n",
    include_str!("../sql/schema/03_claim.sql"),
    "\n",
    include_str!("../sql/schema/04_renew.sql"),
    "\n",
    include_str!("../sql/schema/05_release.sql"),
    "\n",
    include_str!("../sql/schema/06_check_in.sql"),
);

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
    CLAIM = "call/claim": [BYTEA, BYTEA, INT2, INT8, INT8, INT2, BOOL, INT8, INT8, INT8, INT8, INT8, BYTEA];
    RENEW = "call/renew": [BYTEA_ARRAY, BYTEA_ARRAY, INT8_ARRAY];
    RELEASE = "call/release": [BYTEA, BYTEA, INT8];
    FORCE_RELEASE = "call/force_release": [BYTEA];
    INSPECT = "call/inspect": [BYTEA];
    LIST = "call/list": [BYTEA, BYTEA, INT8];
    WATCH = "call/watch": [BYTEA_ARRAY];
    CHANNEL = "call/channel": [BYTEA];
    PROBE = "call/probe": [TEXT];
    CHECK_IN = "call/check_in": [BYTEA, INT8];
    DOCTOR = "call/doctor": [TEXT];
    SERVER = "call/server": [];
    VERSION = "call/version": [];
    ADVISORY_SESSION = "advisory/session": [];
    ADVISORY_CLAIM = "advisory/claim": [INT8, INT2, BOOL, TEXT, TEXT];
    ADVISORY_CONVERT = "advisory/convert": [INT8, INT2, BOOL, TEXT];
    ADVISORY_RENEW = "advisory/renew": [TEXT];
    ADVISORY_RELEASE = "advisory/release": [];
    ADVISORY_HOLDERS = "advisory/holders": [INT8, INT2];
    ADVISORY_TERMINATE = "advisory/terminate": [INT8, INT2, TEXT, INT8];
}
