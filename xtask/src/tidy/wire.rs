//! The statements sent to stores are a contract between versions: none changes without WIRE.md.

use crate::files::{self, File};

const DOCUMENT: &str = "WIRE.md";
const BEGIN: &str = "<!-- statements: written by `cargo xtask wire --write` -->\n";
const END: &str = "<!-- end of statements -->";

/// `cargo xtask wire [--write]`.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    crate::compare_or_write(args, "wire", findings, write_table)
}

fn write_table() -> Result<(), String> {
    let page = files::read(DOCUMENT)?;
    let (before, listed, after) = split(&page)?;
    let table = table(&files::files(&[".sql", ".lua"]));
    if listed == table {
        return Ok(());
    }
    files::write(DOCUMENT, &format!("{before}{table}{after}"))?;
    eprintln!("the table in {DOCUMENT} is new: is the prose around it still true of what changed?");
    Ok(())
}

pub(super) fn findings() -> Vec<String> {
    differences(&files::read(DOCUMENT).unwrap_or_default(), &files::files(&[".sql", ".lua"]))
}

fn differences(page: &str, statements: &[File]) -> Vec<String> {
    let listed = match split(page) {
        Ok((_, listed, _)) => listed,
        Err(message) => return vec![message],
    };
    let wanted = table(statements);
    let differing = |one: &str, other: &str| {
        let missing = one.lines().filter(|line| !other.lines().any(|it| it == *line));
        missing.map(str::to_string).collect::<Vec<_>>()
    };
    let stale =
        differing(listed, &wanted).into_iter().map(|row| format!("{DOCUMENT} lists what is not so: {row}"));
    let new = differing(&wanted, listed).into_iter().map(|row| format!("{DOCUMENT} does not list: {row}"));
    let mut findings: Vec<String> = stale.chain(new).collect();
    if !findings.is_empty() {
        findings.push("describe the change there, then run `cargo xtask wire --write`".to_string());
    }
    findings
}

/// The page before, in and after the table.
fn split(page: &str) -> Result<(&str, &str, &str), String> {
    let parts = page.find(BEGIN).and_then(|begin| {
        let begin = begin + BEGIN.len();
        let end = begin + page[begin..].find(END)?;
        Some((&page[..begin], &page[begin..end], &page[end..]))
    });
    parts.ok_or_else(|| format!("{DOCUMENT} has no table between `{}` and `{END}`", BEGIN.trim_end()))
}

fn table(statements: &[File]) -> String {
    let mut text = String::from("| statement | FNV-1a 64 of its text | purpose |\n|---|---|---|\n");
    for file in statements {
        let hash = fnv1a(file.text.as_bytes());
        text.push_str(&format!("| `{}` | `{hash:016x}` | {} |\n", file.path, purpose(&file.text)));
    }
    text
}

/// The first sentence of the comment that a statement begins with says what it is for.
fn purpose(text: &str) -> String {
    let comment = text.lines().map_while(|line| line.strip_prefix("--"));
    let comment = comment.map(str::trim).collect::<Vec<_>>().join(" ");
    let sentence = comment.split_inclusive(". ").next().unwrap_or_default();
    sentence.trim().trim_start_matches("Purpose:").trim().replace('|', "\\|")
}

/// Fowler, Noll and Vo's hash: it finds accidents, not attackers.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn the_purpose_is_the_first_sentence() {
        assert_eq!(purpose("-- Purpose: one\n-- thing. Another.\nSELECT 1;\n-- no"), "one thing.");
        assert_eq!(purpose("SELECT 1;"), "");
    }

    #[test]
    fn a_changed_a_new_and_a_removed_statement_are_found() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let before =
            [file("a.sql", "-- Purpose: one.\nSELECT 1;"), file("b.sql", "-- Purpose: two.\nSELECT 2;")];
        let page = format!("prose\n{BEGIN}{}{END}\nmore", table(&before));
        assert_eq!(differences(&page, &before), Vec::<String>::new());
        let changed = [file("a.sql", "-- Purpose: one.\nSELECT 3;"), file("c.sql", "SELECT 2;")];
        let found = differences(&page, &changed).join("\n");
        assert_eq!(found.matches("lists what is not so").count(), 2, "{found}");
        assert_eq!(found.matches("does not list").count(), 2, "{found}");
        assert_eq!(differences("", &before).len(), 1);
    }
}
