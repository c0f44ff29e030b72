//! The `publisher` command: takes arguments, prints one line for an error, gives an exit code.

use clap::Parser;
use publisher::args::Args;
use publisher::report::one_line;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    match publisher::run::run(args) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(
                std::io::stderr(),
                "error: {}",
                one_line(&format!("{error:#}"))
            );
            ExitCode::from(1)
        }
    }
}
