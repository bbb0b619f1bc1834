//! The command line of henge.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(henge::cli::main())
}
