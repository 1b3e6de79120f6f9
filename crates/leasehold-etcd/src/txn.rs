//! The parts of a transaction, and the parts of its answer.

use crate::protocol::{
    Compare, DeleteRangeRequest, KeyValue, PutRequest, RangeRequest, RequestOp, ResponseOp, TxnRequest,
    TxnResponse,
};

/// Operations in one transaction, and comparisons, by default (`--max-txn-ops`).
pub(crate) const OPERATIONS_MAX: usize = 128;

// The numbers of `Compare.CompareResult` and `Compare.CompareTarget`.
const EQUAL: i32 = 0;
const GREATER: i32 = 1;
const LESS: i32 = 2;
const CREATE: i32 = 1;
const MOD: i32 = 2;

pub(crate) fn put(key: Vec<u8>, value: Vec<u8>, lease: i64) -> RequestOp {
    RequestOp { put: Some(PutRequest { key, value, lease }), ..RequestOp::default() }
}

pub(crate) fn delete(key: Vec<u8>) -> RequestOp {
    RequestOp { delete: Some(DeleteRangeRequest { key }), ..RequestOp::default() }
}

pub(crate) fn get(key: Vec<u8>) -> RequestOp {
    range((key, Vec::new()))
}

pub(crate) fn range((key, range_end): (Vec<u8>, Vec<u8>)) -> RequestOp {
    RequestOp { range: Some(RangeRequest { key, range_end, limit: 0 }), ..RequestOp::default() }
}

pub(crate) fn nested(txn: TxnRequest) -> RequestOp {
    RequestOp { txn: Some(txn), ..RequestOp::default() }
}

/// A transaction that does nothing when a comparison fails.
pub(crate) fn only_if(compare: Vec<Compare>, success: Vec<RequestOp>) -> TxnRequest {
    TxnRequest { compare, success, failure: Vec::new() }
}

/// A transaction without conditions.
pub(crate) fn read_only(reads: impl IntoIterator<Item = RequestOp>) -> TxnRequest {
    only_if(Vec::new(), reads.into_iter().collect())
}

/// The key does not exist.
pub(crate) fn absent(key: Vec<u8>) -> Compare {
    created(key, 0)
}

/// The key exists and was created by this revision.
pub(crate) fn created(key: Vec<u8>, revision: i64) -> Compare {
    Compare { target: CREATE, result: EQUAL, key, create_revision: Some(revision), ..Compare::default() }
}

/// The key exists.
pub(crate) fn present(key: Vec<u8>) -> Compare {
    Compare { result: GREATER, ..created(key, 0) }
}

/// The range is empty.
pub(crate) fn none_in((first, range_end): (Vec<u8>, Vec<u8>)) -> Compare {
    Compare { range_end, ..absent(first) }
}

/// Nothing in the range was created before this revision.
pub(crate) fn none_before((first, range_end): (Vec<u8>, Vec<u8>), revision: i64) -> Compare {
    Compare { result: GREATER, range_end, ..created(first, revision - 1) }
}

/// The key was last written by this revision; 0 when it does not exist.
pub(crate) fn unchanged(key: Vec<u8>, revision: i64) -> Compare {
    Compare { target: MOD, result: EQUAL, key, mod_revision: Some(revision), ..Compare::default() }
}

/// Nothing in the range was written after this revision. Deletions are not seen.
pub(crate) fn none_since((first, range_end): (Vec<u8>, Vec<u8>), revision: i64) -> Compare {
    Compare { result: LESS, range_end, ..unchanged(first, revision + 1) }
}

/// The keys that each read of the branch taken has found, in order, nested transactions included.
pub(crate) fn reads(answer: TxnResponse) -> Vec<Vec<KeyValue>> {
    let parts = answer.responses.into_iter();
    let read = |part: ResponseOp| match part.range {
        Some(range) => vec![range.kvs],
        None => part.txn.map(reads).unwrap_or_default(),
    };
    parts.flat_map(read).collect()
}
