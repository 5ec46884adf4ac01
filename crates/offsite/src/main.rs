//! The offsite binary.
fn main() {}
