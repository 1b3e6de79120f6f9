//! The checker: what it accepts, what it rejects, and by which rule.

#[path = "check/generic.rs"]
mod generic;
#[path = "check/hand_made.rs"]
mod hand_made;
#[path = "check/random.rs"]
mod random;
#[path = "check/story.rs"]
mod story;
#[path = "check/world.rs"]
mod world;
