//! [`Canvas`]: the shapes of SVG that the pictures need; [`Scale`]: the time of a timeline.

use std::fmt::Write;

/// An SVG document in the making. Colours are classes, so that a style sheet can serve light and dark pages.
#[derive(Default, Debug)]
pub(crate) struct Canvas {
    body: String,
}

/// The width of every picture.
pub(crate) const WIDTH: f64 = 1000.0;
/// The margin of every picture.
pub(crate) const MARGIN: f64 = 24.0;
/// The beginning of time on a timeline.
pub(crate) const LEFT: f64 = 112.0;
/// The end of time on a timeline.
pub(crate) const RIGHT: f64 = WIDTH - MARGIN;
/// The narrowest visible bar.
const BAR_MIN: f64 = 1.2;
/// The gap between two bars that touch.
const BAR_GAP: f64 = 0.8;

/// The scale of a timeline that begins at 0, in any unit of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) end: u64,
}

impl Scale {
    /// The position of a point of time.
    pub(crate) fn x(self, at: u64) -> f64 {
        let end = self.end.max(1);
        LEFT + (RIGHT - LEFT) * (at.min(end) as f64 / end as f64)
    }

    /// Draws a span of time; returns its width.
    pub(crate) fn bar(
        self,
        canvas: &mut Canvas,
        class: &str,
        (from, until): (u64, u64),
        (y, height): (f64, f64),
    ) -> f64 {
        let (x, end) = (self.x(from), self.x(until));
        let width = (end - x - BAR_GAP).max(BAR_MIN);
        canvas.rect(class, [x, y, width, height], 2.0);
        width
    }
}

/// The side of a text that is at its point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Canvas {
    /// A page with a title and a line of text below it.
    pub(crate) fn page(height: f64, title: &str, text: &str) -> Canvas {
        let mut canvas = Canvas::default();
        canvas.rect("paper", [0.5, 0.5, WIDTH - 1.0, height - 1.0], 8.0);
        canvas.text("title", (MARGIN, 36.0), Anchor::Start, title);
        canvas.text("quiet", (MARGIN, 57.0), Anchor::Start, text);
        canvas
    }

    /// The empty row of one process of a timeline.
    pub(crate) fn track(&mut self, y: f64, height: f64, label: &str) {
        self.rect("track", [LEFT, y, RIGHT - LEFT, height], 2.0);
        self.text("quiet", (LEFT - 10.0, y + (height + 9.0) / 2.0), Anchor::End, label);
    }

    /// Explains classes, each with the width of its words, from left to right; returns its end.
    pub(crate) fn legend(&mut self, (mut x, y): (f64, f64), gap: f64, entries: &[(&str, &str, f64)]) -> f64 {
        for (class, words, width) in entries {
            match *class {
                "refused" => self.cross((x + 9.0, y - 4.0)),
                "double" => self.rect(class, [x, y - 6.0, 18.0, 4.0], 2.0),
                _ => self.rect(class, [x, y - 10.0, 18.0, 12.0], 2.0),
            }
            self.text("small", (x + 24.0, y), Anchor::Start, words);
            x += width + gap;
        }
        x
    }

    /// A rectangle with corners rounded by `radius`.
    pub(crate) fn rect(&mut self, class: &str, [x, y, width, height]: [f64; 4], radius: f64) {
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\"/>"
        ));
    }

    pub(crate) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    pub(crate) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut shape = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let verb = if index == 0 { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            let _ = write!(shape, "{verb}{x:.1} {y:.1}");
        }
        self.put(format_args!("<path class=\"{class}\" d=\"{shape}\"/>"));
    }

    pub(crate) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    /// The mark of a refused write.
    pub(crate) fn cross(&mut self, (x, y): (f64, f64)) {
        self.put(format_args!("<circle class=\"refused\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"8.5\"/>"));
        self.line("cross", (x - 3.5, y - 3.5), (x + 3.5, y + 3.5));
        self.line("cross", (x - 3.5, y + 3.5), (x + 3.5, y - 3.5));
    }

    pub(crate) fn finish(self, width: f64, height: f64, title: &str, description: &str) -> String {
        let (title, description) = (escape(title), escape(description));
        let style = include_str!("svg/style.css");
        let body = self.body;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
             <title>{title}</title>\n<desc>{description}</desc>\n<style>\n{style}</style>\n\
             <defs><pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
             <line class=\"hatch\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"5\"/></pattern></defs>\n{body}</svg>\n"
        )
    }

    fn put(&mut self, shape: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.body, "{shape}");
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
