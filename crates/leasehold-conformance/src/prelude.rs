//! The names that the files of cases use.

pub(crate) use std::time::Duration;

pub(crate) use leasehold_core::{
    Binding, Claim, ClaimId, Contender, Env, ErrorKind, FencingToken, Grant, Intent, Interest, LockName,
    LostReason, Mode, Outcome, Queueing, Release, Renewal, Session, SessionState, Snapshot, Stance, Standing,
    Status, Store, Wake,
    engine::{Engine, Hold, LockOptions, Wait},
    layer::{Chaos, Fault, Verb},
};

pub(crate) use crate::{
    CaseResult, Client, Failure, Test,
    case::cases,
    context::{Pair, options},
    drop_after::drop_after,
    outcome::{
        ensure, fails, gone, granted, insist, kept_out, let_go, not_held, queued, refused, renew, renewed,
        same, take, wins,
    },
};
