//! The command of a note that other clients can read: its program alone, or the whole line with secrets masked.
//!
//! Masking is a heuristic, and rather too strict: after a word such as `password` nothing of its argument is shown, nor the next
//! argument if the word was the end of an option. No rule finds every secret, so the whole line is shown on request only.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

const SECRET_WORDS: [&str; 10] =
    ["pass", "pwd", "secret", "token", "key", "auth", "credential", "bearer", "cookie", "session"];
/// Short options that often have a password or a login after them.
const SECRET_OPTIONS: [&str; 2] = ["-p", "-u"];
const MASK: &str = "***";

/// The program, and how many arguments it has.
pub(crate) fn summary(command: &[OsString]) -> String {
    match command {
        [] => String::new(),
        [program] => name(program),
        [program, _] => format!("{} + 1 argument", name(program)),
        [program, arguments @ ..] => format!("{} + {} arguments", name(program), arguments.len()),
    }
}

/// The program and its arguments in one line, secrets masked.
pub(crate) fn masked_line(command: &[OsString]) -> String {
    let Some((program, arguments)) = command.split_first() else { return String::new() };
    let mut words = vec![name(program)];
    let mut hides_next = false;
    for argument in arguments {
        let argument = argument.to_string_lossy();
        let is_value = hides_next && !argument.starts_with('-');
        let (shown, is_open) = if is_value { (MASK.to_string(), false) } else { masked(&argument) };
        hides_next = is_open;
        words.push(shown);
    }
    words.join(" ")
}

/// The file name of the program.
fn name(program: &OsStr) -> String {
    Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
}

/// An argument with everything masked that follows a word for a secret, and whether its value is the next argument.
fn masked(argument: &str) -> (String, bool) {
    if let Some(option) = SECRET_OPTIONS.into_iter().find(|option| argument.starts_with(option)) {
        let rest = if argument == option { "" } else { MASK };
        return (format!("{option}{rest}"), rest.is_empty());
    }
    let argument = without_url_password(argument);
    let lower = argument.to_ascii_lowercase();
    let ends = SECRET_WORDS.iter().filter_map(|word| lower.find(word).map(|at| at + word.len()));
    let Some(end) = ends.min() else { return (argument, false) };
    // The rest of the word, and the characters between it and its value.
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let name_end = end + argument[end..].bytes().take_while(|byte| is_name(*byte)).count();
    let value = name_end + argument[name_end..].bytes().take_while(|byte| b"=: \"'".contains(byte)).count();
    let is_open = value == argument.len();
    let rest = if is_open { "" } else { MASK };
    (format!("{}{rest}", &argument[..value]), is_open)
}

/// `scheme://user:password@host` with the password masked.
fn without_url_password(argument: &str) -> String {
    let masked = || {
        let start = argument.find("://")? + 3;
        let authority_end = argument[start..].find(['/', '?', '#']).map_or(argument.len(), |at| start + at);
        let at_sign = start + argument[start..authority_end].rfind('@')?;
        let colon = start + argument[start..at_sign].find(':')?;
        Some(format!("{}{MASK}{}", &argument[..=colon], &argument[at_sign..]))
    };
    masked().unwrap_or_else(|| argument.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &[&str]) -> Vec<OsString> {
        command.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_summary_has_the_program_without_its_path_and_no_argument() {
        assert_eq!(summary(&words(&["/usr/bin/rsync", "-a", "hunter2"])), "rsync + 2 arguments");
        assert_eq!(summary(&words(&["rsync", "hunter2"])), "rsync + 1 argument");
        assert_eq!((summary(&words(&["/"])), summary(&[])), ("/".into(), String::new()));
    }

    #[test]
    fn secrets_are_masked_and_the_rest_is_not() {
        for (command, text) in [
            (&["/opt/backup.sh", "-v", "/data"][..], "backup.sh -v /data"),
            (&["x", "--password=hunter2", "y"], "x --password=*** y"),
            (&["x", "--api-key", "hunter2", "y"], "x --api-key *** y"),
            (&["x", "--token", "--verbose"], "x --token --verbose"),
            (&["env", "DB_PASSWD=hunter2", "x"], "env DB_PASSWD=*** x"),
            (&["pg_dump", "postgres://me:hunter2@db/x?a=b"], "pg_dump postgres://me:***@db/x?a=b"),
            (&["pg_dump", "postgres://me@db/x"], "pg_dump postgres://me@db/x"),
            (&["curl", "-H", "Authorization: Bearer hunter2"], "curl -H Authorization: ***"),
            (&["sh", "-c", "SECRET=hunter2 run --auth=hunter2"], "sh -c SECRET=***"),
            (&["sh", "-c", "mysqldump --password hunter2"], "sh -c mysqldump --password ***"),
            (&["curl", "https://x/?api_key=hunter2&a=b"], "curl https://x/?api_key=***"),
            (&["post", r#"{"password": "hunter2"}"#], r#"post {"password": "***"#),
            (&["x", "PASSPHRASE='hunter 2'"], "x PASSPHRASE='***"),
            (&["mysql", "-phunter2", "x"], "mysql -p*** x"),
            (&["curl", "-u", "me:hunter2", "x"], "curl -u *** x"),
        ] {
            assert_eq!(masked_line(&words(command)), text);
        }
    }
}
