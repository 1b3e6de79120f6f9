//! Pictures: the timeline of a run, and the shapes that all pictures of ours are made of.

mod canvas;
mod timeline;

pub use canvas::{Anchor, Canvas};
pub use timeline::draw;
