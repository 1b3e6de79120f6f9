//! Reading replies. What is not as expected is damaged or foreign, never a panic.

use leasehold_core::{Error, ErrorKind, Result};
use redis::Value;

/// What a reply was expected to be, and was not.
pub(crate) fn unexpected(expected: &str, found: &Value) -> Error {
    let mut found = format!("{found:?}");
    if let Some((end, _)) = found.char_indices().nth(120) {
        found.truncate(end);
    }
    Error::new(ErrorKind::Corrupt, format!("expected {expected}, and the server answered {found}"))
        .unknown()
        .hint("is something between us and the server, or is it no Redis?")
}

pub(crate) fn list(value: Value, expected: &str) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        // RESP3 answers some lists of pairs as maps.
        Value::Map(pairs) => Ok(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()),
        Value::Nil => Ok(Vec::new()),
        other => Err(unexpected(expected, &other)),
    }
}

pub(crate) fn number(value: Option<&Value>) -> Result<i64> {
    match value {
        Some(Value::Int(number)) => Ok(*number),
        Some(Value::BulkString(bytes)) => std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| unexpected("a number", &Value::BulkString(bytes.clone()))),
        other => Err(unexpected("a number", other.unwrap_or(&Value::Nil))),
    }
}

/// A text; `None` for nil.
pub(crate) fn text(value: Option<&Value>) -> Result<Option<String>> {
    match value {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::BulkString(bytes)) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
        Some(Value::SimpleString(text)) | Some(Value::VerbatimString { text, .. }) => Ok(Some(text.clone())),
        Some(Value::Int(number)) => Ok(Some(number.to_string())),
        Some(Value::Okay) => Ok(Some("OK".to_string())),
        Some(other) => Err(unexpected("a text", other)),
    }
}

/// The bytes of a bulk string; `None` for nil.
pub(crate) fn bytes(value: Option<&Value>) -> Option<&[u8]> {
    match value {
        Some(Value::BulkString(bytes)) => Some(bytes),
        _ => None,
    }
}
