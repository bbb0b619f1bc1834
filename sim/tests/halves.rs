//! Real peers that are cut in two, with every `cargo test`; `cargo sim chaos` plays more of it.

use sim::chaos::cluster::Program;
use sim::chaos::halves::{self, Cut};

#[tokio::test]
async fn two_parts_that_do_not_hear_each_other_lose_nothing_and_bring_nothing_back() {
    let program = Program::build().expect("cargo builds henge");
    let report = halves::run(&program, Cut::Halves, 96).await.expect("the scenario can be played");
    println!("{report}");
    assert!(report.objections.is_empty(), "{:#?}", report.objections);
}
