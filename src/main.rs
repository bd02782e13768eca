//! Name of the program → subcommand → exit status.

// The C libraries of static binaries do not all leave untouched what they hand out as zeroed.
#[cfg(target_env = "musl")]
#[global_allocator]
static MEMORY: weir::sys::memory::Pages = weir::sys::memory::Pages;

fn main() -> std::process::ExitCode {
    weir::cmd::main(std::env::args_os().collect()).into()
}
