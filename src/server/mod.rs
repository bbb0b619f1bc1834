//! The rim: everything that touches the operating system on behalf of a peer.

pub mod file_disk;
