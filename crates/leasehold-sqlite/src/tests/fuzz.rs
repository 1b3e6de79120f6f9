//! The fuzz targets of this crate: properties that hold for any bytes. Built for tests and fuzzers alone.

use rusqlite::{Connection, params_from_iter, types::Value};

use crate::format::Row;

/// The name of a corpus in `fuzz/corpus`, and the function that takes its bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of this crate.
pub const TARGETS: &[Target] = &[("sqlite_row", row)];

/// The columns of `claims`.
const COLUMNS: usize = 17;
const SELECT: &str = "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17";

/// Any row is read or is an error. Columns are lines, the first letter is their type.
fn row(bytes: &[u8]) {
    thread_local! {
        static DATABASE: Connection = Connection::open_in_memory().expect("there is memory");
    }
    let mut columns: Vec<Value> = bytes.split(|byte| *byte == b'\n').take(COLUMNS).map(value).collect();
    columns.resize(COLUMNS, Value::Null);
    DATABASE.with(|database| {
        let mut statement = database.prepare_cached(SELECT).expect("the statement is sound");
        let mut rows = statement.query(params_from_iter(columns)).expect("memory answers");
        let row = rows.next().expect("memory answers").expect("there is one row");
        if let Ok(Row::Claim(read)) = Row::read(row) {
            assert_eq!(row.get::<_, [u8; 16]>(2).ok(), Some(read.entry.id.bits().to_be_bytes()));
        }
    });
}

fn value(column: &[u8]) -> Value {
    let Some((kind, rest)) = column.split_first() else { return Value::Null };
    let text = || String::from_utf8_lossy(rest).into_owned();
    match kind {
        b'i' => Value::Integer(text().parse().unwrap_or_default()),
        b'r' => Value::Real(text().parse().unwrap_or_default()),
        b't' => Value::Text(text()),
        b'b' => Value::Blob(rest.to_vec()),
        _ => Value::Null,
    }
}

#[cfg(test)]
#[path = "../../../../fuzz/corpus.rs"]
mod corpus;

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_and_its_mutations_break_nothing() {
        super::corpus::run(super::TARGETS);
    }
}
