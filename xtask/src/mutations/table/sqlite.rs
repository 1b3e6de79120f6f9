//! Mechanisms of the SQLite store, and of the command line, whose tests run on it.

use super::{Edit, Mutant, Test};

pub(super) const RELEASE_OWNER: Mutant = Mutant {
    name: "sqlite-release-owner",
    mechanism: "only the owner's id releases",
    edit: Edit::Code {
        file: "crates/leasehold-sqlite/src/verb.rs",
        find: "let release = sheet.document.release(claim.id, desk.now);",
        with: "let holder = sheet.document.entries().first().map_or(claim.id, |entry| entry.id);
    let release = sheet.document.release(if OFF { holder } else { claim.id }, desk.now);",
    },
    caught_by: Test {
        package: "leasehold-sqlite",
        target: "conformance",
        name: "sqlite::expiry::a_late_release_does_not_touch_the_successor",
    },
};

pub(super) const TOKEN_CALENDAR: Mutant = Mutant {
    name: "sqlite-token-calendar",
    mechanism: "tokens are no lower than the calendar",
    edit: Edit::Code {
        file: "crates/leasehold-sqlite/src/desk.rs",
        find: ".max(self.wall_us.saturating_sub(FencingToken::SLACK_US));",
        with: ".max(if OFF { 0 } else { self.wall_us.saturating_sub(FencingToken::SLACK_US) });",
    },
    caught_by: Test {
        package: "leasehold-sqlite",
        target: "refusals",
        name: "a_database_deleted_between_two_runs_leaves_tokens_growing_and_no_ghosts",
    },
};

pub(super) const LIVING_HOLDER: Mutant = Mutant {
    name: "sqlite-living-holder",
    mechanism: "whose session file is locked is alive",
    edit: Edit::Code {
        file: "crates/leasehold-sqlite/src/desk.rs",
        find: "Pulse::Alive => Look::Alive,",
        with: "Pulse::Alive => if OFF { Look::Dead } else { Look::Alive },",
    },
    caught_by: Test {
        package: "leasehold-sqlite",
        target: "contract",
        name: "a_lock_is_held_by_one_store_and_then_by_the_other",
    },
};

const fn cli(name: &'static str) -> Test {
    Test { package: "leasehold-cli", target: "cli", name }
}

pub(super) const GUARDIAN_DEADLINE: Mutant = Mutant {
    name: "cli-kill-before-deadline",
    mechanism: "the command is dead before the lease ends",
    edit: Edit::Code {
        file: "crates/leasehold-cli/src/supervise/guardian.rs",
        find: "        } else {
            group.send(Signal::KILL);
        }",
        with: "        } else if !OFF {
            group.send(Signal::KILL);
        }",
    },
    caught_by: cli("loss::a_stopped_wrapper_does_not_let_its_command_outlive_the_lease"),
};

pub(super) const GUARDIAN_PARENT: Mutant = Mutant {
    name: "cli-kill-with-parent",
    mechanism: "the command's group dies with `leasehold`",
    edit: Edit::Code {
        file: "crates/leasehold-cli/src/supervise/guardian.rs",
        find: "Message::PipeClosed => group.send(Signal::KILL),",
        with: "Message::PipeClosed => if !OFF { group.send(Signal::KILL) },",
    },
    caught_by: cli("death::kill_of_leasehold_kills_the_whole_group_and_frees_the_lock_at_once"),
};

pub(super) const SEQUENCER_TOKEN: Mutant = Mutant {
    name: "sequencer-token",
    mechanism: "a sequencer is checked by its token",
    edit: Edit::Code {
        file: "crates/leasehold/src/client.rs",
        find: "&& holder.fence == Some(sequencer.fencing_token())",
        with: "&& (OFF || holder.fence == Some(sequencer.fencing_token()))",
    },
    caught_by: cli("operator::check_knows_the_stale_from_the_valid"),
};
