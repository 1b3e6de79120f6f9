//! Replies of the scripts of `scripts/redisson`.

use std::time::Duration;

use leasehold_core::{
    Busy, Claim, Contender, Error, ErrorKind, FencingToken, Grant, LostReason, Mode, Release, Result,
    Standing,
};
use redis::Value;

use crate::{
    dialect::{
        ClaimReply, RECHECK_MAX,
        foreign::{self, Field},
    },
    format::{read, span, unexpected},
    keys::crc16,
};

pub(super) fn read_claim(claim: &Claim, value: &Value, tracks: bool) -> Result<ClaimReply> {
    let reply: Vec<Value> = read(value, "a reply to a claim")?;
    let mut is_unannounced = false;
    let standing = match &reply[..] {
        [Value::Int(0), token, valid_for] => {
            let valid_for = span(read(valid_for, "milliseconds")?).unwrap_or(claim.ttl);
            Standing::Granted(Grant::lasting(read_token(token)?, valid_for))
        }
        [Value::Int(2), left, ..] => {
            let holders = read_lock(value)?.0;
            if holders.is_empty() {
                return Err(no_lock("hash"));
            }
            // Redisson tells of releases on other channels, and its RSpinLock does not at all.
            is_unannounced = holders.iter().any(|holder| holder.note.is_some());
            // A key that is there when all have gone does not tell that they have.
            let is_sure = tracks && !matches!(claim.mode, Mode::Permits { .. });
            let limit = if is_sure { claim.ttl / 3 } else { RECHECK_MAX };
            let left = span(read(left, "milliseconds")?);
            let recheck_in = left.map_or(limit, |left| (left + Duration::from_millis(1)).min(limit));
            let tag = Contender::tag_of(claim.id);
            let other = holders.iter().position(|holder| holder.tag != tag).unwrap_or(0);
            let holder = holders.into_iter().nth(other);
            Standing::Held(Busy { holder, ahead: None, recheck_in })
        }
        [Value::Int(3), limit] => {
            Standing::Mismatch { limit: read::<String>(limit, "a limit")?.parse().ok() }
        }
        [Value::Int(4)] => Standing::Gone(LostReason::Gone),
        _ => return Err(refusal(&reply)),
    };
    Ok(ClaimReply::Outcome { standing, is_unannounced })
}

/// `None` when nothing has changed, and the script for all claims is to be asked.
pub(super) fn read_claim_quiet(value: &Value, ttl: Duration) -> Result<Option<ClaimReply>> {
    let token: Option<u64> = read(value, "a fencing token")?;
    let granted = |token| {
        let standing = Standing::Granted(Grant::lasting(Some(FencingToken::new(token)?), ttl));
        Ok(ClaimReply::Outcome { standing, is_unannounced: false })
    };
    token.map(granted).transpose()
}

pub(super) fn read_release(value: &Value) -> Result<Release> {
    match read::<i64>(value, "a reply to a release")? {
        0 => return Ok(Release::NotHeld),
        1 => {}
        _ => tracing::warn!(
            "a release wakes nobody: the server refuses to publish it, grant this user &redisson_*"
        ),
    }
    Ok(Release::Released)
}

/// The holders and the counter of a lock or a semaphore.
pub(super) fn read_lock(value: &Value) -> Result<(Vec<Contender>, Option<FencingToken>)> {
    let reply: Vec<Value> = read(value, "a reply of a script")?;
    let [Value::Int(0 | 2), _, holders, counter, total] = &reply[..] else { return Err(refusal(&reply)) };
    let (fields, counter) = (read::<Vec<Field>>(holders, "holders")?, read_token(counter)?);
    let total: Option<u32> = read(total, "a number of permits")?;
    let mut holders = match total {
        Some(of) => of_permits(&fields, of),
        None => foreign::redisson(&fields),
    };
    if let [only] = &mut holders[..]
        && only.note.is_none()
    {
        only.fence = counter;
    }
    Ok((holders, counter))
}

/// The holders of permits: those of one claim follow each other in the order of their ids.
fn of_permits(fields: &[Field], of: u32) -> Vec<Contender> {
    let mut fields: Vec<&Field> = fields.iter().collect();
    fields.sort();
    let chunks = fields.chunk_by(|one, next| begin(&one.0).is_some() && begin(&one.0) == begin(&next.0));
    let holder = |chunk: &[&Field]| {
        let (permit, _, left) = chunk[0];
        let (tag, note) = match begin(permit) {
            Some([a, b, c, d, ..]) => (u32::from_be_bytes([*a, *b, *c, *d]), None),
            _ => {
                let id: String = permit.iter().map(|byte| format!("{byte:02x}")).collect();
                (0, Some(format!("held by Redisson: permit {id}")))
            }
        };
        let take = u32::try_from(chunk.len()).unwrap_or(of);
        foreign::holder(tag, Some(Mode::Permits { take, of }), span(*left), note)
    };
    chunks.map(holder).collect()
}

/// How a permit of ours begins.
fn begin(permit: &[u8]) -> Option<&[u8]> {
    let (part, rest) = permit.split_at_checked(12)?;
    (rest.len() == 4 && rest[..2] == crc16(part).to_be_bytes()).then(|| &permit[..14])
}

/// A counter; Redisson's own begin at 1, and one that is no number is none.
fn read_token(value: &Value) -> Result<Option<FencingToken>> {
    let text: Option<String> = match value {
        Value::ServerError(_) => None,
        value => read(value, "a fencing token")?,
    };
    text.map(|text| text.parse()).transpose()
}

/// The error that a script answers.
fn refusal(reply: &[Value]) -> Error {
    match reply {
        [Value::Int(5), kind] => no_lock(&read::<String>(kind, "a type").unwrap_or_default()),
        [Value::Int(6)] => Error::new(ErrorKind::Exhausted, "the fencing counter has reached 2^53"),
        other => unexpected("a reply of a script", &Value::Array(other.to_vec())),
    }
}

fn no_lock(kind: &str) -> Error {
    Error::new(
        ErrorKind::Mismatch,
        format!("the key of this name holds a {kind}, which is no lock of Redisson"),
    )
    .hint("choose another name, or leave out dialect=redisson for locks that no Java program takes")
}

#[cfg(test)]
mod tests {
    use leasehold_core::{ClaimId, LockName};

    use super::*;
    use crate::dialect::redisson::permits;

    fn bulk(bytes: &[u8]) -> Value {
        Value::BulkString(bytes.to_vec())
    }

    fn held_by(holders: &[(&[u8], &str)], total: Value) -> Value {
        let holder = |(field, count): &(&[u8], &str)| {
            Value::Array(vec![bulk(field), bulk(count.as_bytes()), Value::Int(-1)])
        };
        let holders = Value::Array(holders.iter().map(holder).collect());
        Value::Array(vec![Value::Int(2), Value::Int(-1), holders, Value::Nil, total])
    }

    #[test]
    fn a_hash_that_is_no_lock_is_refused() {
        let name = LockName::new("x").unwrap();
        let claim = Claim::new(name, ClaimId::from_bits(1), Duration::from_secs(1));
        let error = read_claim(&claim, &held_by(&[(b"name", "x")], Value::Nil), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        let held = held_by(&[(b"123e4567-e89b-12d3-a456-426614174000:42", "2")], Value::Nil);
        let ClaimReply::Outcome { standing: Standing::Held(busy), .. } =
            read_claim(&claim, &held, false).unwrap()
        else {
            panic!("it is held");
        };
        assert_eq!(busy.recheck_in, RECHECK_MAX);
        assert!(busy.holder.unwrap().note.unwrap().contains("thread 42"));
    }

    #[test]
    fn the_permits_of_one_claim_are_one_holder() {
        let id = ClaimId::from_bits(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        let permit = |number: u8| [permits(id), vec![0, number]].concat();
        let (first, second, java) = (permit(0), permit(1), [7; 16]);
        let holders = [(&java[..], "1"), (&second[..], "1"), (&first[..], "1")];
        let (holders, _) = read_lock(&held_by(&holders, Value::Int(5))).unwrap();
        let takes: Vec<_> = holders.iter().map(|holder| (holder.tag, holder.mode)).collect();
        let permits = |take| Some(Mode::Permits { take, of: 5 });
        assert_eq!(takes, [(0x0011_2233, permits(2)), (0, permits(1))]);
        assert!(holders[1].note.as_ref().unwrap().ends_with(&"07".repeat(16)));
    }
}
