//! The subcommands: one file each.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod elect;
pub(crate) mod force_release;
pub(crate) mod hold;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod release;
pub(crate) mod run;
pub(crate) mod stores;
pub(crate) mod vouch;
