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
            // Our errors name their cause themselves; those of others may not.
            let mut message = error.to_string();
            for cause in error.chain().skip(1).map(ToString::to_string) {
                if !message.contains(&cause) {
                    message.push_str(": ");
                    message.push_str(&cause);
                }
            }
            let _ = writeln!(std::io::stderr(), "error: {}", one_line(&message));
            ExitCode::from(1)
        }
    }
}
