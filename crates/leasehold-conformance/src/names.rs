//! Promise: two names that differ in one byte are two locks, whatever the bytes, and come back as they were given.

use crate::prelude::*;

cases![
    hostile_names_are_distinct_locks,
    hostile_names_come_back_from_the_list[LISTS],
    hostile_beginnings_are_distinct_locks,
    names_that_are_prefixes_of_each_other_are_distinct,
    the_longest_names_are_distinct,
    a_hostile_note_comes_back[NOTES],
];

/// Texts that an encoding has missed before.
const HOSTILE: &[&[&str]] = &[
    // Spaces and control characters.
    &["a ", " a", "  a", "a\t", "\ta", "a\n", "a\r\n", "\0", "a\0", "a\0b", "\0a"],
    // Paths.
    &["/", "//", "a/", "a//", "/a", "a/b", "a/./b", "a/../b", ".", "..", "../..", "./a", "a/.."],
    // Delimiters of commands, patterns, cluster slots and file systems.
    &[
        "{}", "{a}", "a{", "}a", "{a}b", "{b}a", "*", "a*", "?", "[a]", "[!a]", "\\", "\\a", "a\\", "%",
        "%%", "%2F", "%2f", "%00", "_", "a_b", "a-b", "a%b", "'", "\"", "a:b", "a::b", ":", "::", "a|b",
        "a;b", "a,b", "a=b", "a&b", "a#b", "#", "$", "$(x)", "`x`", "~", "!", "@", "+", "<a>", "(a)", "-0",
        "0.0", "a.lock", "lock:a", "=C1=A1", "base64==",
    ],
    // Words and numbers that mean something elsewhere.
    &[
        "a", "A", "s", "ss", "fi", "0", "00", "1e0", "null", "nil", "true", "NaN", "CON", "lease", "fence",
        "queue",
    ],
    // Characters that look alike, fold to one another, or show nothing.
    &[
        "\u{7f}", "\u{80}", "\u{feff}", "\u{200b}", "é", "e\u{301}", "É", "ſ", "ß", "ẞ", "İ", "i\u{307}",
        "ı", "\u{212b}", "\u{c5}", "A\u{30a}", "ﬁ", "한", "🦀", "👩🔬", "\u{fffd}", "a\u{a0}", "\u{2028}",
        "\u{85}",
    ],
    // The same, longer.
    &[
        "a\r\nset x 0 0 1\r\n1\r\n",
        "'; drop table locks; --",
        "\u{1b}[31m",
        "\u{feff}a",
        "a\u{200b}",
        "\u{202e}a",
        "\u{1112}\u{1161}\u{11ab}",
        "👩\u{200d}🔬",
        "\u{10ffff}",
        "__proto__",
        "xn--nxasmq6b",
        "\u{e9}\u{301}",
        "a\u{3000}",
    ],
];

fn hostile<'a>() -> impl Iterator<Item = &'a str> {
    HOSTILE.iter().copied().flatten().copied()
}

/// All held at once, each by its own claim: none is taken for another.
pub async fn hostile_names_are_distinct_locks(test: &Test, clients: [Client; 2]) -> CaseResult {
    let root = test.unique();
    distinct(test, clients, hostile().map(|end| format!("{root}{end}")).collect()).await
}

/// The same with the hostile part in front.
pub async fn hostile_beginnings_are_distinct_locks(test: &Test, clients: [Client; 2]) -> CaseResult {
    let root = test.unique();
    let texts: Vec<_> = hostile().map(|begin| format!("{begin}{root}")).collect();
    for text in &texts {
        let store = test.client().await?;
        let claim = test.claim(&test.named(text)?);
        take(&store, &claim, &format!("nobody holds {text:?}")).await?;
        let wanted = vec![claim.name.clone()];
        same(test.listed(&store, text, &wanted).await?, wanted, "the lock listed by its name")?;
        let_go(&store, &claim).await?;
    }
    distinct(test, clients, texts).await
}

async fn distinct(test: &Test, [one, two]: [Client; 2], texts: Vec<String>) -> CaseResult {
    let claims = hold_all(test, &one, &texts).await?;
    for claim in &claims {
        let name = &claim.name;
        kept_out(&two, &test.claim(name), &format!("{name:?} is held")).await?;
        let snapshot = two.inspect(name).await?;
        same(&snapshot.name, name, "the name in the snapshot")?;
        same(snapshot.holders.len(), 1, &format!("the number of holders of {name:?}"))?;
    }
    for claim in &claims {
        let_go(&two, claim).await?;
    }
    Ok(())
}

async fn hold_all(test: &Test, store: &Client, texts: &[String]) -> Result<Vec<Claim>, Failure> {
    let mut claims = Vec::new();
    for text in texts {
        let claim = test.claim(&test.named(text)?);
        let expected = format!("nobody holds {text:?}, though {} other names are held", claims.len());
        take(store, &claim, &expected).await?;
        claims.push(claim);
    }
    Ok(claims)
}

/// Byte for byte, in the order of their bytes.
pub async fn hostile_names_come_back_from_the_list(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let root = test.unique();
    let mut texts: Vec<_> = hostile().map(|end| format!("{root}{end}")).collect();
    let claims = hold_all(test, &one, &texts).await?;
    texts.sort_unstable();
    let listed: Vec<_> =
        two.list(&root, 1000).await?.into_iter().map(|it| it.name.as_str().to_owned()).collect();
    for (found, wanted) in listed.iter().zip(&texts) {
        same(found, wanted, "the next name of the list")?;
    }
    same(listed.len(), texts.len(), "the number of names listed")?;
    for claim in claims {
        one.release(&claim).await?;
    }
    Ok(())
}

/// `a`, `a/`, `a/b`, `a/b/c`: no name is the parent of another.
pub async fn names_that_are_prefixes_of_each_other_are_distinct(
    test: &Test,
    clients: [Client; 2],
) -> CaseResult {
    let root = test.unique();
    let whole = format!("{root}/b/c:d-e.f g");
    let texts = (root.len()..=whole.len()).map(|end| whole[..end].to_owned()).collect();
    distinct(test, clients, texts).await
}

/// 512 bytes, alike in all but the last, the middle or the first.
pub async fn the_longest_names_are_distinct(test: &Test, clients: [Client; 2]) -> CaseResult {
    let root = test.unique();
    let fill = LockName::BYTES_MAX - root.len();
    let plain = format!("{root}{}", "x".repeat(fill));
    let shorter = plain[..plain.len() - 1].to_owned();
    let last = format!("{shorter}y");
    let middle = format!("{}y{}", &plain[..256], &plain[257..]);
    let wide = format!("{root}{}", "π".repeat(fill / 2));
    let spaces = format!("{root}{}", " ".repeat(fill));
    let slashes = format!("{root}{}", "/".repeat(fill));
    let escapes = format!("{root}{}", "\0".repeat(fill));
    let dots = format!("{root}{}", "/..".repeat(fill / 3));
    distinct(test, clients, vec![plain, shorter, last, middle, wide, spaces, slashes, escapes, dots]).await
}

/// Notes are arbitrary text too.
pub async fn a_hostile_note_comes_back(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let long = "x".repeat(Claim::NOTE_BYTES_MAX);
    for note in hostile().chain([long.as_str(), ""]) {
        let claim = test.grant(&one, Claim { note: Some(note.into()), ..test.claim(&test.name()) }).await?;
        let snapshot = two.inspect(&claim.name).await?;
        let found = snapshot.holders.first().and_then(|holder| holder.note.as_deref());
        same(found, Some(note), "the note")?;
        let_go(&one, &claim).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_hostile_name_is_listed_twice() {
        let mut names: Vec<_> = super::hostile().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), count), (128, 128));
    }
}
