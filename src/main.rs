//! The command line of henge.

/// Requests make many small allocations; this allocator takes a fraction of the system's time for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(henge::cli::main())
}
