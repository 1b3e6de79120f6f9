//! The picture of the ladder: a panel for each failure with its own time, and a row for each client.

use super::result::{Activity, ExperimentResult, overlaps};
use crate::svg::{Anchor, Canvas, MARGIN, RIGHT, Scale, WIDTH};

const TOP: f64 = 106.0;
/// From the top of a panel to its rows.
const HEAD: f64 = 42.0;
const ROW: f64 = 19.0;
const BAR: f64 = 14.0;
/// For the strip below the rows.
const STRIP: f64 = 16.0;
const GAP: f64 = 26.0;

pub(crate) fn draw(results: &[ExperimentResult]) -> String {
    let bottom = results.iter().fold(TOP, |top, result| top + height(result) + GAP);
    let total = bottom + 14.0;
    let title = "How each way to lock in Redis fails";
    let text = "Each client is given the failure that it is known for, on real servers. A, B and C add one to a \
                number under the lock.";
    let mut canvas = Canvas::page(total, title, text);
    let entries = [
        ("sells", "believes that it holds the lock", 192.0),
        ("waits", "asks for it", 84.0),
        ("paused", "crashed, or paused", 130.0),
        ("double", "two at once", 92.0),
        ("refused", "late write refused", 0.0),
    ];
    canvas.legend((MARGIN, 81.0), 24.0, &entries);
    let mut top = TOP;
    for result in results {
        Panel { result, top }.draw(&mut canvas);
        top += height(result) + GAP;
    }
    let foot = "Drawn by `cargo lab simulate ladder --svg` from what was counted. Each panel has a time scale of \
                its own; a line is 100 ms.";
    canvas.text("quiet small", (MARGIN, total - 12.0), Anchor::Start, foot);
    let summary: Vec<String> =
        results.iter().map(|it| format!("{} {}: {}", it.rung, it.client, it.happened)).collect();
    canvas.finish(WIDTH, total, title, &summary.join(". "))
}

fn names(result: &ExperimentResult) -> Vec<char> {
    let mut names: Vec<char> = result.spans.iter().map(|span| span.client).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn height(result: &ExperimentResult) -> f64 {
    HEAD + names(result).len() as f64 * ROW + STRIP
}

struct Panel<'o> {
    result: &'o ExperimentResult,
    top: f64,
}

impl Panel<'_> {
    fn draw(&self, canvas: &mut Canvas) {
        self.titles(canvas);
        let scale = self.scale();
        let names = names(self.result);
        for (row, name) in names.iter().enumerate() {
            canvas.track(self.row(row), BAR, &name.to_string());
        }
        let bottom = self.row(names.len());
        for tick in (0..=self.result.elapsed_ns / 100_000_000).map(|tick| tick * 100_000_000) {
            canvas.line("grid", (scale.x(tick), self.row(0)), (scale.x(tick), bottom + 4.0));
        }
        for span in &self.result.spans {
            let row = names.iter().position(|name| *name == span.client).unwrap_or_default();
            let class = match span.activity {
                Activity::Holds => "sells",
                Activity::Waits => "waits",
                Activity::Gone => "paused",
            };
            scale.bar(canvas, class, (span.from_ns, span.until_ns), (self.row(row), BAR));
        }
        for together in overlaps(&self.result.spans).1 {
            scale.bar(canvas, "double", together, (bottom, 4.0));
        }
        self.cross(canvas);
    }

    fn titles(&self, canvas: &mut Canvas) {
        let (result, y) = (self.result, self.top + 14.0);
        let rule = self.top - GAP / 2.0 + 5.0;
        canvas.line("rule", (MARGIN, rule), (RIGHT, rule));
        let title = format!("{}  {}", result.rung, result.client);
        canvas.text("lane", (MARGIN, y), Anchor::Start, &title);
        let held = !result.expected.is_failure() && result.proves;
        let (class, mark) = if held { ("good", '✓') } else { ("bad", '✗') };
        let headline = format!("{mark} {}", result.happened);
        canvas.text(&format!("strong {class}"), (RIGHT, y), Anchor::End, &headline);
        canvas.text("quiet", (MARGIN, y + 18.0), Anchor::Start, result.failure);
        let told = format!("told: {}", result.told);
        canvas.text("quiet", (RIGHT, y + 18.0), Anchor::End, &told);
    }

    /// The late write comes when the next holder has begun and the first one has been stopped.
    fn cross(&self, canvas: &mut Canvas) {
        if self.result.counts.late_writes_refused == 0 {
            return;
        }
        let held = |client: char| {
            self.result
                .spans
                .iter()
                .find(move |span| span.activity == Activity::Holds && span.client == client)
        };
        if let Some((first, next)) = held('A').zip(held('B')) {
            let at_ns = first.until_ns.max(next.from_ns);
            canvas.cross((self.scale().x(at_ns) + 12.0, self.row(0) + BAR / 2.0));
        }
    }

    fn scale(&self) -> Scale {
        Scale { end: self.result.elapsed_ns }
    }

    fn row(&self, row: usize) -> f64 {
        self.top + HEAD + row as f64 * ROW
    }
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::{super::tests as results, *};

    #[test]
    fn every_case_has_its_panel_and_nothing_is_outside_of_the_paper() {
        let drawn = draw(&[results::two_holders(), results::refused()]);
        let document = Document::parse(&drawn).unwrap();
        let count =
            |class: &str| document.descendants().filter(|it| it.attribute("class") == Some(class)).count();
        // One of each is in the legend.
        assert_eq!((count("lane"), count("double"), count("refused"), count("waits")), (2, 2, 2, 2));
        assert!(!drawn.contains("NaN"));
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
