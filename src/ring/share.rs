//! What each member ought to own: its fair share by weight, as far as distinct owners and distinct zones allow.

use super::Founder;
use std::collections::BTreeMap;

/// One slot (one partition at one owner) in the fixed-point units of shares: whole numbers, so that every machine gets the same.
pub(super) const SLOT: u64 = 1 << 16;

/// How owners spread over zones: of each zone a partition has `least` to `most` owners.
///
/// As even as can be: a zone gives a further owner only when every other zone that still has members gives as many. So the loss of a
/// zone takes as few replicas of a partition as possible, and there are N distinct zones whenever there are N zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    /// The number of the zone of each member, by member index.
    pub zone_of: Vec<usize>,
    /// Fewest owners of one partition in each zone.
    pub least: Vec<usize>,
    /// Most owners of one partition in each zone: `least`, or one more.
    pub most: Vec<usize>,
    /// Owners of each partition: N, or all members if they are fewer.
    pub owners: usize,
}

impl Spread {
    /// Requires: there is a member, `replicas` is at least 1.
    pub fn new(members: &[Founder], replicas: usize) -> Spread {
        let mut numbers: BTreeMap<&str, usize> = members.iter().map(|member| (member.zone.as_str(), 0)).collect();
        numbers.values_mut().enumerate().for_each(|(number, zone)| *zone = number);
        let zone_of: Vec<usize> = members.iter().map(|member| numbers[member.zone.as_str()]).collect();
        let mut sizes = vec![0; numbers.len()];
        zone_of.iter().for_each(|&zone| sizes[zone] += 1);

        let owners = replicas.min(members.len());
        let of_each = |level: usize| sizes.iter().map(|&size| size.min(level)).collect::<Vec<usize>>();
        // The number of owners that every zone with enough members surely gives.
        let level = (0..=owners).rev().find(|&level| of_each(level).iter().sum::<usize>() <= owners).expect("level 0 always fits");
        Spread { zone_of, least: of_each(level), most: of_each(level + 1), owners }
    }
}

/// The fair share of each member in units of 1/[`SLOT`] of a slot, by member index; together `spread.owners` × `partitions` slots
/// (less some rounding).
///
/// By weight, except where that cannot be: no member owns a partition twice, and no zone gives fewer or more owners than the spread says.
/// What one cannot take the others share by weight (water-filling, between the zones and then within each).
pub(super) fn fair_shares(members: &[Founder], spread: &Spread, partitions: u16) -> Vec<u64> {
    let whole = u64::from(partitions) * SLOT;
    let at = |level: u64, member: usize| (level.saturating_mul(u64::from(members[member].weight)) / SLOT).min(whole);
    let zones: Vec<Vec<usize>> =
        (0..spread.least.len()).map(|zone| (0..members.len()).filter(|&member| spread.zone_of[member] == zone).collect()).collect();
    let asked = |level: u64, zone: usize| zones[zone].iter().map(|&member| at(level, member)).sum::<u64>();
    let given =
        |level: u64, zone: usize| asked(level, zone).clamp(spread.least[zone] as u64 * whole, spread.most[zone] as u64 * whole);

    let level =
        highest(whole, |level| (0..zones.len()).map(|zone| given(level, zone)).sum::<u64>() <= spread.owners as u64 * whole);
    let mut shares = vec![0; members.len()];
    for (zone, inside) in zones.iter().enumerate() {
        let share = given(level, zone);
        let level = highest(whole, |level| asked(level, zone) <= share);
        inside.iter().for_each(|&member| shares[member] = at(level, member));
    }
    shares
}

/// The highest water level that still `fits`, by halving. At level `whole` × SLOT even a member of weight 1 owns every partition.
fn highest(whole: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, whole * SLOT);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// The most slots that a member may own: 5 % over its fair share, but always a slot more than its share in whole slots, since with few
/// partitions a tighter bound would leave nowhere to go; never more than all partitions.
pub(super) fn bound(share: u64, partitions: u16) -> u32 {
    // A hundredth of a slot makes up for the rounding of shares.
    let share = share + SLOT / 100;
    let five_percent = share * 21 / (20 * SLOT);
    let one_more = share / SLOT + 2;
    five_percent.max(one_more).min(u64::from(partitions)) as u32
}
