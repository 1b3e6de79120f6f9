//! [`Screen`]: the state of `top` on a terminal, the effect of each key, and the drawing. No clock and no I/O.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use leasehold::{LockName, store::Snapshot};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{HighlightSpacing, Paragraph, Row, Table, TableState},
};

use super::board::{Board, Sort};
use crate::cmd::list::{HEADS, cells};

/// Cells of the bar of the time left.
const BAR: usize = 8;
/// The mark of the selected row, which is seen without colours.
const MARK: &str = "> ";
/// The columns that may be left out, by their places in [`HEADS`].
const MODE: usize = 1;
const HOLDER: usize = 2;
const AGE: usize = 3;
const LEFT: usize = 4;
const TOKEN: usize = 5;
const WAITING: usize = 6;
/// Width of the time left without its bar.
const LEFT_BARE: u16 = 9;
/// The least widths of the columns where there is room for all.
const WIDTHS: [u16; HEADS.len()] = [24, 10, 15, 9, LEFT_BARE + 1 + BAR as u16, 17, 7];
/// Rows that a page key moves by.
const PAGE: usize = 10;

/// The effect of a key outside of the screen.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Action {
    None,
    Quit,
    /// The lock is open now: it is followed.
    Open(LockName),
    Close,
    ForceRelease(LockName),
}

/// The line at the bottom.
#[derive(Default, PartialEq, Eq, Debug)]
enum Entry {
    #[default]
    None,
    Filter,
    /// The name of the lock as far as it is typed.
    Confirm(LockName, String),
}

#[derive(Default)]
pub(crate) struct Screen {
    pub(crate) board: Board,
    sort: Sort,
    /// Its URL without secrets.
    store: String,
    /// The last result of a command.
    pub(crate) message: String,
    /// The error of the last scan.
    pub(crate) away: Option<String>,
    filter: String,
    entry: Entry,
    selected: usize,
    opened: Option<LockName>,
}

impl Screen {
    pub(crate) fn new(sort: Sort, store: String) -> Self {
        Screen { sort, store, ..Screen::default() }
    }

    pub(crate) fn key(&mut self, key: KeyEvent) -> Action {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Action::Quit;
        }
        match std::mem::take(&mut self.entry) {
            Entry::None => self.command(key.code),
            Entry::Filter => {
                let goes_on = edit(&mut self.filter, key.code);
                if key.code == KeyCode::Esc {
                    self.filter.clear();
                }
                self.entry = if goes_on { Entry::Filter } else { Entry::None };
                Action::None
            }
            Entry::Confirm(name, mut typed) => {
                if edit(&mut typed, key.code) {
                    self.entry = Entry::Confirm(name, typed);
                    return Action::None;
                }
                // A name with control characters is typed as it is shown.
                if key.code == KeyCode::Enter && (typed == name.as_str() || typed == name.to_string()) {
                    return Action::ForceRelease(name);
                }
                self.message = "nothing was released".to_string();
                Action::None
            }
        }
    }

    fn command(&mut self, key: KeyCode) -> Action {
        self.message.clear();
        match key {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Esc if self.opened.take().is_some() => return Action::Close,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('/') if self.opened.is_none() => self.entry = Entry::Filter,
            KeyCode::Char('f') => {
                if let Some(name) = self.subject() {
                    self.entry = Entry::Confirm(name, String::new());
                }
            }
            KeyCode::Enter if self.opened.is_none() => {
                self.opened = self.subject();
                return self.opened.clone().map_or(Action::None, Action::Open);
            }
            key => self.moved(key),
        }
        Action::None
    }

    fn moved(&mut self, key: KeyCode) {
        let at = self.selected;
        self.selected = match key {
            KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => at + 1,
            KeyCode::PageUp => at.saturating_sub(PAGE),
            KeyCode::PageDown => at + PAGE,
            KeyCode::Home => 0,
            KeyCode::End => usize::MAX,
            _ => at,
        };
        let last = self.board.shown(&self.filter, self.sort).len().saturating_sub(1);
        self.selected = self.selected.min(last);
    }

    /// The opened lock, or the one under the bar.
    fn subject(&self) -> Option<LockName> {
        self.opened
            .clone()
            .or_else(|| Some(self.board.shown(&self.filter, self.sort).get(self.selected)?.name.clone()))
    }

    /// Draws the screen, if `elapsed` has passed since the last scan. `page` describes one lock.
    pub(crate) fn draw(&self, frame: &mut Frame<'_>, elapsed: Duration, page: impl Fn(&Snapshot) -> String) {
        let last = self.foot(frame.area().width);
        let height = u16::try_from(last.len()).unwrap_or(u16::MAX);
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(height)])
                .areas(frame.area());
        let store = Line::from(format!("leasehold top · {}", self.store)).style(Modifier::BOLD);
        frame.render_widget(Paragraph::new(vec![store, Line::from(self.board.summary())]), head);
        match &self.opened {
            Some(name) => {
                let lock = self.board.locks.binary_search_by(|lock| lock.name.cmp(name));
                let text = lock.map_or_else(
                    |_| format!("lock     {name}\nstate    free"),
                    |at| page(&self.board.locks[at]),
                );
                frame.render_widget(Paragraph::new(text), body);
            }
            None => self.draw_locks(frame, body, elapsed),
        }
        frame.render_widget(Paragraph::new(last), foot);
    }

    fn draw_locks(&self, frame: &mut Frame<'_>, area: Rect, elapsed: Duration) {
        let locks = self.board.shown(&self.filter, self.sort);
        // Only the rows in sight are laid out.
        let height = usize::from(area.height.saturating_sub(1)).max(1);
        let selected = self.selected.min(locks.len().saturating_sub(1));
        let first = selected / height * height;
        let seen = || locks.iter().skip(first).take(height);
        let longest = seen().map(|lock| Span::raw(lock.name.to_string()).width()).max().unwrap_or(0);
        let widths = widths(area.width, u16::try_from(longest).unwrap_or(u16::MAX));
        let rows = seen().map(|lock| self.row(lock, elapsed, &widths));
        let mut state = TableState::new().with_selected(selected - first);
        frame.render_stateful_widget(table(rows, &widths), area, &mut state);
    }

    fn row(&self, lock: &Snapshot, elapsed: Duration, widths: &[u16; HEADS.len()]) -> Row<'static> {
        let mut cells = cells(lock, elapsed);
        if widths[LEFT] > LEFT_BARE {
            cells[LEFT] = format!("{} {}", self.bar(lock, elapsed), cells[LEFT]);
        }
        let style = if lock.waiters.is_empty() { Style::new() } else { Style::new().bold() };
        Row::new(kept(cells, widths)).style(style)
    }

    /// The part of its time to live that the first holder has left.
    fn bar(&self, lock: &Snapshot, elapsed: Duration) -> String {
        let share = lock.holders.first().and_then(|holder| self.board.share_left(holder, elapsed));
        share.map_or_else(String::new, |share| {
            let full = (share * BAR as f64).round() as usize;
            "█".repeat(full.min(BAR)) + &"░".repeat(BAR.saturating_sub(full))
        })
    }

    /// The lines at the bottom. The name to type and the input come first, and whole: a warning may be cut.
    fn foot(&self, width: u16) -> Vec<Line<'static>> {
        let Entry::Confirm(name, typed) = &self.entry else { return vec![Line::from(self.hint())] };
        let prompt = format!("type `{name}` to release it by force:");
        let mut lines = folded(&prompt, width);
        lines.extend(folded(&format!("{MARK}{typed}▏"), width));
        lines.push(Line::from("an evicted holder may not notice at once"));
        lines
    }

    fn hint(&self) -> String {
        match &self.entry {
            Entry::Filter => format!("filter: {}▏ (Enter keeps it, Esc clears it)", self.filter),
            Entry::Confirm(..) => String::new(),
            Entry::None if self.away.is_some() => self.away.clone().unwrap_or_default(),
            Entry::None if !self.message.is_empty() => self.message.clone(),
            Entry::None => {
                let filter = if self.filter.is_empty() {
                    "/ filter".to_string()
                } else {
                    format!("/ filter: {}", self.filter)
                };
                let open = if self.opened.is_some() { "Esc back" } else { "Enter open" };
                format!(
                    "q quit · ↑↓ move · {open} · s sort: {} · {filter} · f force-release",
                    self.sort.word()
                )
            }
        }
    }
}

/// Edits a line; `false` at its end.
fn edit(line: &mut String, key: KeyCode) -> bool {
    match key {
        KeyCode::Char(character) => line.push(character),
        KeyCode::Backspace => drop(line.pop()),
        KeyCode::Enter | KeyCode::Esc => return false,
        _ => {}
    }
    true
}

/// A text in lines of so many columns.
fn folded(text: &str, width: u16) -> Vec<Line<'static>> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for character in text.chars() {
        line.push(character);
        if Span::raw(line.as_str()).width() > usize::from(width.max(2)) {
            line.pop();
            lines.push(Line::from(std::mem::replace(&mut line, character.to_string())));
        }
    }
    lines.push(Line::from(line));
    lines
}

/// The widths of the columns; 0 for those that are left out. The name has what the `longest` needs before others grow.
fn widths(total: u16, longest: u16) -> [u16; HEADS.len()] {
    let mut widths = WIDTHS;
    let taken = |widths: &[u16]| {
        let gaps = widths.iter().filter(|width| **width > 0).count().saturating_sub(1);
        widths.iter().sum::<u16>() + (gaps + MARK.len()) as u16
    };
    let less = [(TOKEN, 0), (MODE, 0), (LEFT, LEFT_BARE), (AGE, 0), (WAITING, 0), (HOLDER, 0), (LEFT, 0)];
    for (column, width) in less {
        if taken(&widths) > total {
            widths[column] = width;
        }
    }
    let spare = total.saturating_sub(taken(&widths));
    let has_holder = widths[HOLDER] > 0;
    let for_name = longest.saturating_sub(WIDTHS[0]).max(spare / 7 * 3).min(spare);
    let for_name = if has_holder { for_name } else { spare };
    widths[0] += for_name;
    widths[HOLDER] += spare - for_name;
    widths
}

/// The cells of the columns that are not left out.
fn kept<T>(cells: [T; HEADS.len()], widths: &[u16; HEADS.len()]) -> impl Iterator<Item = T> {
    cells.into_iter().zip(*widths).filter(|(_, width)| *width > 0).map(|(cell, _)| cell)
}

fn table<'a>(rows: impl Iterator<Item = Row<'a>>, widths: &[u16; HEADS.len()]) -> Table<'a> {
    let lengths = kept(widths.map(Constraint::Length), widths);
    Table::new(rows, lengths)
        .header(Row::new(kept(HEADS, widths)).style(Modifier::UNDERLINED))
        .highlight_symbol(MARK)
        .highlight_spacing(HighlightSpacing::Always)
        .row_highlight_style(Modifier::REVERSED)
}

#[cfg(test)]
#[path = "tests/screen.rs"]
mod tests;
