//! Arguments to command to exit code, nothing else.

use std::process::ExitCode;

use healthtrail::cli::{Cli, Outcome};

fn main() -> ExitCode {
    match Cli::from_command_line().run() {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Lost) => ExitCode::from(3),
        Err(error) => {
            Cli::report(&error);
            ExitCode::from(Cli::code(&error))
        }
    }
}
