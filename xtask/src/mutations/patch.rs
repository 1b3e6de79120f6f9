//! The patches: what is changed in the copy so that a mechanism can be switched off.

use std::{collections::BTreeMap, fs};

use super::{VARIABLE, table::Mutant};
use crate::tree;

/// A change of one text.
pub(super) enum Edit {
    /// Of Rust source. `OFF` in `with` stands for whether the mechanism is switched off.
    Code {
        /// The file, from the root.
        file: &'static str,
        /// What stands there, once.
        find: &'static str,
        /// What takes its place.
        with: &'static str,
    },
    /// Of a script that Rust source includes: it is changed when it is loaded.
    Script {
        /// The file, from the root.
        file: &'static str,
        /// What stands there, once.
        find: &'static str,
        /// What takes its place when the mechanism is switched off.
        with: &'static str,
        /// The source that loads it.
        loader: &'static str,
        /// The expression by which it does, between braces, with what stands around it.
        by: &'static str,
    },
}

impl Edit {
    /// The file whose mechanism is switched off.
    pub(super) fn file(&self) -> &'static str {
        match self {
            Edit::Code { file, .. } | Edit::Script { file, .. } => file,
        }
    }
}

/// The files that are different in the copy, with all patches in them.
///
/// # Errors
/// The patches that do not apply: what they look for has to stand there exactly once.
pub(super) fn all(mutants: &[Mutant]) -> Result<BTreeMap<&'static str, String>, String> {
    let mut files = BTreeMap::new();
    let mut failures = Vec::new();
    for mutant in mutants {
        if let Err(why) = apply(&mut files, mutant) {
            failures.push(format!("{}: {why}", mutant.name));
        }
    }
    if failures.is_empty() { Ok(files) } else { Err(failures.join("\n")) }
}

fn apply(files: &mut BTreeMap<&'static str, String>, mutant: &Mutant) -> Result<(), String> {
    let off = format!(r#"std::env::var("{VARIABLE}").is_ok_and(|it| it == "{}")"#, mutant.name);
    match mutant.edit {
        Edit::Code { file, find, with } => {
            let text = text_of(files, file)?;
            *text =
                replaced(text, find, &with.replace("OFF", &off)).map_err(|why| format!("{file}: {why}"))?;
        }
        Edit::Script { file, find, with, loader, by } => {
            // The script itself stays as it is: this only makes sure that there is something to change.
            replaced(&read(file)?, find, with).map_err(|why| format!("{file}: {why}"))?;
            let (before, rest) = by.split_once('{').ok_or("no expression in braces")?;
            let (expression, after) = rest.split_once('}').ok_or("no expression in braces")?;
            let changed =
                format!("&{expression}.replace({find:?}, if {off} {{ {with:?} }} else {{ {find:?} }})");
            let text = text_of(files, loader)?;
            *text =
                replaced(text, &[before, expression, after].concat(), &[before, &changed, after].concat())
                    .map_err(|why| format!("{loader}: {why}"))?;
        }
    }
    Ok(())
}

fn text_of<'f>(
    files: &'f mut BTreeMap<&'static str, String>,
    file: &'static str,
) -> Result<&'f mut String, String> {
    if !files.contains_key(file) {
        files.insert(file, read(file)?);
    }
    files.get_mut(file).ok_or_else(|| format!("{file} is not there"))
}

fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(tree::root().join(file)).map_err(|error| format!("{file} cannot be read: {error}"))
}

fn replaced(text: &str, find: &str, with: &str) -> Result<String, String> {
    match text.matches(find).count() {
        1 => Ok(text.replacen(find, with, 1)),
        count => Err(format!("the patch does not apply: this stands there {count} times, not once:\n{find}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::table::MUTANTS, *};

    #[test]
    fn every_patch_applies_and_no_two_mutants_have_one_name() {
        let patched = all(MUTANTS).unwrap_or_else(|why| panic!("{why}"));
        let text: String = patched.into_values().collect();
        for mutant in MUTANTS {
            let switch = format!(r#"it == "{}")"#, mutant.name);
            assert!(text.contains(&switch), "{}", mutant.name);
            assert_eq!(
                MUTANTS.iter().filter(|other| other.name == mutant.name).count(),
                1,
                "{}",
                mutant.name
            );
        }
    }

    #[test]
    fn what_stands_nowhere_or_twice_is_no_place_for_a_patch() {
        assert!(replaced("a b", "c", "d").is_err());
        assert!(replaced("a a", "a", "d").is_err());
        assert_eq!(replaced("a b", "b", "OFF"), Ok("a OFF".to_string()));
    }
}
