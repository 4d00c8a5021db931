//! The command line: one file a command, and the only code that prints.
//!
//! Each command turns what was typed into the options of a conductor in [`crate::job`] (or of
//! [`crate::generate`]), runs it, and says what came of it: data on standard output, everything
//! else on standard error.

mod cells;
mod completions;
mod ddl;
mod doctor;
pub mod embed;
mod ending;
mod forget;
mod generate;
mod inspect;
mod ledger;
mod log;
mod log_lines;
mod man;
mod options;
mod printer;
mod progress;
mod rebuild;
mod redrive;
mod reference;
mod register;
mod rejects;
mod replay;
mod report;
mod run;
mod sources;
mod stop;
mod stream;
mod values;
mod verify;

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::stop::Stoppable;
use crate::generate::GenerateError;
use crate::job::options::UsageError;
use crate::lake::LakeError;
use crate::store::{StoreError, StoreErrorKind, fail_point};

pub use ending::{DIMENSION, NAMESPACE};
pub use reference::{cli_reference, configuration_reference};

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
                  1  failed, or stopped by a signal, and safe to run again as it is\n  \
                  2  wrong usage, or a place that holds no lake; nothing was changed\n  \
                  3  done, but something was lost or is wrong: `run` could not read objects or rejected more \
                  than `--rejects-max` allows; `redrive` could not read objects, or they are gone; `verify` \
                  found damage that was not mended; `ledger` knows of objects that wait or of damaged files; \
                  `doctor` found something that a run would stumble over; `stream` is in trouble; `replay` could \
                  not send everything\n\n\
                  Each option can be set by the environment variable that its help names."
)]
pub struct Cli {
    /// Which log lines go to standard error, and how: `error`, `warn`, `info`, `debug`, or a filter; with
    /// `json` among them, as in `json,info`, every line there is one JSON object
    ///
    /// Only the program's own lines are shown: those of the libraries below it would hold signatures, tokens and
    /// documents.
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        default_value = log::DEFAULT,
        env = "HEALTHTRAIL_LOG",
        value_parser = log::parse
    )]
    log: log::LogArg,

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
    Stream(Box<stream::StreamArgs>),
    Replay(Box<replay::ReplayArgs>),
    Doctor(Box<doctor::DoctorArgs>),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

impl Command {
    /// A signal leaves nothing to tell of it but that it ended.
    fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Inspect(_) | Self::Ddl(_) | Self::Report(_) | Self::Rejects(_) | Self::Stream(_)
        )
    }
}

impl Cli {
    /// Reads the command line and the environment; where they are wrong, says so and ends the program
    /// with exit code 2.
    pub fn from_command_line() -> Self {
        let (lossy, variable) =
            (|text: OsString| text.to_string_lossy().into_owned(), "HEALTHTRAIL_LOG");
        log::look_ahead(std::env::args_os().skip(1).map(lossy), std::env::var(variable).ok());
        let mut command = without_empty_variables(Self::command());
        let matches = command
            .try_get_matches_from_mut(std::env::args_os())
            .unwrap_or_else(|error| refuse(&error));
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| refuse(&error));
        ending::begin(matches.subcommand_name().unwrap_or_default());
        if let (Command::Doctor(args), Some((_, matches))) =
            (&mut cli.command, matches.subcommand())
        {
            args.cut_variables(matches);
        }
        if let (Command::Run(args), Some((_, matches))) = (&mut cli.command, matches.subcommand()) {
            args.cut_variables(matches);
        }
        if let (Command::Verify(args), Some((_, m))) = (&mut cli.command, matches.subcommand()) {
            args.cut_variables(m);
        }
        if let (Command::Ledger(args), Some((_, m))) = (&mut cli.command, matches.subcommand()) {
            args.cut_variables(m);
        }
        if let (Command::Replay(args), Some((_, m))) = (&mut cli.command, matches.subcommand()) {
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
            refuse(&redrive.error(ErrorKind::ArgumentConflict, wrong));
        }
        if let Command::Run(args) = &cli.command
            && let Some(wrong) = args.contradiction()
            && let Some(run) = command.find_subcommand_mut("run")
        {
            refuse(&run.error(ErrorKind::ArgumentConflict, wrong));
        }
        cli
    }

    /// Runs the command that was typed.
    ///
    /// # Errors
    /// What ended it, with the place and what to do; the command is safe to run again.
    pub fn run(self) -> anyhow::Result<Outcome> {
        log::begin(&self.log)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .enable_all()
            .build()?;
        fail_point::arm();
        let runtime = Stoppable::new(runtime, self.command.only_reads());
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
            Command::Doctor(args) => runtime.block_on(doctor::doctor(*args)),
            Command::Completions(args) => completions::completions(&args),
            Command::Man(args) => man::man(&args),
            Command::Stream(args) => runtime.block_on(stream::stream(*args)),
            Command::Replay(args) => runtime.block_on(replay::replay(*args)),
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

    /// Says on standard error why a command failed, tells how it ended where that is asked for, and gives
    /// the exit code.
    pub fn end(result: &anyhow::Result<Outcome>) -> u8 {
        let code = match result {
            Ok(Outcome::Done) => 0,
            Ok(Outcome::Lost) => 3,
            Err(error) => {
                printer::error(error);
                Self::code(error)
            }
        };
        ending::end(result, code)
    }
}

/// Says what is wrong with the command line (or shows the help that was asked for), and ends the program.
fn refuse(error: &clap::Error) -> ! {
    if error.use_stderr() && log::is_json() {
        let text = error.render().to_string();
        printer::usage(text.trim_start_matches("error: ").trim_end());
        #[expect(clippy::exit, reason = "as clap does where lines are for people")]
        std::process::exit(error.exit_code());
    }
    error.exit()
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
