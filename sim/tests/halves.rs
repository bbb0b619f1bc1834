//! Real peers that are cut in two, with every `cargo test`; `cargo sim chaos` plays more of it.

use sim::chaos::cluster::{Cluster, Shape};
use sim::chaos::fates::Cut;
use sim::chaos::halves;
use sim::chaos::program::Program;

#[tokio::test]
async fn two_parts_that_do_not_hear_each_other_lose_nothing_and_bring_nothing_back() {
    let program = Program::build().expect("cargo builds henge");
    let report = halves::run(&program, Cut::Halves, 96).await.expect("the scenario can be played");
    println!("{report}");
    assert!(report.objections.is_empty(), "{:#?}", report.objections);
}

#[tokio::test]
async fn peers_are_killed_started_again_and_paused_and_end_with_their_cluster() {
    let program = Program::build().expect("cargo builds henge");
    let mut cluster = Cluster::form(&program, Shape { peers: 3, partitions: 8, ..Shape::default() }).await.expect("a cluster");
    let start = cluster.status(1).await.expect("it answers").member.start;
    cluster.kill(1);
    assert!(cluster.status(1).await.is_none(), "a killed peer does not answer");
    cluster.start(&program, 1).await.expect("it starts again");
    assert!(cluster.status(1).await.expect("it answers").member.start > start, "from the same folder");
    cluster.linked().await.expect("through their proxies, wherever it listens now");

    cluster.pause(2);
    assert!(cluster.status(2).await.is_none(), "a paused peer does not answer");
    cluster.resume(2);
    cluster.linked().await.expect("it goes on");
    assert_eq!(cluster.complaints(), Vec::<String>::new());
    cluster.kill(0);
    assert_eq!(cluster.complaints(), Vec::<String>::new(), "whoever was killed on purpose is no complaint");

    let (listen, folder) = (cluster.listen(2).to_string(), cluster.folder().to_path_buf());
    assert!(std::net::TcpStream::connect(&listen).is_ok() && folder.exists());
    drop(cluster);
    assert!(std::net::TcpStream::connect(&listen).is_err() && !folder.exists(), "nothing is left behind");
}
