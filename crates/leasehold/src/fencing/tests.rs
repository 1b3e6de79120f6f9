use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

fn token(number: u64) -> FencingToken {
    FencingToken::new(number).unwrap()
}

/// Two holders add to one counter. The old one is paused between its read and its write; the new one reads before
/// the old one wakes, and writes after it. `claim` is what the new one does before it reads.
fn read_modify_write(claim: impl FnOnce(&HighWaterMark, FencingToken)) -> (i64, i64) {
    let (gate, counter) = (HighWaterMark::new(), AtomicI64::new(0));
    let (old, new) = (token(41), token(42));
    let mut acknowledged = 0;
    let mut write = |token, value| {
        if gate.write(token, || counter.store(value, Ordering::Release)).is_ok() {
            acknowledged += 1;
        }
    };
    gate.claim(old).unwrap();
    let read_by_old = counter.load(Ordering::Acquire);
    // The lease of `old` ends here; `new` is granted the lock.
    claim(&gate, new);
    let read_by_new = counter.load(Ordering::Acquire);
    write(old, read_by_old + 1);
    write(new, read_by_new + 1);
    (acknowledged, counter.load(Ordering::Acquire))
}

#[test]
fn c3_a_token_that_is_checked_on_the_write_alone_loses_an_update() {
    let (acknowledged, counted) = read_modify_write(|_, _| {});
    assert_eq!(
        (acknowledged, counted),
        (2, 1),
        "the negative control: two were acknowledged and one is there"
    );
}

#[test]
fn c3_a_token_that_is_claimed_before_the_read_loses_none() {
    let (acknowledged, counted) = read_modify_write(|gate, token| gate.claim(token).unwrap());
    assert_eq!((acknowledged, counted), (1, 1), "the stale write was refused");
}

#[test]
fn a_gate_refuses_lower_tokens_and_says_which_was_there() {
    let gate = HighWaterMark::from_highest(token(7));
    assert_eq!(gate.admit(token(6)), Err(Stale { presented: token(6), highest: token(7) }));
    gate.admit(token(7)).unwrap();
    gate.claim(token(9)).unwrap();
    assert_eq!(gate.highest(), Some(token(9)));
    let error = Error::from(gate.claim(token(8)).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert!(error.to_string().contains("8 is stale: 9 was here"), "{error}");
}

#[test]
fn gates_keep_resources_apart() {
    let gates = HighWaterMarks::new();
    gates.claim("a", token(9)).unwrap();
    gates.claim("b", token(3)).unwrap();
    assert!(gates.admit("a", token(8)).is_err());
    gates.admit("b", token(3)).unwrap();
}

#[test]
fn a_panic_inside_of_a_write_leaves_the_gate_in_order() {
    let gate = HighWaterMark::new();
    let panic = std::panic::AssertUnwindSafe(|| gate.write(token(2), || panic!("on purpose")));
    std::panic::catch_unwind(panic).unwrap_err();
    assert!(gate.claim(token(1)).is_err());
}

#[cfg(feature = "rusqlite")]
mod sql {
    use rusqlite::Connection;

    use super::*;
    use crate::fencing::sqlite::SqlHighWaterMark;

    fn ledger() -> Connection {
        let ledger = Connection::open_in_memory().unwrap();
        SqlHighWaterMark::create(&ledger).unwrap();
        SqlHighWaterMark::create(&ledger).unwrap();
        ledger.execute_batch("CREATE TABLE counter (value INTEGER); INSERT INTO counter VALUES (0)").unwrap();
        ledger
    }

    fn read(ledger: &Connection) -> i64 {
        ledger.query_row("SELECT value FROM counter", [], |row| row.get(0)).unwrap()
    }

    fn write(ledger: &mut Connection, token: FencingToken, value: i64) -> leasehold_core::Result<()> {
        let transaction = ledger.transaction().unwrap();
        SqlHighWaterMark::admit(&transaction, "counter", token)?;
        transaction.execute("UPDATE counter SET value = ?1", [value]).unwrap();
        transaction.commit().unwrap();
        Ok(())
    }

    fn read_modify_write(claims: bool) -> (bool, i64) {
        let mut ledger = ledger();
        let (old, new) = (token(41), token(42));
        let claim = |ledger: &mut Connection, token| {
            let transaction = ledger.transaction().unwrap();
            SqlHighWaterMark::claim(&transaction, "counter", token).unwrap();
            let value = read(&transaction);
            transaction.commit().unwrap();
            value
        };
        let read_by_old = claim(&mut ledger, old);
        let read_by_new = if claims { claim(&mut ledger, new) } else { read(&ledger) };
        let late_write = write(&mut ledger, old, read_by_old + 1);
        write(&mut ledger, new, read_by_new + 1).unwrap();
        (late_write.is_ok(), read(&ledger))
    }

    #[test]
    fn c3_in_sql_the_update_is_lost_without_the_claim_and_refused_with_it() {
        assert_eq!(read_modify_write(false), (true, 1), "the negative control");
        assert_eq!(read_modify_write(true), (false, 1));
    }

    #[test]
    fn a_refused_write_names_both_tokens_and_changes_nothing() {
        let mut ledger = ledger();
        let transaction = ledger.transaction().unwrap();
        SqlHighWaterMark::claim(&transaction, "counter", token(42)).unwrap();
        transaction.commit().unwrap();
        let error = write(&mut ledger, token(41), 9).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale);
        assert!(error.to_string().contains("41 is stale: 42"), "{error}");
        assert_eq!(read(&ledger), 0);
    }

    #[test]
    fn a_claim_that_is_rolled_back_has_not_happened() {
        let mut ledger = ledger();
        let transaction = ledger.transaction().unwrap();
        SqlHighWaterMark::claim(&transaction, "counter", token(42)).unwrap();
        drop(transaction);
        assert_eq!(write(&mut ledger, token(41), 1).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn a_check_that_would_not_commit_with_the_write_is_refused() {
        let ledger = ledger();
        let error = SqlHighWaterMark::claim(&ledger, "counter", token(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsafe);
    }
}
