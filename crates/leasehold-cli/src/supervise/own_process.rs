//! The marks by which processes of leasehold and of a run are recognised.

/// First argument of the guardian, a hidden mode.
pub(crate) const GUARDIAN_MODE: &str = "__guard";
/// Variable in the environment of the command, by which processes that left its group are found.
pub(crate) const RUN_ID: &str = "LEASEHOLD_RUN_ID";
