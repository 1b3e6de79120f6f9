//! [`Table`]: the names of ShedLock's table and its columns.

use leasehold_core::{Error, ErrorKind, Result};

use crate::sql::Sql;

/// The longest identifier of PostgreSQL.
const BYTES_MAX: usize = 63;

/// The time, as ShedLock's `usingDbTime` has it; of this moment, not of the transaction's begin.
const NOW: &str = "timezone('utc', clock_timestamp())";

/// The names of the table and its columns: name, lock_until, locked_at, locked_by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    columns: [String; 4],
}

impl Table {
    /// ShedLock's own names, unless others are given: `schema.table`, and four columns with commas between.
    pub(crate) fn new(table: Option<&str>, columns: Option<&str>) -> Result<Table> {
        let name = table.unwrap_or("shedlock").to_string();
        let columns = columns.unwrap_or("name,lock_until,locked_at,locked_by");
        let columns: Vec<String> = columns.split(',').map(String::from).collect();
        let columns: [String; 4] = columns.try_into().map_err(|_| {
            Error::new(ErrorKind::Invalid, "`columns` are four names")
                .hint("for example columns=name,lock_until,locked_at,locked_by")
        })?;
        let parts: Vec<&str> = name.split('.').chain(columns.iter().map(String::as_str)).collect();
        match parts.iter().find(|part| !is_identifier(part)) {
            Some(part) => {
                let message = format!("`{}` is not the name of a table or a column", part.escape_debug());
                Err(Error::new(ErrorKind::Invalid, message)
                    .hint("letters, digits and _, as they are written without quotes"))
            }
            None => Ok(Table { name, columns }),
        }
    }

    /// A statement with these names in it.
    pub(super) fn statement(&self, sql: &Sql) -> Sql {
        let [name, until, at, by] = self.columns.each_ref().map(String::as_str);
        let words = [("{table}", &*self.name), ("{now}", NOW), ("{name}", name)];
        let columns = [("{lock_until}", until), ("{locked_at}", at), ("{locked_by}", by)];
        let words = words.into_iter().chain(columns);
        let text = words.fold(sql.text.to_string(), |text, (word, name)| text.replace(word, name));
        Sql { text: text.into(), types: sql.types }
    }
}

/// Whether it may stand in a statement without quotes.
fn is_identifier(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && text.chars().all(plain) && text.len() <= BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{SHEDLOCK_CLAIM, SHEDLOCK_RELEASE};

    #[test]
    fn names_of_tables_are_put_in_and_nothing_else() {
        let table = Table::new(Some("jobs.locks"), Some("n,until,at,who")).unwrap();
        let text = table.statement(&SHEDLOCK_RELEASE).text;
        assert!(
            text.contains("UPDATE jobs.locks SET until = ") && text.contains("n = $1 AND who = $2"),
            "{text}"
        );
        assert!(!Table::new(None, None).unwrap().statement(&SHEDLOCK_CLAIM).text.contains('{'));
        for bad in ["", "a b", "a;b", "a\"", "1a", "a.", "ä"] {
            assert_eq!(Table::new(Some(bad), None).unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
        assert!(Table::new(None, Some("a,b,c")).is_err());
    }
}
