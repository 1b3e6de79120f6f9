//! Just enough of Rust's grammar to count functions and to find words that are not in comments, strings or tests.

use std::ops::Range;

/// A function with a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of `fn`, counted from 1.
    pub(crate) line: usize,
    /// How many lines from there to the closing brace.
    pub(crate) lines: usize,
}

/// The source with comments, strings and characters made blank; every line keeps its length.
pub(crate) fn code(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let (end, keep) = token(source, at);
        if !keep {
            out[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        at = end;
    }
    // Only whole characters were made blank.
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the token at `at` ends, and whether it is code.
fn token(source: &str, at: usize) -> (usize, bool) {
    let rest = &source[at..];
    let first = rest.as_bytes()[0];
    if rest.starts_with("//") {
        return (at + rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (at + block_comment(rest), false);
    }
    if is_word(first) {
        let word = rest.bytes().take_while(|byte| is_word(*byte)).count();
        if let (true, Some(raw)) = (matches!(&rest[..word], "r" | "br" | "cr"), raw_string(&rest[word..])) {
            return (at + word + raw, false);
        }
        return (at + word, true);
    }
    match first {
        b'"' => (at + quoted(rest, b'"'), false),
        b'\'' => match character(rest) {
            Some(length) => (at + length, false),
            None => (at + 1, true),
        },
        _ => (at + 1, true),
    }
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match &bytes[at..(at + 2).min(bytes.len())] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of `#"…"#` with any number of `#`.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.bytes().take_while(|byte| *byte == b'#').count();
    let body = text[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&close).map_or(body.len(), |end| end + close.len());
    Some(hashes + 1 + length)
}

fn quoted(text: &str, quote: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    let mut end = (at + 1).min(bytes.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    end
}

/// The length of a character literal; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut inside = text[1..].chars();
    let first = inside.next()?;
    if first == '\\' {
        return Some(quoted(text, b'\''));
    }
    (inside.next() == Some('\'')).then_some(1 + first.len_utf8() + 1)
}

/// The same code with items under `#[cfg(test)]` made blank.
pub(crate) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_string();
    let mut from = 0;
    while let Some(found) = out[from..].find(MARK) {
        let start = from + found;
        let end = item_end(&out, start + MARK.len());
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
        from = start + blank.len();
    }
    out
}

/// Where the item that begins after `from` ends: at its closing brace, or at a `;` before any brace.
fn item_end(code: &str, from: usize) -> usize {
    match body(code, from) {
        Some(body) => body.end,
        None => code[from..].find(';').map_or(code.len(), |end| from + end + 1),
    }
}

/// The braces that follow `from`, unless a `;` outside of brackets comes first.
fn body(code: &str, from: usize) -> Option<Range<usize>> {
    let (mut brackets, mut braces) = (0i32, 0i32);
    let mut start = from;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' if braces == 0 => brackets += 1,
            b')' | b']' if braces == 0 => brackets -= 1,
            b';' if braces == 0 && brackets == 0 => return None,
            b'{' if brackets == 0 => {
                if braces == 0 {
                    start = at;
                }
                braces += 1;
            }
            b'}' if brackets == 0 => {
                braces -= 1;
                if braces <= 0 {
                    return Some(start..at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The functions with a body, in order. `code` is what [`code`] answered.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if at > 0 && is_word(code.as_bytes()[at - 1]) {
            continue;
        }
        let name: String =
            code[at + 3..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(body) = body(code, at).filter(|_| !name.is_empty()) else { continue };
        let line = line_of(code, at);
        found.push(Function { name, line, lines: line_of(code, body.end - 1) - line + 1 });
    }
    found
}

/// The line of a place in the text, counted from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blank_and_lines_keep_their_length() {
        let source = concat!(
            "let a = \"x { // \\\" y\"; // unwrap()\n",
            "let b = r#\"todo! \" {\"#; /* a /* b */ { */ let c = '{';\n",
            "fn f<'a>(x: &'a str, y: u8) -> char { '\\'' } let z = b'\\\\'; let ü = 'é';\n",
            "let r#type = br\"{\"; let bar\u{e9} = \"é{\";",
        );
        let code = code(source);
        assert_eq!(code.len(), source.len());
        assert_eq!(code.lines().count(), 4);
        for gone in ["unwrap", "todo", "a /*", "x {", "'{'"] {
            assert!(!code.contains(gone), "{gone} in {code}");
        }
        assert!(code.contains("fn f<'a>(x: &'a str, y: u8)") && code.contains("let r#type ="), "{code}");
        assert_eq!(code.matches('{').count(), code.matches('}').count(), "{code}");
    }

    #[test]
    fn functions_are_measured_from_fn_to_the_closing_brace() {
        let source = "trait T { fn none(&self) -> [u8; 3]; }\nimpl X {\n    fn one() { if a { b } }\n    pub fn two(\n        x: [u8; 2],\n    ) -> Y {\n        struct S { z: u8 }\n    }\n}\ntype F = fn (u8);";
        let found = functions(&code(source));
        let expected = [("one", 3, 1), ("two", 4, 5)];
        let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn items_under_cfg_test_are_taken_out() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\n#[allow(x)]\nmod more {\n  fn b() { c } \n}\nfn d() {}\n";
        let rest = without_tests(&code(source));
        let names: Vec<_> = functions(&rest).into_iter().map(|function| function.name).collect();
        assert_eq!(names, ["a", "d"]);
        assert_eq!(rest.lines().count(), source.lines().count());
    }
}
