//! Masks secrets in a command line before it is written into a note that other clients can read.
//!
//! Heuristic, and rather too strict: masks the value of every word like `--password=…`, `TOKEN=…` or `Authorization: …`,
//! the argument after an option with such a name, and the password of a URL.

use std::ffi::{OsStr, OsString};

const SECRET_WORDS: [&str; 6] = ["password", "passwd", "secret", "token", "key", "auth"];
const MASK: &str = "***";

/// The program and its arguments in one line, secrets masked.
pub(crate) fn command_line(command: &[OsString]) -> String {
    let mut words = Vec::with_capacity(command.len());
    let mut hides_next = false;
    for (at, argument) in command.iter().enumerate() {
        let argument = argument.to_string_lossy();
        let hidden = at > 0 && hides_next && !argument.starts_with('-');
        hides_next = at > 0 && argument.starts_with('-') && !argument.contains('=') && is_secret(&argument);
        words.push(if hidden { MASK.to_string() } else { masked(&argument) });
    }
    words.join(" ")
}

/// The file name of the program.
pub(crate) fn program(command: &OsStr) -> String {
    std::path::Path::new(command).file_name().unwrap_or(command).to_string_lossy().into_owned()
}

fn masked(argument: &str) -> String {
    let mut hides_rest = false;
    let words = argument.split(' ').map(|word| {
        if hides_rest && !word.is_empty() {
            return MASK.to_string();
        }
        let (word, ends_open) = mask_word(word);
        hides_rest = ends_open;
        word
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The word with its secret masked, and whether the secret follows in the next words: `Authorization: Bearer x`.
fn mask_word(word: &str) -> (String, bool) {
    if let Some(url) = mask_url(word) {
        return (url, false);
    }
    match word.find(['=', ':']) {
        Some(at) if is_secret(&word[..at]) => {
            let open = word.len() == at + 1 && word.as_bytes()[at] == b':';
            let value = if word.len() == at + 1 { "" } else { MASK };
            (format!("{}{value}", &word[..=at]), open)
        }
        _ => (word.to_string(), false),
    }
}

/// `scheme://user:password@host` with the password masked.
fn mask_url(word: &str) -> Option<String> {
    let start = word.find("://")? + 3;
    let authority_end = word[start..].find(['/', '?', '#']).map_or(word.len(), |at| start + at);
    let at_sign = start + word[start..authority_end].rfind('@')?;
    let colon = start + word[start..at_sign].find(':')?;
    Some(format!("{}{MASK}{}", &word[..=colon], &word[at_sign..]))
}

fn is_secret(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|secret| word.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(command: &[&str]) -> String {
        command_line(&command.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn secrets_are_masked_and_the_rest_is_not() {
        for (command, text) in [
            (&["backup.sh", "-v", "/data"][..], "backup.sh -v /data"),
            (&["x", "--password=hunter2", "y"], "x --password=*** y"),
            (&["x", "--api-key", "hunter2", "y"], "x --api-key *** y"),
            (&["x", "--token", "--verbose"], "x --token --verbose"),
            (&["env", "DB_PASSWD=hunter2", "x"], "env DB_PASSWD=*** x"),
            (&["pg_dump", "postgres://me:hunter2@db/x?a=b"], "pg_dump postgres://me:***@db/x?a=b"),
            (&["pg_dump", "postgres://me@db/x"], "pg_dump postgres://me@db/x"),
            (&["curl", "-H", "Authorization: Bearer hunter2"], "curl -H Authorization: *** ***"),
            (&["sh", "-c", "SECRET=hunter2 run --auth=hunter2"], "sh -c SECRET=*** run --auth=***"),
        ] {
            assert_eq!(shown(command), text);
        }
    }

    #[test]
    fn a_program_is_named_without_its_path() {
        assert_eq!(program(OsStr::new("/usr/bin/rsync")), "rsync");
        assert_eq!(program(OsStr::new("/")), "/");
    }
}
