//! The `taskava` binary: hands over to the library.

fn main() -> std::process::ExitCode {
    taskava::cli::main()
}
