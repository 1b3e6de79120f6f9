//! [`Bug`]: what is wrong with a broken store.

/// A mistake, and the case that must find it.
macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $bug:ident => $case:literal),+ $(,)?) => {
        /// The defect of a broken store.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Bug {
            /// Nothing.
            None,
            $($(#[doc = $what])+ $bug),+
        }

        /// Every bug, the case that must find it, and what it is.
        pub(crate) const BUGS: &[(Bug, &str, &str)] = &[$((Bug::$bug, $case, concat!($($what),+))),+];
    };
}

bugs! {
    /// release deletes by name, not by claim
    ReleaseIgnoresId => "release::a_foreign_id_releases_nothing",
    /// release only says that it did
    ReleaseDoesNothing => "release::a_release_frees_at_once",
    /// release says Released when there was nothing
    ReleaseAlwaysReleased => "idempotence::a_repeated_release_is_not_held",
    /// release is done later, in the background
    ReleaseLater => "release::a_release_frees_at_once",
    /// a waiter cannot leave the queue
    WaitersCannotLeave => "release::a_release_leaves_the_queue",
    /// a late release ends the lock-delay
    LateReleaseOpens => "lock_delay::a_late_release_does_not_open",
    /// renew makes a hold where there is none
    RenewCreates => "renewal::a_renewal_never_creates",
    /// renew says Renewed without asking
    RenewDoesNothing => "renewal::a_renewed_hold_lives_on",
    /// renew prolongs any holder of the name
    RenewIgnoresId => "renewal::another_id_renews_nothing",
    /// renew sets the shorter ttl
    RenewShortens => "renewal::a_renewal_never_shortens",
    /// the answers of a batch come in another order
    RenewReversed => "renewal::answers_come_one_a_claim_in_order",
    /// renew draws a new token
    RenewGrantsAnew => "renewal::a_renewal_keeps_the_token",
    /// a repeated claim is taken for a new one
    ClaimForgetsItself => "idempotence::a_repeated_claim_is_the_same_grant",
    /// claim looks first and writes then
    CheckThenAct => "exclusion::a_race_has_one_winner",
    /// a refused claim stays in the queue
    HeldLeavesATrace => "exclusion::a_second_claim_is_held_and_leaves_no_trace",
    /// a claim whose caller is gone is still done later
    GhostClaim => "cancellation::a_dropped_claim_is_undone_by_a_release",
    /// writers are let in with readers
    WritersAreReaders => "exclusion::an_exclusive_hold_keeps_readers_out",
    /// readers keep each other out
    ReadersAreWriters => "sharing::readers_hold_together",
    /// permits are counted by holder, not by take
    PermitsCountHolders => "permits::a_take_of_several_needs_that_many",
    /// the number of places is what the last comer says
    MismatchIgnored => "permits::different_limits_never_mix",
    /// the ttl is not kept
    TtlIgnored => "expiry::a_hold_lasts_its_ttl_and_no_longer",
    /// holds end after half of their ttl
    TtlHalved => "expiry::a_hold_lasts_its_ttl_and_no_longer",
    /// valid_for is more than the store keeps
    ValidForOverstated => "expiry::a_grant_says_how_long_it_is_valid",
    /// every grant of a name has the same token
    TokensRepeat => "fencing::tokens_grow_with_every_grant",
    /// no token though the capability promises one
    TokensMissing => "fencing::tokens_grow_with_every_grant",
    /// a repeated claim gets a new token
    TokensGrowOnRepeat => "idempotence::a_repeated_claim_is_the_same_grant",
    /// readers share one token
    ReadersShareAToken => "fencing::holders_together_have_different_tokens",
    /// the counter goes with the lock
    CountersDieWithTheLock => "fencing::counters_outlive_the_lock",
    /// a forced release does not raise the counter
    ForceKeepsTheToken => "fencing::tokens_grow_after_a_forced_release",
    /// the floor is ignored
    FloorIgnored => "fencing::a_floor_lifts_a_new_grant",
    /// the floor lowers the token of a hold
    FloorLowers => "fencing::a_low_floor_changes_nothing",
    /// a proposal lifts a hold
    ProposalIsAFloor => "fencing::a_proposal_is_for_a_new_grant_alone",
    /// the fair queue is not one
    FifoIsBarging => "queue::first_come_first_served",
    /// a waiter stays as it came
    WaitersNeverTurn => "fairness::a_waiter_that_turns_fair_is_overtaken_no_more",
    /// a waiter that fell silent keeps its place for ever
    SilentWaiterStays => "queue::a_silent_waiter_is_skipped",
    /// asking again does not keep the place
    WaitersAreNotRefreshed => "queue::a_waiter_that_asks_keeps_its_place",
    /// the queue is shown the wrong way round
    QueueShownBackwards => "queue::inspect_shows_the_queue_in_order",
    /// a waiting writer keeps no reader out
    WriterHasNoPlace => "barging::readers_do_not_overtake_a_waiting_writer",
    /// news before the first wait is lost
    WakeSubscribesLate => "wakeup::news_before_the_wait_is_not_lost",
    /// nobody is ever woken
    WakeNever => "wakeup::a_release_wakes_the_waiter",
    /// everybody is woken
    WakeHerd => "wakeup::a_hand_over_wakes_only_who_can_run",
    /// only waiters are woken, watchers not
    ChangesUnheard => "wakeup::changes_are_announced",
    /// a wait that was given up takes its news along
    WakeForgetsOnDrop => "wakeup::news_between_two_waits_is_not_lost",
    /// a waiter is told to come back in an hour
    RecheckTooLate => "wakeup::the_recheck_is_enough_without_any_wake",
    /// a waiter is told to come back at once
    RecheckZero => "exclusion::a_refusal_says_who_and_for_how_long",
    /// the refusal names the wrong holder
    WrongHolder => "exclusion::a_refusal_says_who_and_for_how_long",
    /// new waiters wake nobody
    ArrivalsUnheard => "contention::a_holder_hears_of_a_waiter",
    /// waiters are not shown
    WaitersHidden => "contention::a_holder_that_asks_late_hears_of_who_waits_already",
    /// an amendment makes a hold
    AmendCreates => "amend::an_amendment_never_creates",
    /// an upgrade is granted beside other readers
    UpgradeAmongReaders => "amend::an_upgrade_is_granted_only_alone",
    /// a refused upgrade loses the reader's hold
    UpgradeLosesTheHold => "amend::an_upgrade_is_granted_only_alone",
    /// a downgrade is only said to be done
    DowngradeDoesNothing => "amend::a_downgrade_lets_readers_in",
    /// the first note stays
    NoteNeverChanges => "amend::the_note_changes",
    /// every hold ends with its client
    DetachIgnored => "detach::a_detached_hold_outlives_its_client",
    /// no hold ends with its client
    NothingIsBound => "liveness::a_closed_client_frees_its_holds",
    /// close does nothing
    CloseDoesNothing => "liveness::a_closed_client_says_so",
    /// the end of one client ends another
    ClientsShareASession => "liveness::one_client_ends_and_another_lives_on",
    /// the lock-delay is ignored
    LockDelayIgnored => "lock_delay::a_late_release_does_not_open",
    /// force does nothing
    ForceDoesNothing => "force_release::it_frees_at_once_and_says_whom_it_threw_out",
    /// force does not say whom it threw out
    ForceSaysNobody => "force_release::it_frees_at_once_and_says_whom_it_threw_out",
    /// force throws out the queue too
    ForceEvictsTheQueue => "force_release::those_who_wait_stay",
    /// force takes names for prefixes
    ForceTakesPrefixes => "force_release::other_locks_are_not_touched",
    /// who was thrown out is not told
    EvictedNotTold => "force_release::who_was_thrown_out_is_told",
    /// who was thrown out comes back by repeating its claim
    EvictedComesBack => "force_release::who_was_thrown_out_touches_nobody",
    /// every client names the server otherwise
    ServerNamedAnew => "server_info::two_clients_see_one_server",
    /// the calendar stands still
    CalendarStandsStill => "server_info::its_calendar_moves_with_ours",
    /// a grant does not say what is remembered
    GrantForgets => "server_info::a_grant_says_what_is_remembered",
    /// inspect prolongs
    LookingProlongs => "inspect::looking_changes_nothing",
    /// notes are not shown
    NotesHidden => "inspect::a_holder_is_shown_as_it_is",
    /// list finds the prefix anywhere in the name
    ListContains => "list::those_that_begin_so_and_no_others",
    /// list takes the prefix for a pattern
    ListPattern => "list::a_prefix_is_no_pattern",
    /// list has its own order
    ListUnordered => "list::by_name",
    /// list knows no limit
    ListUnlimited => "list::at_most_as_many_as_asked",
    /// list reads one page
    ListOnePage => "list::hundreds_are_all_listed",
    /// names are trimmed
    NamesTrimmed => "names::hostile_names_are_distinct_locks",
    /// names are folded to lower case
    NamesFolded => "names::hostile_names_are_distinct_locks",
    /// names are composed
    NamesComposed => "names::hostile_names_are_distinct_locks",
    /// names end at the first NUL
    NamesEndAtNul => "names::hostile_names_are_distinct_locks",
    /// names are paths
    NamesArePaths => "names::hostile_names_are_distinct_locks",
    /// names are cut at 255 bytes
    NamesCut => "names::the_longest_names_are_distinct",
    /// hash tags: only what is in braces counts
    NamesHashTagged => "names::hostile_names_are_distinct_locks",
    /// a ttl out of range is clamped
    TtlClamped => "limits::a_ttl_out_of_range_is_refused",
    /// a long note is cut
    NoteCut => "limits::a_note_that_is_too_long_is_refused",
    /// who asks for the fourth time is let in
    ContentionGivesIn => "concurrency::no_increment_is_lost",
    /// a lost reply makes the repeat wait for itself
    RepeatIsRefused => "chaos::any_lost_message_of_a_lock_is_cured_by_repeating",
}
