//! Clocks of members that jump.

use std::time::Duration;

use leasehold_core::FencingToken;

use crate::{
    common,
    fixture::{eventually, lock, loss, name, run, ttl},
    members::VotingServers,
    textbook::Textbook,
};

const LONGEST: Duration = Duration::from_secs(60);

/// A resource that remembers the highest token that it has seen.
#[derive(Default)]
struct Ledger {
    mark: Option<FencingToken>,
    written: Vec<FencingToken>,
}

impl Ledger {
    /// Presents a token on first access.
    fn claim(&mut self, token: FencingToken) -> bool {
        let is_fresh = self.mark.is_none_or(|mark| token >= mark);
        self.mark = self.mark.max(Some(token));
        is_fresh
    }

    fn write(&mut self, token: FencingToken) -> bool {
        let is_fresh = self.mark.is_none_or(|mark| token >= mark);
        if is_fresh {
            self.written.push(token);
        }
        is_fresh
    }
}

/// Kleppmann's case: A holds C, whose clock jumps; with it, those that A does not reach are a majority for B. Both hold: that
/// cannot be prevented from outside. But A's late write is refused, A is told, and the jump is reported.
#[test]
fn a_jump_makes_two_holders_and_the_resource_refuses_the_first() {
    run(async {
        let (env, voters) =
            (common::env(), VotingServers::start_as(3, LONGEST, |builder| builder.clock_shim()).await);
        let (one, two) = (voters.engine(), voters.engine());
        for engine in [&one, &two] {
            lock(engine, "warm", &ttl(15_000)).await.release().await.unwrap();
        }
        let mut ledger = Ledger::default();
        voters.servers[2].kill();
        let first = lock(&one, "x", &ttl(15_000)).await;
        let early = first.lease().fencing_token().unwrap();
        assert!(ledger.claim(early));
        // The one that A does not reach is new, and was promoted; that is a way to have two of three.
        voters.servers[2].restart().unwrap();
        voters.member(2).promote().await.unwrap();
        voters.servers[1].jump_clock(20.0).unwrap();
        let second = lock(&two, "x", &ttl(15_000)).await;
        assert!(first.lease().check().is_ok(), "two valid guards: the violation that SAFETY.md lists");
        let late = second.lease().fencing_token().unwrap();
        assert!(late > early);
        assert!(ledger.claim(late) && ledger.write(late));
        assert!(!ledger.write(early), "the late write of the first is refused");
        assert_eq!(ledger.written, [late], "nothing is lost");
        loss(&env, &first).await;
        // A client that has seen the member before reports the jump, and does not count it for a while.
        eventually(&env, "the jump is reported", || async {
            let members = one.inspect(&name("x")).await.unwrap().members;
            members[1].state.contains("its clock jumped") && !members[1].votes
        })
        .await;
    });
    // The control: two holders, and nothing that a resource could refuse the first by.
    run(async {
        let voters = VotingServers::start_as(3, LONGEST, |builder| builder.clock_shim()).await;
        assert!(Textbook::at(&voters.addresses(), &[0, 1]).lock("x", "one", 15_000));
        voters.servers[1].jump_clock(20.0).unwrap();
        assert!(
            Textbook::at(&voters.addresses(), &[1, 2]).lock("x", "two", 15_000),
            "the control: a second holder"
        );
        let still = voters.servers[0].command(&["EXISTS", "x"]).unwrap().int();
        assert_eq!(still, Some(1), "the first has not ended");
    });
}

/// One of three whose clock jumps while all hold: the others confirm, and it is repaired.
#[test]
fn a_jump_of_one_member_is_repaired() {
    run(async {
        let (env, voters) =
            (common::env(), VotingServers::start_as(3, LONGEST, |builder| builder.clock_shim()).await);
        let engine = voters.engine();
        let hold = lock(&engine, "x", &ttl(3_000)).await;
        eventually(&env, "all have it", || async { voters.keys("x") == 3 }).await;
        voters.servers[0].jump_clock(20.0).unwrap();
        eventually(&env, "it has it again", || async { voters.keys("x") == 3 }).await;
        hold.lease().check().unwrap();
        hold.release().await.unwrap();
        // The control has one member less from now on, and would be without the lock after one more jump.
        assert!(Textbook::at(&voters.addresses(), &[0, 1, 2]).lock("control", "one", 10_000));
        voters.servers[0].jump_clock(20.0).unwrap();
        assert_eq!(voters.keys("control"), 2, "the control: not repaired");
    });
}
