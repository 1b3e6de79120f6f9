//! Names as broken stores encode them.

use leasehold_core::LockName;

use super::bug::Bug;

/// The name under which the broken store keeps the lock.
pub(crate) fn distort(bug: Bug, name: &LockName) -> LockName {
    let text = name.as_str();
    let distorted = match bug {
        Bug::NamesTrimmed => text.trim().to_owned(),
        Bug::NamesFolded => text.to_lowercase(),
        Bug::NamesComposed => text.replace("e\u{301}", "\u{e9}").replace('\u{212b}', "\u{c5}"),
        Bug::NamesEndAtNul => text.split('\0').next().unwrap_or_default().to_owned(),
        Bug::NamesArePaths => {
            let parts = text.split('/').filter(|part| !part.is_empty() && *part != ".");
            parts.collect::<Vec<_>>().join("/")
        }
        Bug::NamesCut => text.chars().take(255).collect(),
        Bug::NamesHashTagged => match (text.find('{'), text.find('}')) {
            (Some(open), Some(close)) if open + 1 < close => text[open + 1..close].to_owned(),
            _ => text.to_owned(),
        },
        _ => return name.clone(),
    };
    LockName::new(distorted).unwrap_or_else(|_| name.clone())
}
