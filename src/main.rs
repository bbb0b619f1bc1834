//! The command line of henge.
fn main() {}
