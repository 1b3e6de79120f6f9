//! Waiting for a lock, in sight of whoever waits.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use leasehold::{Busy, Env, LockName, Mode};
use rustix::process::Signal;
use serde_json::json;

use crate::{
    args::Waiting,
    duration::{millis, show},
    exit,
    holder::{held_by, ordinal, to_json},
    lock::{Hold, Lock},
    message::{Output, write_stderr},
    supervise::signals::Signals,
};

/// Shorter waits are not worth a word.
const QUIET: Duration = Duration::from_millis(400);
/// How often the line on a terminal is rewritten.
const REDRAW: Duration = Duration::from_secs(1);

/// What became of the wait.
pub(crate) enum Entry {
    /// The lock is held.
    Held(Hold),
    /// It was busy to the end.
    Busy(Refused),
    /// A signal ended the wait.
    Interrupted(Signal),
}

/// Who was in the way.
pub(crate) struct Refused {
    name: LockName,
    waited: Option<Duration>,
    holder: Option<String>,
    json: serde_json::Value,
}

/// How to wait.
pub(crate) struct Approach<'a> {
    /// For which lock.
    pub(crate) name: &'a LockName,
    /// For how long; `None` for not at all.
    pub(crate) waiting: Option<Waiting>,
    /// Whether there is a queue to have a place in.
    pub(crate) is_fair: bool,
}

/// Takes the lock, and says who is waited for. The first signal leaves the queue.
///
/// # Errors
/// Those of the store.
pub(crate) async fn enter(
    lock: Lock,
    approach: Approach<'_>,
    env: &Env,
    signals: &mut Signals,
    output: Output,
) -> leasehold::Result<Entry> {
    let waiting = approach.waiting;
    let mut view = View::new(&approach, env.clone(), output);
    let lock = lock.on_busy(view.observer());
    let taken = {
        let mut take = pin!(lock.take(waiting));
        loop {
            let nap = view.nap();
            tokio::select! {
                biased;
                signal = signals.ending() => {
                    view.erase();
                    return Ok(Entry::Interrupted(signal));
                }
                taken = &mut take => break taken,
                () = env.sleep(nap) => view.draw(),
            }
        }
    };
    view.erase();
    match taken? {
        Some(hold) => {
            view.say_acquired();
            Ok(Entry::Held(hold))
        }
        None => Ok(Entry::Busy(view.refused(waiting.is_some()))),
    }
}

impl Refused {
    /// Tells of it and answers the exit code.
    pub(crate) fn report(self, skips: bool, code: Option<u8>, output: Output) -> u8 {
        let code = if skips { 0 } else { code.unwrap_or(exit::BUSY) };
        let fields = json!({ "lock": self.name.as_str(), "holder": self.json, "waited_ms": self.waited.map(millis),
            "skipped": skips, "exit_code": code });
        output.event("busy", fields);
        let holder = self.holder.map(|holder| format!(" · {holder}")).unwrap_or_default();
        let name = &self.name;
        let waited = self.waited.map(|span| format!(": gave up after {}", show(span))).unwrap_or_default();
        if skips {
            output.say(format!("skipped: `{name}` is busy{holder}"));
        } else {
            output.say(format!("error: `{name}` is busy{waited}{holder}"));
            output.say("hint: wait longer with --wait DUR, or look with `leasehold inspect`");
        }
        code
    }
}

/// The last answer of the store, and the age of the wait when it came.
type Seen = Arc<Mutex<Option<(Busy, Duration)>>>;

/// What is shown of a wait.
struct View {
    name: LockName,
    output: Output,
    age: Arc<dyn Fn() -> Duration + Send + Sync>,
    seen: Seen,
    /// Whether there is a queue to have a place in.
    is_fair: bool,
    /// The tag of the holder that was last named.
    named: Option<Option<u32>>,
    drawn: bool,
}

impl View {
    fn new(approach: &Approach<'_>, env: Env, output: Output) -> Self {
        let begin = env.now();
        View {
            name: approach.name.clone(),
            output,
            age: Arc::new(move || env.now().since(begin)),
            seen: Seen::default(),
            is_fair: approach.is_fair,
            named: None,
            drawn: false,
        }
    }

    fn observer(&self) -> impl Fn(&Busy) + Send + Sync + 'static {
        let (seen, age) = (self.seen.clone(), self.age.clone());
        move |busy| {
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((busy.clone(), age()));
        }
    }

    /// How long until there may be something to show.
    fn nap(&self) -> Duration {
        let age = (self.age)();
        if age < QUIET {
            QUIET - age
        } else if self.output.is_live() {
            REDRAW
        } else {
            QUIET
        }
    }

    fn last(&self) -> Option<(Busy, Duration)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// On a terminal one line that is rewritten; elsewhere one line a holder.
    fn draw(&mut self) {
        let Some((busy, then)) = self.last() else { return };
        let tag = busy.holder.as_ref().map(|holder| holder.tag);
        let is_new = self.named != Some(tag);
        self.named = Some(tag);
        let line = self.line(&busy, then);
        if self.output.is_live() {
            let width = width_of_stderr();
            let line: String = line.chars().take(width).collect();
            write_stderr(&format!("\r\u{1b}[2K{line}"));
            self.drawn = true;
        } else if is_new {
            let holder = busy.holder.as_ref().map(to_json);
            self.output.event(
                "waiting",
                json!({ "lock": self.name.as_str(), "holder": holder, "ahead": busy.ahead }),
            );
            self.output.say(line);
        }
    }

    fn line(&self, busy: &Busy, then: Duration) -> String {
        let later = (self.age)().saturating_sub(then);
        let holder = busy.holder.as_ref().map(|holder| format!(" · {}", held_by(holder, later)));
        let place =
            place(busy).filter(|_| self.is_fair).map(|place| format!(" · you are {}", ordinal(place)));
        format!("waiting for `{}`{}{}", self.name, holder.unwrap_or_default(), place.unwrap_or_default())
    }

    fn erase(&mut self) {
        if std::mem::take(&mut self.drawn) {
            write_stderr("\r\u{1b}[2K");
        }
    }

    /// Whoever was told of the wait is told of its end.
    fn say_acquired(&self) {
        if self.named.is_some() {
            self.output.say(format!("acquired `{}` after {}", self.name, show((self.age)())));
        }
    }

    fn refused(&self, has_waited: bool) -> Refused {
        let age = (self.age)();
        let holder = self.last().and_then(|(busy, then)| Some((busy.holder?, age.saturating_sub(then))));
        Refused {
            name: self.name.clone(),
            waited: has_waited.then_some(age),
            json: holder.as_ref().map_or(serde_json::Value::Null, |(holder, _)| to_json(holder)),
            holder: holder.map(|(holder, later)| held_by(&holder, later)),
        }
    }
}

/// Our place in a queue: the store counts everybody who comes first, holders too.
fn place(busy: &Busy) -> Option<u32> {
    let holders = match busy.holder.as_ref()?.mode? {
        Mode::Exclusive => 1,
        Mode::Permits { take, of } if take > 0 => of / take,
        // Nobody can say how many of those ahead are readers.
        _ => return None,
    };
    busy.ahead?.checked_sub(holders)?.checked_add(1)
}

fn width_of_stderr() -> usize {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr());
    // Some terminals do not know their width and say 0.
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { 79 } else { columns.saturating_sub(1) }
}
