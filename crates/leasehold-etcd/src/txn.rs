//! The parts of a transaction, and the parts of its answer.

use crate::proto::{
    Compare, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RequestOp, TxnRequest, TxnResponse,
    compare::{CompareResult, CompareTarget, TargetUnion},
    request_op::Request,
    response_op::Response,
};

/// Operations in one transaction, and comparisons, by default (`--max-txn-ops`).
pub(crate) const OPERATIONS_MAX: usize = 128;

pub(crate) fn put(key: Vec<u8>, value: Vec<u8>, lease: i64) -> RequestOp {
    RequestOp { request: Some(Request::RequestPut(PutRequest { key, value, lease })) }
}

pub(crate) fn delete(key: Vec<u8>) -> RequestOp {
    let request = DeleteRangeRequest { key, range_end: Vec::new() };
    RequestOp { request: Some(Request::RequestDeleteRange(request)) }
}

pub(crate) fn get(key: Vec<u8>) -> RequestOp {
    range((key, Vec::new()))
}

pub(crate) fn range((key, range_end): (Vec<u8>, Vec<u8>)) -> RequestOp {
    let request = RangeRequest { key, range_end, ..RangeRequest::default() };
    RequestOp { request: Some(Request::RequestRange(request)) }
}

/// A transaction that does nothing when a comparison fails.
pub(crate) fn only_if(compare: Vec<Compare>, success: Vec<RequestOp>) -> TxnRequest {
    TxnRequest { compare, success, failure: Vec::new() }
}

/// A transaction without conditions.
pub(crate) fn read_only(reads: impl IntoIterator<Item = RequestOp>) -> TxnRequest {
    TxnRequest { success: reads.into_iter().collect(), ..TxnRequest::default() }
}

pub(crate) fn nested(txn: TxnRequest) -> RequestOp {
    RequestOp { request: Some(Request::RequestTxn(txn)) }
}

/// The key does not exist.
pub(crate) fn absent(key: Vec<u8>) -> Compare {
    created(key, 0)
}

/// The key exists and was created by this revision.
pub(crate) fn created(key: Vec<u8>, revision: i64) -> Compare {
    let union = TargetUnion::CreateRevision(revision);
    compare(CompareTarget::Create, CompareResult::Equal, (key, Vec::new()), union)
}

/// The key exists.
pub(crate) fn present(key: Vec<u8>) -> Compare {
    let union = TargetUnion::CreateRevision(0);
    compare(CompareTarget::Create, CompareResult::Greater, (key, Vec::new()), union)
}

/// The key was last written by this revision; 0 when it does not exist.
pub(crate) fn unchanged(key: Vec<u8>, revision: i64) -> Compare {
    let union = TargetUnion::ModRevision(revision);
    compare(CompareTarget::Mod, CompareResult::Equal, (key, Vec::new()), union)
}

/// The range is empty.
pub(crate) fn none_in(range: (Vec<u8>, Vec<u8>)) -> Compare {
    compare(CompareTarget::Create, CompareResult::Equal, range, TargetUnion::CreateRevision(0))
}

/// Nothing in the range was written after this revision. Deletions are not seen.
pub(crate) fn none_since(range: (Vec<u8>, Vec<u8>), revision: i64) -> Compare {
    let union = TargetUnion::ModRevision(revision + 1);
    compare(CompareTarget::Mod, CompareResult::Less, range, union)
}

fn compare(
    target: CompareTarget,
    result: CompareResult,
    (key, range_end): (Vec<u8>, Vec<u8>),
    union: TargetUnion,
) -> Compare {
    Compare { result: result.into(), target: target.into(), key, target_union: Some(union), range_end }
}

/// The keys that each read of the branch taken has found, in order, nested transactions included.
pub(crate) fn reads(answer: TxnResponse) -> Vec<Vec<KeyValue>> {
    let mut found = Vec::new();
    for part in answer.responses {
        match part.response {
            Some(Response::ResponseRange(range)) => found.push(range.kvs),
            Some(Response::ResponseTxn(inner)) => found.extend(reads(inner)),
            _ => {}
        }
    }
    found
}
