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
            Sql { text: Cow::Borrowed(include_str!(concat!("../sql/call/", $file, ".sql"))), types: &[$(Type::$kind),*] };)*
    };
}

statements! {
    CLAIM = "claim": [BYTEA, BYTEA, INT2, INT8, INT8, INT2, BOOL, INT8, INT8, INT8, INT8, INT8, BYTEA];
    RENEW = "renew": [BYTEA_ARRAY, BYTEA_ARRAY, INT8_ARRAY];
    RELEASE = "release": [BYTEA, BYTEA, INT8];
    FORCE_RELEASE = "force_release": [BYTEA];
    INSPECT = "inspect": [BYTEA];
    LIST = "list": [BYTEA, BYTEA, INT8];
    WATCH = "watch": [BYTEA_ARRAY];
    CHANNEL = "channel": [BYTEA];
    PROBE = "probe": [TEXT];
    CHECK_IN = "check_in": [BYTEA, INT8];
    DOCTOR = "doctor": [TEXT];
    SERVER = "server": [];
    VERSION = "version": [];
}
