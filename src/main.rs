//! The command line of henge.

/// Requests make many small allocations; this allocator takes a fraction of the system's time for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    #[cfg(henge_broken)]
    break_what_is_named();
    std::process::ExitCode::from(henge::cli::main())
}

/// In the build with bugs: plants the one that the environment names.
#[cfg(henge_broken)]
fn break_what_is_named() {
    use henge::broken::{Rule, break_rule};
    if let Ok(named) = std::env::var("HENGE_BROKEN") {
        let found = Rule::ALL.iter().find(|(name, ..)| *name == named);
        let (.., rule) = found.unwrap_or_else(|| panic!("HENGE_BROKEN names no bug that can be planted: {named}"));
        break_rule(Some(*rule));
    }
}
