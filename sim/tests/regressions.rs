//! Seeds that once found something find nothing any more.

use sim::conversation::Telling;
use sim::regressions;

#[test]
fn seeds_that_once_failed_keep_every_promise() {
    for regression in regressions::all() {
        let report = regression.case.run(Telling::Nothing);
        let objection = report.violations.first().map(|violation| regression.objection(&violation.to_string()));
        assert_eq!(objection, None);
    }
}
