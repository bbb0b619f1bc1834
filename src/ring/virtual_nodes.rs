//! The ring of virtual nodes, and the walk round it from each partition (Dynamo, SOSP 2007, §4.2 and §4.3).
//!
//! The ring is that of the crate `consistent_hash_ring`. Left alone it hashes a node once and then hashes the hash again
//! for each further virtual node, and an insert into its sorted vector moves what lies behind. So each virtual node is a node of
//! its own here: it then sits exactly at [`VirtualNode::position`], a value that any language can compute, and inserting them in the
//! order of their positions only ever appends. The crate's `replicas()` hashes again for every replica, which is not the walk of the paper;
//! the walk is rebuilt from `resident_ranges()`. A node of weight 0 would make its iterator loop for ever: ours all have weight 1.

use super::partition::{self, PartitionId};
use super::{MemberId, MemberIndex};
use crate::limits;
use consistent_hash_ring::{Ring, RingBuilder};
use std::hash::{BuildHasher, Hash, Hasher};
use twox_hash::XxHash3_64;

/// One of the points that stand for a member on the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct VirtualNode {
    id: MemberId,
    index: u32,
    member: MemberIndex,
}

impl VirtualNode {
    /// Where it sits: xxh3-64, seed 0, of the member's id (16 bytes, little-endian) and the index (4 bytes, little-endian).
    fn position(&self) -> u64 {
        Xxh3.hash_one(self)
    }
}

impl Hash for VirtualNode {
    // `member` stays out: it follows from `id`, and the same id must sit at the same place in every list of members.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.id.0.to_le_bytes());
        state.write(&self.index.to_le_bytes());
    }
}

/// The hasher of the ring: xxh3-64 of the bytes written, the same on every machine and in every version.
#[derive(Clone, Copy)]
struct Xxh3;

/// Gathers the bytes to hash: an id and an index at most.
struct Gather {
    bytes: [u8; 20],
    length: usize,
}

impl BuildHasher for Xxh3 {
    type Hasher = Gather;
    fn build_hasher(&self) -> Gather {
        Gather { bytes: [0; 20], length: 0 }
    }
}

impl Hasher for Gather {
    fn write(&mut self, bytes: &[u8]) {
        // Nothing but a virtual node, or a position (which the crate hashes again), is hashed here.
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn write_u64(&mut self, value: u64) {
        self.write(&value.to_le_bytes());
    }

    fn finish(&self) -> u64 {
        XxHash3_64::oneshot(&self.bytes[..self.length])
    }
}

/// For every partition all members in the order in which the walk from its position meets them first; flat, `members.len()` a partition.
///
/// Takes the members' ids and weights in the order of their indexes. The cost grows with virtual nodes + partitions × members.
///
/// Requires: each weight is at least 1, ids are distinct, `partitions` is a power of two.
pub(super) fn walks(members: &[(MemberId, u16)], partitions: u16) -> Vec<MemberIndex> {
    let ring = ring(members);
    let walk: Vec<(u64, MemberIndex)> = {
        let mut ends: Vec<_> = ring.resident_ranges().map(|range| (*range.keys().end(), range.node().member)).collect();
        // The last range runs from the last virtual node to the end of the ring and belongs to the first: the wrap, no virtual node.
        ends.pop();
        ends
    };

    // Walking backwards, the order in which members were last met is the order in which a walk forwards meets them first.
    // Once round to fill that order, once more to read it at each partition.
    let mut met = LastMet::new(members.len());
    walk.iter().rev().for_each(|&(_, member)| met.touch(member));
    let mut candidates = vec![MemberIndex(0); usize::from(partitions) * members.len()];
    let mut behind = walk.iter().rev().peekable();
    for partition in (0..partitions).rev() {
        let position = partition::position(PartitionId(partition), partitions);
        while let Some(&(_, member)) = behind.next_if(|&&(end, _)| end >= position) {
            met.touch(member);
        }
        let row = usize::from(partition) * members.len();
        met.copy_to(&mut candidates[row..row + members.len()]);
    }
    candidates
}

fn ring(members: &[(MemberId, u16)]) -> Ring<VirtualNode, Xxh3> {
    let mut nodes: Vec<(u64, VirtualNode)> = Vec::new();
    for (member, &(id, weight)) in members.iter().enumerate() {
        assert!(weight > 0, "a member of weight 0 is on no ring");
        let count = usize::from(weight) * limits::VIRTUAL_NODES_PER_WEIGHT;
        nodes.extend((0..count as u32).map(|index| {
            let node = VirtualNode { id, index, member: MemberIndex(member as u16) };
            (node.position(), node)
        }));
    }
    // Two at one position (never seen): the crate keeps the later one, so the order among them must be defined, too.
    nodes.sort_unstable_by_key(|&(position, node)| (position, node.id, node.index));
    let mut ring = RingBuilder::new(Xxh3).vnodes(1).build();
    for (_, node) in nodes {
        ring.insert(node);
    }
    ring
}

/// Members by when they were last touched, the latest first: a doubly linked list in two vectors, so that a touch costs the same
/// however many there are.
struct LastMet {
    next: Vec<u16>,
    previous: Vec<u16>,
}

impl LastMet {
    /// The list is a circle through one more place, number `members`, that stands for both its ends.
    fn new(members: usize) -> LastMet {
        assert!(members <= limits::MEMBERS_MAX);
        let around = members as u16 + 1;
        LastMet {
            next: (0..around).map(|place| (place + 1) % around).collect(),
            previous: (0..around).map(|place| (place + around - 1) % around).collect(),
        }
    }

    fn end(&self) -> u16 {
        self.next.len() as u16 - 1
    }

    fn touch(&mut self, member: MemberIndex) {
        let (place, end) = (member.0, self.end());
        let (before, after) = (self.previous[usize::from(place)], self.next[usize::from(place)]);
        self.link(before, after);
        let first = self.next[usize::from(end)];
        self.link(end, place);
        self.link(place, first);
    }

    fn link(&mut self, before: u16, after: u16) {
        self.next[usize::from(before)] = after;
        self.previous[usize::from(after)] = before;
    }

    fn copy_to(&self, row: &mut [MemberIndex]) {
        let mut place = self.end();
        for slot in row {
            place = self.next[usize::from(place)];
            *slot = MemberIndex(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Vec<(MemberId, u16)> {
        [1u16, 3, 1, 2, 1].iter().enumerate().map(|(i, &weight)| (MemberId(0x9e37_79b9 * (i as u128 + 1)), weight)).collect()
    }

    /// The walk as the paper says it, without ring or list: from the position onwards, skipping members met before.
    fn walk_by_definition(members: &[(MemberId, u16)], position: u64) -> Vec<MemberIndex> {
        let mut nodes = Vec::new();
        for (member, &(id, weight)) in members.iter().enumerate() {
            for index in 0..128 * u32::from(weight) {
                let mut bytes = id.0.to_le_bytes().to_vec();
                bytes.extend(index.to_le_bytes());
                nodes.push((XxHash3_64::oneshot(&bytes), MemberIndex(member as u16)));
            }
        }
        nodes.sort_unstable_by_key(|node| node.0);
        let start = nodes.partition_point(|node| node.0 < position);
        let mut met = Vec::new();
        for &(_, member) in nodes[start..].iter().chain(&nodes[..start]) {
            if !met.contains(&member) {
                met.push(member);
            }
        }
        met
    }

    #[test]
    fn the_walk_meets_members_as_the_paper_says() {
        let members = members();
        for partitions in [1u16, 2, 64, 1024] {
            let walks = walks(&members, partitions);
            for (partition, row) in walks.chunks(members.len()).enumerate() {
                let position = partition::position(PartitionId(partition as u16), partitions);
                assert_eq!(row, walk_by_definition(&members, position), "partition {partition} of {partitions}");
            }
        }
    }

    #[test]
    fn one_member_is_met_by_every_walk() {
        assert_eq!(walks(&members()[..1], 4), vec![MemberIndex(0); 4]);
    }

    #[test]
    fn a_virtual_node_sits_where_its_golden_value_says() {
        let node = |id: u128, index| VirtualNode { id: MemberId(id), index, member: MemberIndex(0) }.position();
        assert_eq!(
            [node(0, 0), node(1, 0), node(1, 127), node(u128::MAX, 8191)],
            [0x1677_3ceb_7fe4_97b1, 0x24b1_9d35_0849_7315, 0x15ec_792d_683b_3566, 0x7c69_2eec_f6bd_2f2d]
        );
    }

    #[test]
    fn every_virtual_node_is_on_the_ring_once() {
        assert_eq!(ring(&members()).vnodes(), 8 * 128);
    }
}
