//! Name of the program → subcommand → exit status.

fn main() -> std::process::ExitCode {
    weir::cmd::main(std::env::args_os().collect()).into()
}
