//! `healthtrail man`: the manual as man pages, made from the same description as `--help`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;

use super::{Cli, Outcome, printer};

/// Print the manual as a man page, or write one page for each command
///
/// Without `--dir` prints the page of the program, or of the command that is named.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    healthtrail man run | man -l -\n  \
    healthtrail man --dir ~/.local/share/man/man1 && man healthtrail-run")]
pub(super) struct ManArgs {
    /// The command whose page is printed [default: the program]
    #[arg(value_name = "COMMAND")]
    command: Option<String>,

    /// Write all pages into this folder, which is made if it is not there; those of before are replaced
    #[arg(long, value_name = "FOLDER", env = "HEALTHTRAIL_MAN_DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn man(args: &ManArgs) -> anyhow::Result<Outcome> {
    let mut program = Cli::command();
    program.build();
    if let Some(dir) = &args.dir {
        write(&program, dir)?;
        return Ok(Outcome::Done);
    }
    let command = match &args.command {
        None => program,
        Some(name) => {
            let found = program.find_subcommand(name).cloned();
            found.with_context(|| {
                format!("there is no command `{name}`; hint: healthtrail --help")
            })?
        }
    };
    printer::bytes(&page(&command)?)?;
    Ok(Outcome::Done)
}

/// One page for each command that is shown in the help, those of commands within commands too.
fn write(command: &Command, dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making the folder `{}`", dir.display()))?;
    let file = dir.join(Man::new(command.clone()).get_filename());
    fs::write(&file, page(command)?).with_context(|| format!("writing `{}`", file.display()))?;
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    for command in shown.filter(|one| one.get_name() != "help") {
        write(command, dir)?;
    }
    Ok(())
}

fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    // No date: the same version makes the same bytes.
    let title = command.get_display_name().unwrap_or(command.get_name()).to_uppercase();
    let source = concat!("healthtrail ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).title(title).date("").source(source).render(&mut text)?;
    Ok(text)
}
