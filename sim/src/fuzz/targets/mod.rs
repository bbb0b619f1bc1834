//! What is tried: each target reads as the peer, the client or the command line does, and no other way.

mod disk;
mod frames;
mod msgpack;
mod resp;
mod texts;
mod values;

use super::Target;
use super::corpus::from_hex;
use crate::dice::Dice;
use std::sync::LazyLock;

/// All targets.
pub fn all() -> Vec<Target> {
    [frames::targets(), values::targets(), texts::targets(), disk::targets(), resp::targets()].concat()
}

/// The target of this name.
pub fn named(name: &str) -> Option<Target> {
    all().into_iter().find(|target| target.name == name)
}

/// For formats without lengths and checksums.
fn no_mending(_: &mut Vec<u8>) {}

/// For formats that are best changed byte by byte.
fn no_rules(_: &mut Vec<u8>, _: &[u8], _: &mut Dice) {}

/// The examples of the page of the storage format whose names begin so.
fn examples(prefix: &str) -> Vec<Vec<u8>> {
    let page = include_str!("../../../../docs/storage-format.md");
    let example = |block: &str| {
        let (name, rest) = block.split_once('\n')?;
        let (block, _) = rest.split_once("```")?;
        let digits: String = block.lines().flat_map(|line| line.split("  ").next()).collect();
        name.starts_with(prefix).then(|| from_hex(&digits))
    };
    page.split("```hex ").skip(1).filter_map(example).collect()
}

/// The golden frames, one of each kind, and some odd ones.
fn sample_frames() -> &'static [Vec<u8>] {
    static FRAMES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let golden = include_str!("../../../../tests/golden/frames.txt").lines().filter(|line| !line.starts_with('#'));
        let golden = golden.filter_map(|line| line.split_whitespace().nth(2));
        golden.chain(include_str!("../../../corpus/frames.hex").lines()).map(from_hex).collect()
    });
    &FRAMES
}

/// The inputs of a file of the corpus: one a line, as text. Lines that begin with `#` say nothing.
fn lines(file: &str) -> Vec<Vec<u8>> {
    file.lines().filter(|line| !line.starts_with('#')).map(|line| line.as_bytes().to_vec()).collect()
}
