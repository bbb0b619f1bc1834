//! The gossip alone: many machines over a lossy network, and what it costs and finds out. No stores, no clients; so hundreds of peers fit.

mod table;
mod world;

pub use table::{Deaths, Extent, FalseDeaths, Trouble, false_deaths, print_table, quiet_bytes, true_deaths};
