//! `run` for a program that has healthtrail inside: the same options, and nothing printed.
//!
//! In: the options of `run` as they would be typed, and the environment. Out: the options of its conductor,
//! with stores that are open; the summary in words. Wrong is what is wrong with a command line, as an error
//! in place of an end of the program.

use std::sync::{Arc, Once};

use anyhow::bail;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use super::run::{RunArgs, describe, options};
use super::sources::sources;
use super::{Cli, log, without_empty_variables};
use crate::job::options::{RunOptions, UsageError};
use crate::job::plan::Archive;
use crate::job::progress::Progress;
use crate::job::summary::Summary;
use crate::store::{fail_point, open};

/// Options that say what the program itself prints, writes and asks for after the last commit.
const OWN: [&str; 7] =
    ["summary", "progress", "dry_run", "register", "table_prefix", "metrics", "rejects_max"];

/// The options of one run.
#[derive(Debug)]
pub struct EmbeddedRun {
    args: Box<RunArgs>,
}

impl EmbeddedRun {
    /// Reads options as they would be typed after `healthtrail run`.
    ///
    /// # Errors
    /// [`UsageError`] when they are no options of `run`, or some that only the program has.
    pub fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut command = without_empty_variables(Cli::command());
        let all = ["healthtrail", "run"].into_iter().chain(arguments.iter().map(String::as_str));
        let usage = |error: clap::Error| {
            let text = error.render().to_string();
            UsageError(text.trim_start_matches("error: ").trim_end().to_owned())
        };
        let matches = command.try_get_matches_from_mut(all).map_err(usage)?;
        let Some((_, matches)) = matches.subcommand() else { bail!("`run` was not taken for one") };
        if let Some(own) = OWN.into_iter().find(|id| is_typed(matches, id)) {
            let own = own.replace('_', "-");
            bail!(UsageError(format!("`--{own}` is an option of the program alone")));
        }
        let mut args = RunArgs::from_arg_matches(matches).map_err(usage)?;
        args.cut_variables(matches);
        if let Some(wrong) = args.contradiction() {
            bail!(UsageError(wrong.to_owned()));
        }
        Ok(Self { args: Box::new(args) })
    }

    /// Opens the archives and the lake that were named; the lake is made if it is not there.
    ///
    /// # Errors
    /// The stores', or what contradicts each other.
    pub async fn options(&self) -> anyhow::Result<RunOptions> {
        let sources = sources(&self.args.from, &self.args.stores).await?;
        let zone = sources.zone(self.args.zone.as_ref())?;
        let lake = open(&self.args.to, &self.args.stores.lake(&self.args.to, true)).await?;
        options(&self.args, sources.archives, Some(lake), zone, Arc::new(Progress::default()))
    }

    /// The same for a worker: with the archives (base URI and prefix) and the lake as the driver opened them.
    ///
    /// # Errors
    /// The stores'.
    pub async fn options_at(
        &self,
        archives: &[(String, String)],
        lake: &str,
    ) -> anyhow::Result<RunOptions> {
        let stores = &self.args.stores;
        let mut opened = Vec::with_capacity(archives.len());
        for (base, prefix) in archives {
            let store = open(base, &stores.archive(base)).await?;
            opened.push(Archive { store, prefix: prefix.clone() });
        }
        let lake = open(lake, &stores.lake(lake, false)).await?;
        // Arrivals are told by the driver.
        let zone = self.args.zone.clone().unwrap_or(jiff::tz::TimeZone::UTC);
        options(&self.args, opened, Some(lake), zone, Arc::new(Progress::default()))
    }

    /// The summary for a person.
    pub fn describe(&self, summary: &Summary) -> Vec<String> {
        describe(summary, &self.args.to)
    }
}

/// What a program does once that has healthtrail inside: log lines go to standard error, as `HEALTHTRAIL_LOG`
/// says, and a panic quotes no document.
pub fn begin_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let said = std::env::var("HEALTHTRAIL_LOG").ok().filter(|said| !said.is_empty());
        let arg = log::parse(said.as_deref().unwrap_or(log::DEFAULT));
        // A word that is no filter, or another subscriber that is there: then without lines.
        if let Ok(arg) = arg {
            drop(log::begin(&arg));
        }
        fail_point::arm();
    });
}

fn is_typed(matches: &ArgMatches, id: &str) -> bool {
    let is_known = matches.try_contains_id(id).is_ok();
    is_known && matches.value_source(id) == Some(ValueSource::CommandLine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> anyhow::Result<EmbeddedRun> {
        let all: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        EmbeddedRun::parse(&all)
    }

    #[test]
    fn what_is_wrong_with_options_is_an_error() {
        let named = ["--from", "a", "--to", "b"];
        assert!(parse(&named).is_ok());
        for (more, expected) in [
            (vec!["--summary", "x"], "`--summary`"),
            (vec!["--dry-run"], "`--dry-run`"),
            (vec!["--nothing"], "--nothing"),
            (vec!["--memory", "1MiB"], "128.0 MiB"),
            (vec!["--since", "2026-11-24", "--until", "2026-11-23"], "before"),
        ] {
            let error = parse(&[&named[..], &more].concat()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(Cli::code(&error), 2, "{error}");
        }
        assert!(parse(&["--to", "b"]).unwrap_err().to_string().contains("--from"));
    }
}
