//! The table, in Markdown.

use std::time::Duration;

use crate::contender::Figures;

pub(crate) fn head() -> &'static str {
    "| store | who | one task: pairs/s | ours : theirs | 16 tasks: pairs/s | ours : theirs | hand-over p50 | p99 | p50, theirs : ours |\n\
     |---|---|---|---|---|---|---|---|---|"
}

/// One contender beside ours.
pub(crate) fn row(store: &str, who: &str, figures: &Figures, ours: &Figures) -> String {
    let is_ours = std::ptr::eq(figures, ours);
    let share = |theirs: &[Option<f64>], ours: &[Option<f64>]| {
        let ratios = ours.iter().zip(theirs).filter_map(|(ours, theirs)| Some((*ours)? / (*theirs)?));
        median(ratios.collect()).filter(|_| !is_ours)
    };
    let wait = |figures: &Figures| figures.waits.quantile(0.5);
    let later = wait(figures).zip(wait(ours)).filter(|_| !is_ours);
    let cells = [
        store.to_string(),
        who.to_string(),
        rate(&figures.alone),
        ratio(share(&figures.alone, &ours.alone)),
        rate(&figures.many),
        ratio(share(&figures.many, &ours.many)),
        span(wait(figures)),
        span(figures.waits.quantile(0.99)),
        ratio(later.map(|(theirs, ours)| theirs.as_secs_f64() / ours.as_secs_f64())),
    ];
    format!("| {} |", cells.join(" | "))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn rate(rounds: &[Option<f64>]) -> String {
    median(rounds.iter().flatten().copied().collect()).map_or(String::new(), |rate| format!("{rate:.0}"))
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"))
}

fn span(span: Option<Duration>) -> String {
    let micros = |span: Duration| span.as_secs_f64() * 1e6;
    match span {
        None => String::new(),
        Some(span) if span < Duration::from_millis(1) => format!("{:.0} µs", micros(span)),
        Some(span) => format!("{:.1} ms", micros(span) / 1e3),
    }
}
