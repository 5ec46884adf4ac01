//! Trees of files: made the same every time, changed the same every time, and compared in everything that an archive must keep.
//!
//! Nothing here looks at the clock or at chance: contents come from a seed, times are set. A tree made twice from one seed is the
//! same tree, so what two runs of a story archive is the same archive.

mod make;
mod mutate;
mod read;
mod seed;

pub use make::make_tree;
pub use mutate::mutate;
pub use read::{Kind, Node, Tree, assert_same, compare_trees};
