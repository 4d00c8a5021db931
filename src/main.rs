//! Arguments to command to exit code, nothing else.

use std::process::ExitCode;

use healthtrail::cli::Cli;

fn main() -> ExitCode {
    ExitCode::from(Cli::end(&Cli::from_command_line().run()))
}
