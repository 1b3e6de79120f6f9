//! Names and prose: a public type name once per workspace, no private metaphors as file names, plain openings of doc
//! comments.

use std::{collections::BTreeMap, path::Path};

use crate::files::{self, File};

/// File names of an earlier, private vocabulary.
const OLD_STEMS: &[&str] = &[
    "desk", "sheet", "seat", "roll", "fan", "slip", "sibling", "sights", "bells", "meeting", "lane", "crew",
    "door", "scene", "director", "janitor", "duty", "tenure", "vouch", "doubt", "upset", "vitals", "refusal",
    "boot", "gate", "pace", "follow", "handoff", "dice", "stranger", "trap", "scratch", "rig", "tally",
    "habits", "weather", "nagging",
];

/// First words of a doc comment that promise a riddle instead of a noun or a verb.
const OPENINGS: &[&str] = &["What ", "Who ", "Whoever ", "Those who ", "So many ", "So long "];

pub(super) fn findings() -> Vec<String> {
    let sources = files::files(&[".rs"]);
    let pages = files::files(&[".md"]);
    let comments = sources.iter().filter(|file| !file.is_test()).flat_map(doc_comments);
    let pages = pages.iter().filter(|page| is_for_readers(&page.path)).flat_map(paragraphs);
    same_names(&sources)
        .into_iter()
        .chain(sources.iter().filter_map(old_stem))
        .chain(comments)
        .chain(pages)
        .collect()
}

/// Pages of the product; decision records and notes of the laboratory keep their words.
fn is_for_readers(path: &str) -> bool {
    matches!(path, "README.md" | "ARCHITECTURE.md" | "SAFETY.md" | "WIRE.md" | "CONTRIBUTING.md")
        || path.starts_with("docs/book/")
}

fn old_stem(file: &File) -> Option<String> {
    let stem = Path::new(&file.path).file_stem()?.to_str()?;
    OLD_STEMS.contains(&stem).then(|| format!("{}: a file name of the old vocabulary", file.path))
}

fn doc_comments(file: &File) -> Vec<String> {
    let opens_badly = |line: &str| {
        let text = line.trim_start();
        let text = text.strip_prefix("///").or_else(|| text.strip_prefix("//!"));
        text.is_some_and(|text| has_opening(text.trim_start()))
    };
    super::forbidden::hits(
        file,
        opens_badly,
        "a doc comment begins with a noun or a verb, not with What or Who",
    )
}

/// Lines of prose that begin a paragraph. A question may be a heading.
fn paragraphs(page: &File) -> Vec<String> {
    let opens_badly = |line: &str| has_opening(line) && !line.trim_end().ends_with('?');
    super::forbidden::hits(page, opens_badly, "a paragraph begins with its subject, not with What or Who")
}

fn has_opening(text: &str) -> bool {
    OPENINGS.iter().any(|opening| text.starts_with(opening))
}

/// Public types of one name, without re-exports and the crates that only tests use.
fn same_names(sources: &[File]) -> Vec<String> {
    let mut places = BTreeMap::<&str, Vec<&str>>::new();
    let counts = |file: &&File| {
        let support = ["crates/leasehold-testkit/", "crates/leasehold-conformance/"];
        file.path.contains("/src/")
            && !file.is_test()
            && !support.iter().any(|path| file.path.starts_with(path))
    };
    for file in sources.iter().filter(counts) {
        for name in file.text.lines().filter_map(public_type) {
            places.entry(name).or_default().push(&file.path);
        }
    }
    let twice = places.iter().filter(|(_, files)| files.len() > 1);
    twice
        .map(|(name, files)| format!("the public type {name} is there twice: {}", files.join(", ")))
        .collect()
}

fn public_type(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ")?;
    let rest = ["struct ", "enum ", "trait "].iter().find_map(|kind| rest.strip_prefix(kind))?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_public_type_is_there_once() {
        let sources = [
            file("crates/a/src/one.rs", "pub struct Plan<T>(T);\npub(crate) struct Own;\nstruct Private;"),
            file("crates/b/src/two.rs", "pub enum Plan {}\npub trait Own {}"),
            file("crates/b/tests/all.rs", "pub struct Plan;"),
        ];
        assert_eq!(
            same_names(&sources),
            ["the public type Plan is there twice: crates/a/src/one.rs, crates/b/src/two.rs"]
        );
    }

    #[test]
    fn old_file_names_and_riddles_are_found() {
        assert!(old_stem(&file("crates/a/src/desk.rs", "")).is_some());
        assert!(old_stem(&file("crates/a/src/txn.rs", "")).is_none());
        let text =
            "//! What it is.\n/// The whole.\n    /// Whoever holds.\n// What now?\n/// Whatever is left.";
        assert_eq!(doc_comments(&file("crates/a/src/lib.rs", text)).len(), 2);
        assert_eq!(paragraphs(&file("README.md", "What is a lock?\nWhat is held ends.\n")).len(), 1);
    }
}
