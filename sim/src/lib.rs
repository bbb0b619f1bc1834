//! The deterministic simulator of henge, and its oracles; and a harness that tries real processes, judged by the same oracles.

pub mod batch;
pub mod chaos;
pub mod client;
pub mod conversation;
pub mod crash;
pub mod dice;
pub mod directed;
pub mod disk;
pub mod disk_plan;
pub mod figures;
pub mod fuzz;
pub mod gossip;
pub mod history;
pub mod hurt;
pub mod ledger;
pub mod machine_clock;
pub mod network;
pub mod node;
pub mod oracle;
pub mod plan;
pub mod progress;
pub mod regressions;
pub mod run;
pub mod scenarios;
pub mod schedule;
pub mod shrink;

pub mod trace;
pub mod tuning;
pub mod workload;
pub mod world;
