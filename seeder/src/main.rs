//! The `seeder` program: reads its arguments and runs [`seeder::cli`].

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    seeder::cli::run(seeder::args::Args::parse())
}
