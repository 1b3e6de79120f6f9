//! The file to which handlers write, and the rule that it is judged by.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A line: `begin KEY ID TOKEN` or `end KEY ID TOKEN`.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) ends: bool,
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) token: u64,
}

pub(crate) fn read(path: &Path) -> Vec<Line> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(line).collect()
}

fn line(text: &str) -> Line {
    let [what, key, id, token] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("a line `{text}`") };
    Line { ends: what == "end", key: key.into(), id: id.into(), token: token.parse().unwrap() }
}

/// The requests that were at work on a key after a later one had begun on it: of each key the lines of one request stand
/// together.
pub(crate) fn meetings(lines: &[Line]) -> Vec<String> {
    let (mut last, mut over) = (BTreeMap::<&str, &Line>::new(), BTreeSet::new());
    let mut found = Vec::new();
    for line in lines {
        if let Some(before) = last.insert(&line.key, line)
            && before.id != line.id
        {
            over.insert(&before.id);
            if before.token > line.token {
                found.push(format!("{} has an older token than {} before it", line.id, before.id));
            }
        }
        if over.contains(&line.id) {
            found.push(format!("{} of {} was at work beside another", line.id, line.key));
        }
    }
    found
}
