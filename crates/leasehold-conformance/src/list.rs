//! Promise: the locks in use are listed by the beginning of their names: all of them, no others, in order.

use crate::prelude::*;

cases![
    those_that_begin_so_and_no_others[LISTS],
    by_name[LISTS],
    at_most_as_many_as_asked[LISTS],
    free_locks_are_not_listed[LISTS],
    a_prefix_is_no_pattern[LISTS],
    the_empty_prefix_is_everything[LISTS],
    a_listed_lock_is_as_inspected[LISTS],
    hundreds_are_all_listed[LISTS],
    a_store_without_it_refuses[NO_LISTS],
];

async fn hold(test: &Test, store: &Client, text: String) -> Result<Claim, Failure> {
    test.grant(store, test.claim(&test.named(text)?)).await
}

async fn names(store: &Client, prefix: &str, limit: usize) -> Result<Vec<String>, Failure> {
    let listed: Vec<Snapshot> = store.list(prefix, limit).await?;
    Ok(listed.into_iter().map(|snapshot| snapshot.name.as_str().to_owned()).collect())
}

/// A name that is the prefix itself is listed; one that contains it elsewhere is not.
pub async fn those_that_begin_so_and_no_others(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let root = test.unique();
    for text in
        [root.clone(), format!("{root}/a"), format!("{root}a"), format!("x{root}"), root[1..].to_owned()]
    {
        hold(test, &one, text).await?;
    }
    let wanted = vec![root.clone(), format!("{root}/a"), format!("{root}a")];
    same(names(&two, &root, 100).await?, wanted, "the locks listed by prefix")?;
    let (prefix, wanted) = (format!("{root}/"), vec![format!("{root}/a")]);
    same(names(&two, &prefix, 100).await?, wanted, "the locks listed by prefix")?;
    same(names(&two, &format!("{root}/ab"), 100).await?, vec![], "the locks listed by a longer prefix")
}

/// The list is ordered by the bytes of the names, not by arrival.
pub async fn by_name(test: &Test, store: Client) -> CaseResult {
    let root = test.unique();
    let mut wanted = Vec::new();
    for end in ["b", "a", "B", "é", "10", "9", "a/", "a!", "~", "🦀", ""] {
        wanted.push(format!("{root}{end}"));
        hold(test, &store, format!("{root}{end}")).await?;
    }
    wanted.sort_unstable();
    same(names(&store, &root, 100).await?, wanted, "the locks in the order of their names")
}

/// The first by name, when there are more.
pub async fn at_most_as_many_as_asked(test: &Test, store: Client) -> CaseResult {
    let root = test.unique();
    for end in ["c", "a", "d", "b"] {
        hold(test, &store, format!("{root}{end}")).await?;
    }
    let wanted = vec![format!("{root}a"), format!("{root}b")];
    same(names(&store, &root, 2).await?, wanted, "the first two of four")?;
    same(names(&store, &root, 0).await?, vec![], "none of four")?;
    same(names(&store, &root, usize::MAX).await?.len(), 4, "the number of all")
}

/// Neither what was released nor what was only refused or inspected; what is waited for is.
pub async fn free_locks_are_not_listed(test: &Test, store: Client) -> CaseResult {
    let root = test.unique();
    let released = hold(test, &store, format!("{root}a")).await?;
    let held = hold(test, &store, format!("{root}b")).await?;
    let_go(&store, &released).await?;
    kept_out(&store, &test.claim(&held.name), "another holds it").await?;
    store.inspect(&test.named(format!("{root}c"))?).await?;
    same(names(&store, &root, 100).await?, vec![format!("{root}b")], "the locks in use")
}

/// Special characters of SQL, Redis and paths are plain text in a prefix.
pub async fn a_prefix_is_no_pattern(test: &Test, store: Client) -> CaseResult {
    let root = test.unique();
    hold(test, &store, format!("{root}xyz")).await?;
    for wild in ["%", "_", "*", "?", "[x]", "x*", "\\", "\\x", ".*", "{x}", "'", "\"", "\0", "/../"] {
        let named = format!("{root}{wild}");
        same(names(&store, &named, 100).await?, vec![], &format!("no lock begins with {wild:?}"))?;
        let claim = hold(test, &store, named.clone()).await?;
        same(names(&store, &named, 100).await?, vec![named], &format!("one lock begins with {wild:?}"))?;
        let_go(&store, &claim).await?;
    }
    Ok(())
}

/// Everybody's locks, ours among them.
pub async fn the_empty_prefix_is_everything(test: &Test, store: Client) -> CaseResult {
    let claim = test.held(&store).await?;
    let all = names(&store, "", usize::MAX).await?;
    let ours = all.iter().any(|name| name == claim.name.as_str());
    ensure(ours, format!("{} among all locks", claim.name), format!("{} others", all.len()))
}

/// The same snapshot, holders and waiters.
pub async fn a_listed_lock_is_as_inspected(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let claim = test.grant(&one, Claim { note: Some("n".into()), ..test.claim(&test.name()) }).await?;
    let waiter = test.barging(&claim.name);
    kept_out(&two, &waiter, "another holds it").await?;
    let mut listed = two.list(claim.name.as_str(), 10).await?;
    let inspected = two.inspect(&claim.name).await?;
    let (Some(first), 1) = (listed.pop(), listed.len() + 1) else {
        return ensure(false, "one lock of this name", listed);
    };
    let essence = |snapshot: Snapshot| -> (LockName, Vec<_>) {
        let all = snapshot.holders.into_iter().chain(snapshot.waiters);
        (snapshot.name, all.map(|it| (it.tag, it.stance, it.mode, it.note, it.fence)).collect())
    };
    same(essence(first), essence(inspected), "the listed lock as it is inspected")
}

/// A store that reads in pages reads them all.
pub async fn hundreds_are_all_listed(test: &Test, [one, two]: [Client; 2]) -> CaseResult {
    let root = test.unique();
    let mut wanted = Vec::new();
    for number in 0..300 {
        let text = format!("{root}/{number:03}");
        hold(test, &one, text.clone()).await?;
        wanted.push(text);
    }
    same(names(&two, &root, 1000).await?, wanted.clone(), "three hundred locks")?;
    wanted.truncate(257);
    same(names(&two, &root, 257).await?, wanted, "the first 257 of three hundred")
}

/// An error, and no empty list: that would say that nobody holds anything.
pub async fn a_store_without_it_refuses(test: &Test, store: Client) -> CaseResult {
    test.held(&store).await?;
    fails(store.list("", 10).await, ErrorKind::Unsupported, "a list").map(drop)
}
