//! The command line: one file a command, and the only code that prints.
//!
//! Each command turns what was typed into the options of a conductor in [`crate::job`] (or of
//! [`crate::generate`]), runs it, and says what came of it: data on standard output, everything
//! else on standard error.

mod cells;
mod ddl;
mod forget;
mod generate;
mod inspect;
mod ledger;
mod options;
mod printer;
mod progress;
mod rebuild;
mod redrive;
mod register;
mod rejects;
mod report;
mod run;
mod values;
mod verify;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::generate::GenerateError;
use crate::job::options::UsageError;
use crate::lake::LakeError;
use crate::store::{StoreError, StoreErrorKind};

/// Threads that move bytes; those that burn cores are the conductor's.
const RUNTIME_THREADS: usize = 2;

/// Threads for file operations. Each thread has memory of its own in the allocator, so there are few.
const BLOCKING_THREADS: usize = 8;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done: exit code 0.
    Done,
    /// Done, but something was lost or failed: exit code 3.
    Lost,
}

/// Turns an archive of AWS Health events and Security Hub findings into one clean table of Parquet
#[derive(Debug, Parser)]
#[command(
    name = "healthtrail",
    version,
    max_term_width = 100,
    after_help = "Exit codes:\n  \
                  0  done, and nothing is wrong or missing\n  \
                  1  failed, and safe to run again as it is\n  \
                  2  wrong usage, or a place that holds no lake; nothing was changed\n  \
                  3  done, but something was lost or is wrong: `run` could not read objects or rejected more \
                  than `--rejects-max` allows; `redrive` could not read objects, or they are gone; `verify` \
                  found damage that was not mended; `ledger` knows of objects that wait or of damaged files\n\n\
                  Each option can be set by the environment variable that its help names."
)]
pub struct Cli {
    /// Which log lines go to standard error: `error`, `warn`, `info`, `debug`, or a filter
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        default_value = "warn",
        env = "HEALTHTRAIL_LOG"
    )]
    log: String,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::RunArgs>),
    Inspect(inspect::InspectArgs),
    Ddl(ddl::DdlArgs),
    Generate(Box<generate::GenerateArgs>),
    Report(Box<report::ReportArgs>),
    Verify(Box<verify::VerifyArgs>),
    Rejects(Box<rejects::RejectsArgs>),
    Redrive(Box<redrive::RedriveArgs>),
    Register(Box<register::RegisterArgs>),
    Rebuild(rebuild::RebuildArgs),
    Forget(forget::ForgetArgs),
    Ledger(Box<ledger::LedgerArgs>),
}

impl Cli {
    /// Reads the command line and the environment; where they are wrong, says so and ends the program
    /// with exit code 2.
    pub fn from_command_line() -> Self {
        let mut command = without_empty_variables(Self::command());
        let matches = command.get_matches_mut();
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if let (Command::Run(args), Some((_, matches))) = (&mut cli.command, matches.subcommand()) {
            args.cut_variables(matches);
        }
        if let (Command::Verify(args), Some((_, m))) = (&mut cli.command, matches.subcommand()) {
            args.cut_variables(m);
        }
        if let (Command::Ledger(args), Some((_, m))) = (&mut cli.command, matches.subcommand()) {
            args.cut_variables(m);
        }
        if let (Command::Redrive(args), Some((_, matches))) =
            (&mut cli.command, matches.subcommand())
        {
            args.cut_variables(matches);
        }
        if let Command::Redrive(args) = &cli.command
            && let Some(wrong) = args.contradiction()
            && let Some(redrive) = command.find_subcommand_mut("redrive")
        {
            redrive.error(ErrorKind::ArgumentConflict, wrong).exit();
        }
        if let Command::Run(args) = &cli.command
            && let Some(wrong) = args.contradiction()
            && let Some(run) = command.find_subcommand_mut("run")
        {
            run.error(ErrorKind::ArgumentConflict, wrong).exit();
        }
        cli
    }

    /// Runs the command that was typed.
    ///
    /// # Errors
    /// What ended it, with the place and what to do; the command is safe to run again.
    pub fn run(self) -> anyhow::Result<Outcome> {
        let filter = tracing_subscriber::EnvFilter::try_new(&self.log)?;
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .enable_all()
            .build()?;
        match self.command {
            Command::Run(args) => runtime.block_on(run::run(*args)),
            Command::Inspect(args) => runtime.block_on(inspect::inspect(args)),
            Command::Ddl(args) => runtime.block_on(ddl::ddl(args)),
            Command::Generate(args) => runtime.block_on(generate::generate(*args)),
            Command::Report(args) => runtime.block_on(report::report(*args)),
            Command::Verify(args) => runtime.block_on(verify::verify(*args)),
            Command::Rejects(args) => runtime.block_on(rejects::rejects(*args)),
            Command::Redrive(args) => runtime.block_on(redrive::redrive(*args)),
            Command::Register(args) => runtime.block_on(register::register(*args)),
            Command::Rebuild(args) => runtime.block_on(rebuild::rebuild(args)),
            Command::Forget(args) => runtime.block_on(forget::forget(args)),
            Command::Ledger(args) => runtime.block_on(ledger::ledger(*args)),
        }
    }

    /// The exit code for an error: 2 when the same command can only fail again, else 1.
    pub fn code(error: &anyhow::Error) -> u8 {
        let is_usage = error.is::<UsageError>()
            || matches!(error.downcast_ref(), Some(LakeError::Refused { .. }))
            || matches!(error.downcast_ref(), Some(GenerateError::Options(_)))
            || error.downcast_ref::<StoreError>().is_some_and(is_bad_address);
        if is_usage { 2 } else { 1 }
    }

    /// Says on standard error why a command failed.
    pub fn report(error: &anyhow::Error) {
        printer::error(error);
    }
}

/// What was to be opened is no address of a store.
fn is_bad_address(error: &StoreError) -> bool {
    error.operation == "opening" && error.kind == StoreErrorKind::Other
}

/// An environment variable without a value is as good as none, as schedulers set them.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let forget = |arg: clap::Arg| {
        let is_empty =
            |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|v| v.is_empty());
        if arg.get_env().is_some_and(is_empty) { arg.env(Resettable::Reset) } else { arg }
    };
    command.mut_args(forget).mut_subcommands(without_empty_variables)
}
