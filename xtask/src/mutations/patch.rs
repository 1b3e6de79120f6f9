//! The patches that let a mechanism of the copy be switched off.

use std::collections::BTreeMap;

use super::{Mutant, Mutants, VARIABLE};
use crate::files;

/// The patched files of the copy, by their paths.
type Patched = BTreeMap<String, String>;

/// Applies all patches.
pub(super) fn all(mutants: &Mutants) -> Result<Patched, String> {
    let mut patched = Patched::new();
    let failures: Vec<String> = mutants
        .iter()
        .filter_map(|(name, mutant)| {
            apply(&mut patched, name, mutant).err().map(|why| format!("{name}: {why}"))
        })
        .collect();
    crate::verdict(&failures).map(|()| patched)
}

fn apply(patched: &mut Patched, name: &str, mutant: &Mutant) -> Result<(), String> {
    let Mutant { file, find, with, .. } = mutant;
    // Some of these are asked at every poll: the environment is read once.
    let off = format!(
        "std::convert::identity({{ static OFF: std::sync::OnceLock<bool> = std::sync::OnceLock::new(); \
        *OFF.get_or_init(|| std::env::var(\"{VARIABLE}\").is_ok_and(|it| it == \"{name}\")) }})"
    );
    let (Some(loader), Some(by)) = (&mutant.loader, &mutant.by) else {
        return replace(patched, file, find, &with.replace("OFF", &off));
    };
    // The script itself stays as it is: this only makes sure that there is something to change.
    replaced(&files::read(file)?, find, with).map_err(|why| format!("{file}: {why}"))?;
    let (before, rest) = by.split_once('{').ok_or("no expression in braces")?;
    let (expression, after) = rest.split_once('}').ok_or("no expression in braces")?;
    let changed = format!("&{expression}.replace({find:?}, if {off} {{ {with:?} }} else {{ {find:?} }})");
    replace(patched, loader, &[before, expression, after].concat(), &[before, &changed, after].concat())
}

fn replace(patched: &mut Patched, file: &str, find: &str, with: &str) -> Result<(), String> {
    let text = match patched.get(file) {
        Some(text) => text.clone(),
        None => files::read(file)?,
    };
    let text = replaced(&text, find, with).map_err(|why| format!("{file}: {why}"))?;
    patched.insert(file.to_string(), text);
    Ok(())
}

fn replaced(text: &str, find: &str, with: &str) -> Result<String, String> {
    match text.matches(find).count() {
        1 => Ok(text.replacen(find, with, 1)),
        count => Err(format!("the patch does not apply: this is there {count} times, not once:\n{find}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_patch_applies() {
        let mutants = super::super::read().unwrap();
        let patched = all(&mutants).unwrap_or_else(|why| panic!("{why}"));
        let text: String = patched.into_values().collect();
        for name in mutants.keys() {
            assert!(text.contains(&format!(r#"it == "{name}")"#)), "{name}");
        }
    }

    #[test]
    fn a_text_that_is_nowhere_or_twice_is_no_place_for_a_patch() {
        assert!(replaced("a b", "c", "d").is_err());
        assert!(replaced("a a", "a", "d").is_err());
        assert_eq!(replaced("a b", "b", "OFF"), Ok("a OFF".to_string()));
    }
}
