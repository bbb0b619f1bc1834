//! Every decoder under some thousand changed inputs; `cargo sim fuzz` tries as many as one has time for. And decoders that are wrong on
//! purpose: a fuzzer that does not find what is wrong with them finds nothing.

use sim::dice::Dice;
use sim::fuzz::{Extent, Failure, Law, Outcome, Probe, Report, Target, fuzz, judge, outcome_class, shrink, targets};

const EXTENT: Extent = Extent { runs: 3_000, seed: 1, jobs: 2, shows_progress: false };

/// A target that reads `henge` and numbers, and does so wrongly in one way.
fn wrong(check: fn(&[u8], &mut Probe) -> Result<Outcome, String>) -> Target {
    Target {
        name: "wrong",
        seeds: || vec![b"henge\x04four".to_vec()],
        words: &[],
        mend: |_| {},
        perturb: |_: &mut Vec<u8>, _: &[u8], _: &mut Dice| {},
        check,
        memory_max: |bytes| 64 + bytes,
    }
}

/// What is behind the beginning that all these decoders ask for.
fn rest(input: &[u8]) -> Option<(u8, &[u8])> {
    input.strip_prefix(b"henge")?.split_first().map(|(count, rest)| (*count, rest))
}

fn accepted(bytes: usize) -> Result<Outcome, String> {
    Ok(Outcome::Accepted(outcome_class("read", &[bytes])))
}

fn panics(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let Some((count, rest)) = rest(input) else { return Ok(Outcome::Refused(0)) };
    // It trusts the count.
    accepted(probe.decode(|| rest[..usize::from(count)].len()))
}

fn takes_memory(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let Some((count, rest)) = rest(input) else { return Ok(Outcome::Refused(0)) };
    // It makes room before it looks whether there is so much.
    let read = probe.decode(|| {
        let mut room: Vec<u8> = Vec::with_capacity(usize::from(count) * 8);
        room.extend(rest.iter().take(usize::from(count)));
        room
    });
    accepted(read.len())
}

fn has_two_spellings(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let Some((count, rest)) = rest(input) else { return Ok(Outcome::Refused(0)) };
    // It passes over what follows.
    let Some(read) = probe.decode(|| rest.get(..usize::from(count))) else { return Ok(Outcome::Refused(1)) };
    let written = [b"henge", &[count][..], read].concat();
    if written == input { accepted(read.len()) } else { Err(format!("{written:?} instead of {input:?}")) }
}

fn is_right(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let Some((count, rest)) = rest(input) else { return Ok(Outcome::Refused(0)) };
    let read = probe.decode(|| (rest.len() == usize::from(count)).then(|| rest.to_vec()));
    read.map_or(Ok(Outcome::Refused(1)), |read| accepted(read.len()))
}

/// What the fuzzer finds in this decoder, and the shortest input that shows it.
fn found(check: fn(&[u8], &mut Probe) -> Result<Outcome, String>) -> Option<(Failure, Vec<u8>)> {
    let target = wrong(check);
    let (input, failure) = fuzz(&[target], EXTENT).remove(0).failure?;
    let shortest = shrink(&target, &input, failure.law);
    assert_eq!(judge(&target, &shortest).0.expect_err("it still fails").law, failure.law);
    Some((failure, shortest))
}

#[test]
fn a_decoder_that_panics_takes_too_much_or_has_two_spellings_is_found_and_its_input_made_short() {
    let (failure, shortest) = found(panics).expect("a panic");
    assert_eq!((failure.law, shortest.len()), (Law::NoPanic, 6), "{failure}");
    assert!(failure.what.contains("out of range"), "{failure}");
    let (failure, shortest) = found(takes_memory).expect("too much memory");
    assert_eq!((failure.law, shortest.len()), (Law::Memory, 6), "{failure}");
    let (failure, shortest) = found(has_two_spellings).expect("another spelling");
    assert_eq!((failure.law, shortest), (Law::Own, b"henge\0\0".to_vec()), "{failure}");
    assert_eq!(found(is_right), None);
}

#[test]
fn memory_is_counted_at_its_height_and_only_inside_of_a_probe() {
    let counted = |check| judge(&wrong(check), b"").1;
    assert_eq!(counted(|_, probe| accepted(probe.decode(|| vec![0u8; 1_000]).len())), 1_000);
    let one_after_the_other = |_: &[u8], probe: &mut Probe| {
        let read = probe.decode(|| {
            drop(vec![0u8; 1_000]);
            vec![1u8; 500].len()
        });
        accepted(read)
    };
    assert_eq!(counted(one_after_the_other), 1_000);
    assert_eq!(counted(|_, _| accepted(vec![0u8; 1_000].len())), 0);
}

#[test]
fn no_decoder_panics_takes_too_much_memory_or_reads_back_something_else() {
    let reports = fuzz(&targets::all(), EXTENT);
    for Report { name, runs, accepted, outcomes, failure, .. } in reports {
        assert_eq!(failure, None, "{name}");
        assert_eq!(runs, EXTENT.runs, "{name}");
        // Else nothing got as far as what it is to try.
        assert!(
            accepted * 100 >= runs && accepted < runs && outcomes.len() >= 3,
            "{name}: {accepted} of {runs}, {}",
            outcomes.len()
        );
    }
}

#[test]
fn one_seed_is_one_run_whatever_the_number_of_threads() {
    let target = targets::named("requests").expect("a target");
    let run = |seed, jobs| {
        let report = fuzz(&[target], Extent { seed, jobs, ..EXTENT }).remove(0);
        (report.accepted, report.outcomes, report.kept)
    };
    assert_eq!(run(3, 1), run(3, 2));
    assert_ne!(run(3, 2), run(4, 2));
}

#[test]
fn every_seed_of_the_frames_and_of_the_disk_is_read_as_something() {
    for target in targets::all() {
        let seeds = (target.seeds)();
        let accepted = seeds.iter().filter(|seed| matches!(judge(&target, seed).0, Ok(Outcome::Accepted(_)))).count();
        // Among the texts there are some that are none.
        let least = if matches!(target.name, "documents" | "patches" | "paths" | "load") { seeds.len() / 2 } else { seeds.len() };
        assert!(accepted >= least, "{}: {accepted} of {}", target.name, seeds.len());
    }
}
