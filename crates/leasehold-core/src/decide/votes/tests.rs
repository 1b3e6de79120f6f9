//! Tables and properties of [`votes`](super).

use proptest::prelude::*;

use super::*;

const SPAN: Duration = Duration::from_secs(10);

fn fence(number: u64) -> Option<FencingToken> {
    Some(FencingToken::new(number).unwrap())
}

fn granted(number: u64) -> Vote {
    Vote::For { counts: true, fence: fence(number), valid_for: SPAN }
}

fn without_a_vote(number: u64) -> Vote {
    Vote::For { counts: false, fence: fence(number), valid_for: SPAN }
}

fn won(number: u64) -> Decision {
    Decision::Granted { fence: fence(number), valid_for: SPAN }
}

fn raise(number: u64, members: &[usize]) -> Decision {
    Decision::Raise { to: fence(number).unwrap(), members: members.to_vec() }
}

#[test]
fn a_majority_of_those_configured_decides() {
    use Vote::{Against, Open, Silent};
    let table: &[(&[Vote], Decision)] = &[
        (&[granted(5), granted(5), Open], won(5)),
        (&[granted(5), Open, Open], Decision::Open),
        (&[granted(5), Against, Open], Decision::Open),
        (&[granted(5), Against, Against], Decision::Contended),
        // One for and one against, and the third is down: somebody may try again, nobody has won.
        (&[granted(5), Against, Silent], Decision::Contended),
        (&[Against, Against, Open], Decision::Contended),
        (&[granted(5), Silent, Silent], Decision::NoQuorum),
        (&[Against, Silent, Silent], Decision::NoQuorum),
        (&[Silent, Silent, Open], Decision::NoQuorum),
        (&[Silent, Silent, Silent], Decision::NoQuorum),
        // Five, two of which hang.
        (&[granted(5), granted(5), granted(5), Open, Open], won(5)),
        (&[granted(5), granted(5), Against, Open, Open], Decision::Open),
        (&[Against, Silent, Silent, Open, Open], Decision::Open),
        (&[Silent, Silent, Silent, Open, Open], Decision::NoQuorum),
        // An even number is refused when a quorum is made; were it not, two of four are no majority.
        (&[granted(5), granted(5), Against, Against], Decision::Contended),
    ];
    for (votes, expected) in table {
        assert_eq!(claimed(votes), *expected, "{votes:?}");
    }
}

#[test]
fn a_member_without_a_vote_does_not_count() {
    use Vote::{Open, Silent};
    assert_eq!(claimed(&[granted(5), without_a_vote(5), Open]), Decision::Open);
    assert_eq!(claimed(&[granted(5), without_a_vote(5), Silent]), Decision::NoQuorum);
    assert_eq!(claimed(&[granted(5), without_a_vote(5), granted(5)]), won(5));
    // Its token has a say, so that none is granted twice.
    assert_eq!(claimed(&[granted(5), without_a_vote(9), granted(5)]), raise(9, &[0, 2]));
}

#[test]
fn the_largest_token_is_raised_to_before_it_counts() {
    use Vote::{Open, Silent};
    assert_eq!(claimed(&[granted(6), granted(1), Open]), raise(6, &[1]));
    assert_eq!(claimed(&[granted(6), Open, Open]), Decision::Open);
    assert_eq!(claimed(&[granted(6), granted(6), granted(1)]), won(6));
    assert_eq!(claimed(&[granted(6), granted(8), granted(6)]), raise(8, &[0, 2]));
    // What is answered above is taken over.
    assert_eq!(claimed(&[granted(8), granted(9), Open]), raise(9, &[0]));
    assert_eq!(claimed(&[granted(6), Silent, Silent]), Decision::NoQuorum);
}

#[test]
fn without_tokens_grants_alone_decide() {
    let plain = Vote::For { counts: true, fence: None, valid_for: SPAN };
    assert_eq!(claimed(&[plain, plain, Vote::Open]), Decision::Granted { fence: None, valid_for: SPAN });
}

#[test]
fn a_spent_id_is_gone_when_no_majority_is_left() {
    let gone = Vote::Gone(LostReason::Gone);
    let forced = Vote::Gone(LostReason::ForceReleased);
    assert_eq!(claimed(&[gone, forced, Vote::Open]), Decision::Gone(LostReason::ForceReleased));
    assert_eq!(claimed(&[gone, granted(1), granted(1)]), won(1));
    assert_eq!(claimed(&[gone, Vote::Silent, Vote::Open]), Decision::Open);
    assert_eq!(claimed(&[gone, Vote::Silent, Vote::Silent]), Decision::NoQuorum);
}

#[test]
fn a_renewal_counts_the_shortest_of_a_majority() {
    use RenewalVote::{Gone, Kept, Open, Silent};
    let (long, short) = (Duration::from_secs(9), Duration::from_secs(3));
    let gone = Gone(LostReason::Gone);
    assert_eq!(renewed(&[Kept(long), Kept(short), Open]), Renewed::Kept(short));
    assert_eq!(renewed(&[Kept(long), Kept(short), Kept(long)]), Renewed::Kept(long));
    assert_eq!(renewed(&[Kept(long), gone, Open]), Renewed::Open);
    assert_eq!(renewed(&[Kept(long), gone, gone]), Renewed::Gone(LostReason::Gone));
    assert_eq!(renewed(&[gone, Silent, Silent]), Renewed::NoQuorum);
    assert_eq!(renewed(&[gone, gone, Silent]), Renewed::Gone(LostReason::Gone));
}

#[test]
fn the_token_of_the_last_completed_grant_is_never_below_what_is_answered() {
    assert_eq!(completed(vec![fence(5), fence(5), fence(9)], 3), fence(5));
    assert_eq!(completed(vec![fence(5), fence(9)], 3), fence(9));
    assert_eq!(completed(vec![fence(5), None, None], 3), None);
    assert_eq!(completed(Vec::new(), 3), None);
}

fn votes() -> impl Strategy<Value = Vec<Vote>> {
    let vote = prop_oneof![
        Just(Vote::Open),
        (any::<bool>(), 1u64..5, 1u64..100).prop_map(|(counts, number, ms)| Vote::For {
            counts,
            fence: fence(number),
            valid_for: Duration::from_millis(ms),
        }),
        Just(Vote::Against),
        Just(Vote::Gone(LostReason::Gone)),
        Just(Vote::Silent),
    ];
    prop_oneof![proptest::collection::vec(vote.clone(), 3), proptest::collection::vec(vote, 5)]
}

proptest! {
    #[test]
    fn a_grant_has_a_majority_behind_its_token_and_its_time(votes in votes()) {
        if let Decision::Granted { fence, valid_for } = claimed(&votes) {
            let behind = votes.iter().filter(|vote| matches!(vote,
                Vote::For { counts: true, fence: theirs, valid_for: span } if *theirs == fence && *span >= valid_for));
            prop_assert!(behind.count() >= majority(votes.len()));
        }
    }

    #[test]
    fn a_decision_is_reached_when_nothing_is_open(votes in votes()) {
        if !votes.contains(&Vote::Open) {
            prop_assert!(claimed(&votes) != Decision::Open);
        }
    }

    #[test]
    fn what_is_decided_against_cannot_be_won_any_more(votes in votes()) {
        if matches!(claimed(&votes), Decision::Contended | Decision::NoQuorum) {
            let best: Vec<Vote> = votes.iter()
                .map(|vote| if *vote == Vote::Open { granted(1) } else { *vote }).collect();
            let won = matches!(claimed(&best), Decision::Granted { .. } | Decision::Raise { .. });
            prop_assert!(!won);
        }
    }

    #[test]
    fn raising_ends(votes in votes()) {
        let mut votes = votes;
        for _ in 0..2 {
            let Decision::Raise { to, members } = claimed(&votes) else { break };
            for at in members {
                if let Vote::For { fence, .. } = &mut votes[at] {
                    *fence = Some(to);
                }
            }
        }
        let raises = matches!(claimed(&votes), Decision::Raise { .. });
        prop_assert!(!raises);
    }
}
