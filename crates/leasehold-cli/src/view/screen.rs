//! [`Screen`]: the state of `top` on a terminal, the effect of each key, and the drawing. No clock and no I/O.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use leasehold::{LockName, store::Snapshot};
use ratatui::{
    Frame,
    layout::{Constraint, Layout},
    style::{Modifier, Style},
    text::Line,
    widgets::{Paragraph, Row, Table, TableState},
};

use super::board::{Board, Sort};
use crate::cmd::list::{HEADS, cells};

/// Cells of the bar of the time left.
const BAR: usize = 8;
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
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)])
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
            None => {
                let locks = self.board.shown(&self.filter, self.sort);
                // Only the rows in sight are laid out.
                let height = usize::from(body.height.saturating_sub(1)).max(1);
                let selected = self.selected.min(locks.len().saturating_sub(1));
                let first = selected / height * height;
                let rows = locks.iter().skip(first).take(height).map(|lock| self.row(lock, elapsed));
                let mut state = TableState::new().with_selected(selected - first);
                frame.render_stateful_widget(table(rows), body, &mut state);
            }
        }
        frame.render_widget(Line::from(self.foot()), foot);
    }

    fn row(&self, lock: &Snapshot, elapsed: Duration) -> Row<'static> {
        let [name, mode, holder, age, left, token, waiting] = cells(lock, elapsed);
        let share = lock.holders.first().and_then(|holder| self.board.share_left(holder, elapsed));
        let bar = share.map_or_else(String::new, |share| {
            let full = (share * BAR as f64).round() as usize;
            "█".repeat(full.min(BAR)) + &"░".repeat(BAR.saturating_sub(full))
        });
        let style = if lock.waiters.is_empty() { Style::new() } else { Style::new().bold() };
        Row::new([name, mode, holder, age, format!("{bar} {left}"), token, waiting]).style(style)
    }

    fn foot(&self) -> String {
        match &self.entry {
            Entry::Filter => format!("filter: {}▏ (Enter keeps it, Esc clears it)", self.filter),
            Entry::Confirm(name, typed) => {
                format!(
                    "an evicted holder may not notice at once; type `{name}` to release it by force: {typed}▏"
                )
            }
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

fn table<'a>(rows: impl Iterator<Item = Row<'a>>) -> Table<'a> {
    let widths = [
        Constraint::Fill(3),
        Constraint::Length(10),
        Constraint::Fill(4),
        Constraint::Length(9),
        Constraint::Length(18),
        Constraint::Length(17),
        Constraint::Length(7),
    ];
    Table::new(rows, widths)
        .header(Row::new(HEADS).style(Modifier::UNDERLINED))
        .row_highlight_style(Modifier::REVERSED)
}

#[cfg(test)]
#[path = "tests/screen.rs"]
mod tests;
