//! `healthtrail completions`: what a shell needs to complete the command line.

use std::io;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Outcome, printer};

/// Print a script that teaches a shell to complete commands, options and their values
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    healthtrail completions bash > ~/.local/share/bash-completion/completions/healthtrail\n  \
    healthtrail completions zsh > ~/.zfunc/_healthtrail        (a folder of $fpath)\n  \
    healthtrail completions fish > ~/.config/fish/completions/healthtrail.fish")]
pub(super) struct CompletionsArgs {
    /// Whose script
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command.
pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<Outcome> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    let written: io::Result<()> = printer::bytes(&script);
    written?;
    Ok(Outcome::Done)
}
