//! Searching a model: all states, or random walks.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Debug,
    hash::Hash,
};

/// The subject of a search.
pub(crate) trait Search {
    /// One moment of it.
    type State: Clone + Eq + Hash + Debug;

    /// Where it begins.
    fn begin(&self) -> Self::State;

    /// All that may happen next. `Err` says what must never be.
    fn next(&self, state: &Self::State) -> Vec<Result<Self::State, String>>;
}

/// The result of a search.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing, and there is nothing more to see.
    Nothing { states: usize },
    /// A state that must not be reached.
    Violation { what: String, states: usize, steps: usize },
    /// Nothing so far.
    Bound { states: usize },
}

/// All states, breadth first, so that a violation is found with the fewest steps.
pub(crate) fn exhaust<M: Search>(model: &M, most: usize) -> Found {
    let begin = model.begin();
    let mut seen = HashSet::from([begin.clone()]);
    let mut queue = VecDeque::from([(begin, 0)]);
    while let Some((state, steps)) = queue.pop_front() {
        for next in model.next(&state) {
            match next {
                Err(what) => return Found::Violation { what, states: seen.len(), steps: steps + 1 },
                Ok(next) if seen.insert(next.clone()) => queue.push_back((next, steps + 1)),
                Ok(_) => {}
            }
        }
        if seen.len() >= most {
            return Found::Bound { states: seen.len() };
        }
    }
    Found::Nothing { states: seen.len() }
}

/// Walks from the beginning to an end, at random (SplitMix64, Steele et al. 2014), again and again.
pub(crate) fn walk<M: Search>(model: &M, seed: u64, walks: usize) -> Found {
    let mut dice = seed;
    let mut states = 0;
    for _ in 0..walks {
        let (mut state, mut steps) = (model.begin(), 0);
        loop {
            let mut next = model.next(&state);
            if next.is_empty() {
                break;
            }
            dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = dice;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            steps += 1;
            states += 1;
            match next.swap_remove((mixed ^ (mixed >> 31)) as usize % next.len()) {
                Ok(chosen) => state = chosen,
                Err(what) => return Found::Violation { what, states, steps },
            }
        }
    }
    Found::Bound { states }
}
