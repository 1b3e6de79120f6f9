//! The picture of the ladder: a panel for each failure, a row for each client, each panel with a time of its own.

#[cfg(test)]
pub(crate) mod sample;

use crate::picture::{Anchor, Canvas};

use super::case::{Doing, Outcome, crowded};

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 24.0;
/// Where time begins.
const LEFT: f64 = 112.0;
/// Where time ends.
const RIGHT: f64 = WIDTH - MARGIN;
/// Where the first panel begins.
const TOP: f64 = 106.0;
/// From the top of a panel to its rows.
const HEAD: f64 = 42.0;
const ROW: f64 = 19.0;
const BAR: f64 = 14.0;
/// For the strip below the rows.
const STRIP: f64 = 16.0;
const GAP: f64 = 26.0;
const WIDTH_MIN: f64 = 1.5;

/// Draws what happened.
pub(crate) fn draw(outcomes: &[Outcome]) -> String {
    let mut canvas = Canvas::default();
    let bottom = outcomes.iter().fold(TOP, |top, outcome| top + height(outcome) + GAP);
    let total = bottom + 14.0;
    canvas.rect("paper", [0.5, 0.5, WIDTH - 1.0, total - 1.0], 8.0);
    let title = "How each way to lock in Redis fails";
    canvas.text("title", (MARGIN, 36.0), Anchor::Start, title);
    let text = "Each client is given the failure that it is known for, on real servers. A, B and C add one to a \
                number under the lock.";
    canvas.text("quiet", (MARGIN, 57.0), Anchor::Start, text);
    legend(&mut canvas);
    let mut top = TOP;
    for outcome in outcomes {
        Panel { outcome, top }.draw(&mut canvas);
        top += height(outcome) + GAP;
    }
    let foot = "Drawn by `cargo lab simulate ladder --svg` from what was counted. Each panel has a time scale of \
                its own; a line is 100 ms.";
    canvas.text("quiet small", (MARGIN, total - 12.0), Anchor::Start, foot);
    let summary: Vec<String> =
        outcomes.iter().map(|it| format!("{} {}: {}", it.rung, it.client, it.happened)).collect();
    canvas.finish(WIDTH, total, title, &summary.join(". "))
}

fn legend(canvas: &mut Canvas) {
    let entries = [
        ("sells", "believes that it holds the lock", 192.0),
        ("waits", "asks for it", 84.0),
        ("paused", "crashed, or paused", 130.0),
        ("double", "two at once", 92.0),
        ("refused", "late write refused", 0.0),
    ];
    let (mut x, y) = (MARGIN, 81.0);
    for (class, text, width) in entries {
        match class {
            "refused" => canvas.cross((x + 9.0, y - 4.0)),
            "double" => canvas.rect(class, [x, y - 6.0, 18.0, 4.0], 2.0),
            _ => canvas.rect(class, [x, y - 10.0, 18.0, 12.0], 2.0),
        }
        canvas.text("small", (x + 24.0, y), Anchor::Start, text);
        x += width + 24.0;
    }
}

fn names(outcome: &Outcome) -> Vec<char> {
    let mut names: Vec<char> = outcome.spans.iter().map(|span| span.who).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn height(outcome: &Outcome) -> f64 {
    HEAD + names(outcome).len() as f64 * ROW + STRIP
}

struct Panel<'o> {
    outcome: &'o Outcome,
    top: f64,
}

impl Panel<'_> {
    fn draw(&self, canvas: &mut Canvas) {
        self.titles(canvas);
        let names = names(self.outcome);
        for (row, name) in names.iter().enumerate() {
            let y = self.row(row);
            canvas.rect("track", [LEFT, y, RIGHT - LEFT, BAR], 2.0);
            canvas.text("quiet", (LEFT - 10.0, y + 11.0), Anchor::End, &name.to_string());
        }
        let bottom = self.row(names.len());
        for tick in (0..=self.outcome.elapsed_ns / 100_000_000).map(|tick| tick * 100_000_000) {
            canvas.line("grid", (self.at(tick), self.row(0)), (self.at(tick), bottom + 4.0));
        }
        for span in &self.outcome.spans {
            let row = names.iter().position(|name| *name == span.who).unwrap_or_default();
            let class = match span.doing {
                Doing::Holds => "sells",
                Doing::Waits => "waits",
                Doing::Gone => "paused",
            };
            let (x, end) = (self.at(span.from_ns), self.at(span.until_ns));
            canvas.rect(class, [x, self.row(row), (end - x - 0.8).max(WIDTH_MIN), BAR], 2.0);
        }
        for (from_ns, until_ns) in crowded(&self.outcome.spans).1 {
            let x = self.at(from_ns);
            canvas.rect("double", [x, bottom, (self.at(until_ns) - x).max(WIDTH_MIN), 4.0], 0.0);
        }
        self.cross(canvas);
    }

    fn titles(&self, canvas: &mut Canvas) {
        let (outcome, y) = (self.outcome, self.top + 14.0);
        let rule = self.top - GAP / 2.0 + 5.0;
        canvas.line("rule", (MARGIN, rule), (RIGHT, rule));
        let title = format!("{}  {}", outcome.rung, outcome.client);
        canvas.text("lane", (MARGIN, y), Anchor::Start, &title);
        let held = !outcome.is_naive() && outcome.proves;
        let (class, mark) = if held { ("good", '✓') } else { ("bad", '✗') };
        let result = format!("{mark} {}", outcome.happened);
        canvas.text(&format!("strong {class}"), (RIGHT, y), Anchor::End, &result);
        canvas.text("quiet", (MARGIN, y + 18.0), Anchor::Start, outcome.failure);
        let told = format!("told: {}", outcome.told);
        canvas.text("quiet", (RIGHT, y + 18.0), Anchor::End, &told);
    }

    /// The late write comes when the next holder has begun and the first one has been stopped.
    fn cross(&self, canvas: &mut Canvas) {
        if self.outcome.counts.late_writes_refused == 0 {
            return;
        }
        let held = |who: char| {
            self.outcome.spans.iter().find(move |span| span.doing == Doing::Holds && span.who == who)
        };
        if let Some((first, next)) = held('A').zip(held('B')) {
            let at_ns = first.until_ns.max(next.from_ns);
            canvas.cross((self.at(at_ns) + 12.0, self.row(0) + BAR / 2.0));
        }
    }

    fn at(&self, nanos: u64) -> f64 {
        let length = self.outcome.elapsed_ns.max(1);
        LEFT + (RIGHT - LEFT) * (nanos.min(length) as f64 / length as f64)
    }

    fn row(&self, row: usize) -> f64 {
        self.top + HEAD + row as f64 * ROW
    }
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::*;

    #[test]
    fn every_case_has_its_panel_and_nothing_is_outside_of_the_paper() {
        let picture = draw(&[sample::two_holders(), sample::refused()]);
        let document = Document::parse(&picture).unwrap();
        let count =
            |class: &str| document.descendants().filter(|it| it.attribute("class") == Some(class)).count();
        // One of each is in the legend.
        assert_eq!((count("lane"), count("double"), count("refused"), count("waits")), (2, 2, 2, 2));
        assert!(!picture.contains("NaN"));
        for node in document.descendants().filter(|node| node.has_tag_name("rect")) {
            let number = |name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
            assert!(number("x") >= 0.0 && number("x") + number("width") <= WIDTH, "{node:?}");
        }
    }

    #[test]
    fn a_ladder_without_rungs_is_drawn_too() {
        assert!(Document::parse(&draw(&[])).is_ok());
    }
}
