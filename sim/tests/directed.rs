//! The directed runs, while every rule is kept. `cargo sim rules` breaks the rule of each, and then it must be found.

use sim::directed::DIRECTED;

#[test]
fn directed_runs_are_clean_while_every_rule_is_kept() {
    for directed in DIRECTED {
        for seed in 0..2 {
            let violations = (directed.run)(seed, false);
            assert!(violations.is_empty(), "{}, from seed {seed}: {violations:#?}", directed.name);
        }
    }
}
