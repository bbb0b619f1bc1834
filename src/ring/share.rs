//! What each member ought to own: its fair share by weight, as far as distinct owners and distinct zones allow.

use super::Founder;
use std::collections::BTreeMap;
use twox_hash::XxHash3_64;

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

/// How much of its bound the fair share of a member is, in thousandths: 95 % (so it may own some 5 % more than its share) while there are
/// 150 slots (Q·N) for each member, and on a slope to 90 % at 120 and below.
///
/// With fewer slots chance weighs more: each change of the members then shifts the natural loads by more than 5 % can hold, and
/// what is pushed to and fro would exceed what has to move. On a slope, so that one further member never loosens all bounds at once.
fn tightness(members: usize, owners: usize, partitions: u16) -> u64 {
    let slots_tenfold = 10 * u64::from(partitions) * owners as u64 / members as u64;
    950 - 1_500u64.saturating_sub(slots_tenfold).min(300) * 50 / 300
}

/// The most slots that each member may own, by index: its fair share and some 5 %, but always a slot more than its share in whole
/// slots, since with few partitions a tighter bound would leave nowhere to go; never more than all partitions.
pub(super) fn bounds(members: &[Founder], shares: &[u64], spread: &Spread, partitions: u16) -> Vec<u32> {
    let tightness = tightness(members.len(), spread.owners, partitions);
    let bound = |(member, &share): (&Founder, &u64)| {
        // A hundredth of a slot makes up for the rounding of shares.
        let share = share + SLOT / 100;
        // Each member rounds down at a point of its own: else one further peer would lower the bounds of all members by a whole slot at once.
        let fraction = XxHash3_64::oneshot(&member.member.0.to_le_bytes()) % SLOT;
        let bound = (share * 1_000 / tightness).saturating_sub(fraction) / SLOT;
        bound.max(share / SLOT + 2).min(u64::from(partitions)) as u32
    };
    members.iter().zip(shares).map(bound).collect()
}
