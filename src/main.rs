//! The `taskava` binary: calls the library.

fn main() -> std::process::ExitCode {
    taskava::cli::main()
}
