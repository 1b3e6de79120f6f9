//! All stores in one table, next to the libraries that people use on the same servers:
//! `cargo bench -p leasehold-benches --bench stores [-- STORE …]`.
//!
//! Lock and unlock by one task and by sixteen with a lock each, and the hand-over between two clients of one process. All
//! take turns, round by round, on the same server, so that what else the machine does is shared; a figure is the median
//! of the rounds, a ratio the median of the ratios round by round.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its table")]

mod contender;
mod etcdctl;
mod ours;
mod peer;
mod places;
mod table;

use contender::{Contender, Figures};

/// The first one warms up what has to be warmed up, and does not count.
const ROUNDS: usize = 6;
/// Of one name.
const TASKS: usize = 16;
const HAND_OVERS: usize = 20;

/// What one contender has reached, round by round.
struct Course {
    contender: Box<dyn Contender>,
    figures: Figures,
}

fn round(courses: &mut [Course], pairs: usize, at: usize) {
    for Course { contender, figures } in courses {
        let name = format!("{}-{at}", contender.word());
        let alone = contender.pairs(&name, pairs, 1);
        let many = contender.pairs(&format!("{name}-many"), (pairs / 4).max(1), TASKS);
        let waits = contender.hand_overs(&format!("{name}-turns"), HAND_OVERS);
        if at == 0 {
            continue;
        }
        figures.alone.push(alone.map(|took| pairs as f64 / took.as_secs_f64()));
        let all = (pairs / 4).max(1) * TASKS;
        figures.many.push(many.map(|took| all as f64 / took.as_secs_f64()));
        figures.waits.extend(waits);
    }
}

fn main() {
    // Cargo says `--bench`; whoever names stores gets those.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    println!("{}", table::head());
    for place in places::all() {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == place.word) {
            continue;
        }
        eprintln!("{} …", place.word);
        let scene = (place.open)();
        let fresh = |contender| Course { contender, figures: Figures::default() };
        let mut courses: Vec<Course> = scene.contenders.into_iter().map(fresh).collect();
        for at in 0..ROUNDS {
            round(&mut courses, place.pairs, at);
        }
        for course in &courses {
            println!(
                "{}",
                table::row(place.label, &course.contender.label(), &course.figures, &courses[0].figures)
            );
        }
    }
}
