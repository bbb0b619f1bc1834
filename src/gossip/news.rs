//! News on their way: what was heard lately, each piece handed on a bounded number of times.

use crate::message::{News, Rank};
use crate::ring::MemberId;
use std::collections::{BTreeMap, BTreeSet};

/// SWIM's piggy-backed news. Of each member there is its newest record, and what is said against it at the newest rank.
#[derive(Clone, Default, Debug)]
pub(super) struct NewsQueue {
    pieces: BTreeMap<Subject, Piece>,
    /// The same in the order in which they are handed on.
    order: BTreeSet<Turn>,
    count: u64,
}

/// How often a piece was handed on, its number counted down from the largest, so that of pieces handed on as often the newest comes first, and what
/// it is about.
type Turn = (u32, u64, Subject);

/// One piece of news is about one of these: a newer one takes its place.
type Subject = (MemberId, About);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum About {
    Record,
    SuspectedBy(MemberId),
    Death,
}

#[derive(Clone, Debug)]
struct Piece {
    news: News,
    /// How often it was handed on.
    sent: u32,
    /// Its number: the newest goes first among those that were sent as often.
    number: u64,
}

impl NewsQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Takes something in that is new here. What it makes obsolete is forgotten.
    pub(super) fn push(&mut self, news: News) {
        let (member, rank) = (news.member(), rank(&news));
        let is_record = matches!(news, News::Record(_));
        self.forget(member, |old| !is_worth(old, rank, is_record));
        self.remove(subject(&news));
        self.count += 1;
        self.insert(Piece { news, sent: 0, number: self.count });
    }

    /// Forgets what this member has said against others.
    pub(super) fn take_back_suspicions_of(&mut self, witness: MemberId) {
        let said: Vec<Subject> = self.pieces.keys().filter(|(_, about)| *about == About::SuspectedBy(witness)).copied().collect();
        said.into_iter().for_each(|subject| drop(self.remove(subject)));
    }

    /// News for one message, of so many bytes at most; those that were handed on least come first. Whatever has now been handed on often enough
    /// is forgotten.
    pub(super) fn take(&mut self, bytes_max: usize, sent_max: u32) -> Vec<News> {
        let mut left = bytes_max;
        let mut chosen = Vec::new();
        for (_, _, subject) in &self.order {
            if left < BYTES_LEAST {
                break;
            }
            let bytes = self.pieces.get(subject).map_or(usize::MAX, |piece| piece.news.bytes());
            if bytes <= left {
                left -= bytes;
                chosen.push(*subject);
            }
        }
        let pieces: Vec<Piece> = chosen.into_iter().filter_map(|subject| self.remove(subject)).collect();
        let news = pieces.iter().map(|piece| piece.news.clone()).collect();
        for piece in pieces.into_iter().filter(|piece| piece.sent + 1 < sent_max) {
            self.insert(Piece { sent: piece.sent + 1, ..piece });
        }
        news
    }

    fn insert(&mut self, piece: Piece) {
        let subject = subject(&piece.news);
        self.order.insert(turn(subject, &piece));
        self.pieces.insert(subject, piece);
    }

    fn remove(&mut self, subject: Subject) -> Option<Piece> {
        let piece = self.pieces.remove(&subject)?;
        self.order.remove(&turn(subject, &piece));
        Some(piece)
    }

    fn forget(&mut self, member: MemberId, is_old: impl Fn(&News) -> bool) {
        let about = (member, About::Record)..=(member, About::Death);
        let old: Vec<Subject> =
            self.pieces.range(about).filter(|(_, piece)| is_old(&piece.news)).map(|(subject, _)| *subject).collect();
        old.into_iter().for_each(|subject| drop(self.remove(subject)));
    }
}

/// No piece of news takes less (bytes).
const BYTES_LEAST: usize = 36;

fn turn(subject: Subject, piece: &Piece) -> Turn {
    (piece.sent, u64::MAX - piece.number, subject)
}

fn subject(news: &News) -> Subject {
    let about = match news {
        News::Record(_) => About::Record,
        News::Suspect { from, .. } => About::SuspectedBy(*from),
        News::Dead { .. } => About::Death,
    };
    (news.member(), about)
}

fn rank(news: &News) -> Rank {
    match news {
        News::Record(record) => record.rank(),
        News::Suspect { rank, .. } | News::Dead { rank, .. } => *rank,
    }
}

/// Whether something is still worth telling when there is news of a rank about the same member: a record until there is a newer one; a word
/// against the member until it has said something newer.
fn is_worth(old: &News, newer: Rank, is_record: bool) -> bool {
    match old {
        News::Record(_) => !is_record,
        News::Suspect { rank, .. } | News::Dead { rank, .. } => *rank >= newer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gossip::tests::record;
    use crate::vclock::Start;

    fn suspect(id: u128, incarnation: u32, from: u128) -> News {
        News::Suspect { member: MemberId(id), rank: Rank { actors: 0, start: Start(1), incarnation }, from: MemberId(from) }
    }

    #[test]
    fn each_piece_is_handed_on_so_often_and_no_more() {
        let mut queue = NewsQueue::default();
        queue.push(suspect(1, 0, 9));
        queue.push(suspect(2, 0, 9));
        let mut told = 0;
        while !queue.is_empty() {
            told += queue.take(60, 4).len();
        }
        assert_eq!(told, 8);
    }

    #[test]
    fn what_was_told_least_goes_first_and_the_bytes_are_bounded() {
        let mut queue = NewsQueue::default();
        for id in 0..100 {
            queue.push(suspect(id, 0, 9));
        }
        let mut heard = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let taken = queue.take(540, 4);
            assert!(taken.iter().map(News::bytes).sum::<usize>() <= 540);
            heard.extend(taken.iter().map(News::member));
        }
        assert_eq!(heard.len(), 100, "each had its turn before any had a second one");
    }

    #[test]
    fn a_refutation_takes_the_place_of_what_it_refutes() {
        let mut queue = NewsQueue::default();
        queue.push(suspect(1, 0, 8));
        queue.push(suspect(1, 0, 9));
        queue.push(News::Record(Box::new(record(1, 1, 1))));
        assert_eq!(queue.take(10_000, 4), [News::Record(Box::new(record(1, 1, 1)))]);
        queue.push(suspect(1, 1, 8));
        assert_eq!(queue.take(10_000, 4).len(), 2, "a word against the very record leaves it");
        queue.take_back_suspicions_of(MemberId(8));
        assert_eq!(queue.take(10_000, 4).len(), 1);
    }
}
