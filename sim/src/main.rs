//! The deterministic simulator of henge.
fn main() {}
