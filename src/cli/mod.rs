//! The command line: one file a command, and the only code that prints.
//!
//! Each command turns what was typed into the options of a conductor in [`crate::job`] (or of
//! [`crate::generate`]), runs it, and says what came of it: data on standard output, everything
//! else on standard error.

mod cells;
mod ddl;
mod generate;
mod inspect;
mod options;
mod printer;
mod progress;
mod run;
mod values;

use clap::{Parser, Subcommand};

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
    after_help = "Exit codes: 0 done; 1 failed, and safe to run again; 2 wrong usage; 3 done, but objects \
                  could not be read or more was rejected than `--rejects-max` allows.\n\
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
}

impl Cli {
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
        }
    }

    /// Says on standard error why a command failed.
    pub fn report(error: &anyhow::Error) {
        printer::error(error);
    }
}
