//! Where spans of time overlap.

/// The greatest number of spans at once, and the stretches with two or more.
pub(crate) fn overlaps(spans: impl Iterator<Item = (u64, u64)>) -> (usize, Vec<(u64, u64)>) {
    // An end sorts before a beginning at the same time.
    let mut changes: Vec<(u64, bool)> =
        spans.flat_map(|(from, until)| [(from, true), (until, false)]).collect();
    changes.sort_unstable();
    let (mut count, mut most, mut since, mut together) = (0_usize, 0, 0, Vec::new());
    for (at, begins) in changes {
        count = if begins { count + 1 } else { count.saturating_sub(1) };
        match (begins, count) {
            (true, 2) => since = at,
            (false, 1) if at > since => together.push((since, at)),
            _ => {}
        }
        most = most.max(count);
    }
    (most, together)
}
