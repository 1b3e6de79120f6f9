//! Circles of imports inside a crate: no more than two files may import each other in a loop.

use std::collections::{BTreeMap, BTreeSet};

use crate::files;

/// The most files that may import each other.
const MAX: usize = 2;

/// The source files of a crate, by the paths of their modules. The root is the empty path.
type Crate = BTreeMap<Vec<String>, Module>;

#[derive(Default)]
struct Module {
    file: String,
    imports: Vec<Vec<String>>,
    /// The imports that are public, by the names that they give.
    exports: BTreeMap<String, Vec<String>>,
}

pub(super) fn findings() -> Vec<String> {
    let mut crates: BTreeMap<String, Crate> = BTreeMap::new();
    for file in files::files(&[".rs"]).iter().filter(|file| !file.is_test()) {
        let Some((root, path)) = file.path.split_once("/src/") else { continue };
        let path: Vec<String> = path.trim_end_matches(".rs").split('/').map(String::from).collect();
        let path = if matches!(path[0].as_str(), "lib" | "main") { Vec::new() } else { path };
        let module = Module::read(&file.path, &file.text, &path);
        crates.entry(root.into()).or_default().insert(path, module);
    }
    crates.values().flat_map(violations).collect()
}

fn violations(modules: &Crate) -> Vec<String> {
    let reached: BTreeMap<_, _> = modules.keys().map(|path| (path, reachable(modules, path))).collect();
    let circle =
        |a: &Vec<String>| reached[a].iter().filter(|b| reached[*b].contains(a)).cloned().collect::<Vec<_>>();
    let circles: BTreeSet<_> = modules.keys().map(circle).filter(|circle| circle.len() > MAX).collect();
    let files = |circle: &Vec<Vec<String>>| {
        let files: Vec<_> = circle.iter().map(|path| modules[path].file.as_str()).collect();
        format!("{} files import each other in a circle: {}", files.len(), files.join(", "))
    };
    circles.iter().map(files).collect()
}

fn reachable(modules: &Crate, from: &[String]) -> BTreeSet<Vec<String>> {
    let (mut seen, mut left) = (BTreeSet::new(), vec![from.to_vec()]);
    while let Some(path) = left.pop() {
        let targets = modules[&path].imports.iter().filter_map(|import| resolve(modules, import, 0));
        left.extend(targets.filter(|target| *target != path && seen.insert(target.clone())));
    }
    seen
}

/// The module that defines an imported name. The root of a crate only hands names on.
fn resolve(modules: &Crate, import: &[String], depth: usize) -> Option<Vec<String>> {
    let length = (0..=import.len()).rev().find(|length| modules.contains_key(&import[..*length]))?;
    let (path, rest) = import.split_at(length);
    let export = rest.first().and_then(|name| modules[path].exports.get(name));
    match export {
        Some(target) if depth < 8 => resolve(modules, target, depth + 1),
        _ => (!path.is_empty()).then(|| path.to_vec()),
    }
}

impl Module {
    fn read(file: &str, text: &str, path: &[String]) -> Module {
        let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        let text = lines.collect::<Vec<_>>().join(" ");
        let mut module = Module { file: file.into(), ..Module::default() };
        for statement in text.split(['{', '}', ';']).filter(|words| words.contains("::")) {
            let paths = statement.split(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter));
            let inline = paths.filter(|word| {
                !word.ends_with(':') && (word.starts_with("crate::") || word.starts_with("super::"))
            });
            module.imports.extend(inline.filter_map(|word| absolute(path, word)));
        }
        for (before, statement) in text.match_indices("use ").map(|(at, word)| text.split_at(at + word.len()))
        {
            let is_public = before.trim_end_matches("use ").trim_end().ends_with([')', 'b']);
            for import in expand(statement.split(';').next().unwrap_or_default()) {
                let (import, name) = import.split_once(" as ").unwrap_or((&import, ""));
                let Some(import) = absolute(path, import.trim()) else { continue };
                let Some(last) = import.last().cloned() else { continue };
                let name = if name.is_empty() { last } else { name.trim().into() };
                // A name that is only handed on is no import.
                if !is_public || words(&text).filter(|word| *word == name).count() > 1 {
                    module.imports.push(import.clone());
                }
                if is_public {
                    module.exports.insert(name, import);
                }
            }
        }
        module
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

/// The paths of one `use`, with its braces taken apart.
fn expand(text: &str) -> Vec<String> {
    let Some((head, body)) = text.split_once('{') else { return vec![text.trim().into()] };
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for letter in body[..body.rfind('}').unwrap_or(body.len())].chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        match parts.last_mut() {
            Some(part) if letter != ',' || depth > 0 => part.push(letter),
            _ => parts.push(String::new()),
        }
    }
    let whole = |part: &String| expand(part).into_iter().map(|part| format!("{}{part}", head.trim()));
    parts.iter().filter(|part| !part.trim().is_empty()).flat_map(whole).collect()
}

/// The path from the root of the crate; `None` outside of it. A first word that is no keyword may be a module below.
fn absolute(module: &[String], import: &str) -> Option<Vec<String>> {
    let (mut base, mut words) = (module.to_vec(), import.split("::").peekable());
    match *words.peek()? {
        "crate" => base.clear(),
        "self" | "super" => {}
        _ => return Some([module, &words.map(String::from).collect::<Vec<_>>()].concat()),
    }
    while let Some(word) = words.next_if(|word| matches!(*word, "crate" | "self" | "super")) {
        if word == "super" {
            base.pop()?;
        }
    }
    Some(base.into_iter().chain(words.map(String::from)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sources: &[(&str, &str)]) -> usize {
        let module = |(path, text): &(&str, &str)| {
            let path: Vec<String> =
                path.split("::").filter(|part| !part.is_empty()).map(String::from).collect();
            (path.clone(), Module::read(&path.join("/"), text, &path))
        };
        violations(&sources.iter().map(module).collect()).len()
    }

    #[test]
    fn a_circle_of_three_files_is_found_however_it_is_written() {
        let (a, b) =
            (("a", "use crate::b::{self, B as X};"), ("b", "use std::fmt;\npub(crate) use c::{C, D};"));
        assert_eq!(found(&[a, b, ("b::c", "fn f() { crate::a::f(); }")]), 0, "b only hands on");
        let b = ("b", "use c::C;\n");
        assert_eq!(found(&[a, b, ("b::c", "fn f() { crate::a::f(); }")]), 1);
        assert_eq!(found(&[a, b, ("b::c", "use super::super::a;")]), 1);
        assert_eq!(found(&[a, b, ("b::c", "use super::{d, e};")]), 0, "two files may");
        assert_eq!(found(&[a, b, ("b::c", "// crate::a\n#[cfg(test)]\nmod tests { use crate::a; }")]), 0);
        let through_root = [("", "pub use a::A;"), a, b, ("b::c", "use crate::A;")];
        assert_eq!(found(&through_root), 1, "the name is followed to its file");
    }
}
