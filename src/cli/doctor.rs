//! `healthtrail doctor`: would a run work here?

use clap::builder::FalseyValueParser;
use clap::{ArgMatches, Args};
use jiff::tz::TimeZone;

use super::options::StoreArgs;
use super::run::{self, ProductsArg, archive, memory};
use super::sources::{Sources, place_archive, stream};
use super::values::{self, printable};
use super::{Outcome, printer};
use crate::job::doctor::{self as job, Check, Diagnosis, DoctorOptions, State, Typed};
use crate::job::options::UsageError;
use crate::job::plan::Archive;
use crate::job::stream::Holds;
use crate::job::stream::derive::Derived;
use crate::store::firehose::SCHEME;
use crate::store::{Identity, S3Options, StoreError, identity, open};

/// Check everything that a run needs, and say what to do where something is missing
///
/// Looks, one after the other, at whose credentials they are, each stream that is named as an archive
/// (its status, what it fills, what will hurt), each archive (Region, clock, listing, reading, what its newest
/// object holds), the lake (Region, clock, its state, and each permission by a harmless request), and
/// this machine (memory, threads, proxy, certificates). Give it what `run` is given; in the environment of the
/// scheduled job it needs nothing more.
///
/// In the lake it writes two objects of a few bytes below `_healthtrail/doctor/`, tries whether a name that is
/// taken is safe from a second writer, and deletes them. `--read-only` leaves that out. It changes nothing else.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 a run will work; 2 wrong usage; 3 at least one check failed.\n\n\
    Examples:\n  \
    healthtrail doctor --from samples/archive --to lake\n  \
    healthtrail doctor --from s3://my-archive/health --to s3://my-lake/health --memory 2GiB\n  \
    healthtrail doctor --from firehose://health-events --to s3://my-lake/health\n  \
    healthtrail doctor --lake s3://my-lake/health --read-only"
)]
pub(super) struct DoctorArgs {
    /// Archive to look at, as for `run`; give it once for each archive
    ///
    /// The variable names several with commas between them.
    #[arg(long, value_name = "ARCHIVE", env = "HEALTHTRAIL_FROM")]
    from: Vec<String>,

    /// Lake to look at, as `run` names it
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_TO")]
    to: Option<String>,

    /// Lake to look at, as the other commands name it; `--to` goes before it
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_LAKE")]
    lake: Option<String>,

    /// Write nothing, for those who only read a lake
    #[arg(long, env = "HEALTHTRAIL_DOCTOR_READ_ONLY", value_parser = FalseyValueParser::new())]
    read_only: bool,

    /// Whose findings a run would keep [default: `health`]
    #[arg(long, env = "HEALTHTRAIL_PRODUCTS")]
    products: Option<ProductsArg>,

    /// Time zone of the times in the keys [default: the stream's, else UTC]
    #[arg(long, value_name = "ZONE", env = "HEALTHTRAIL_ZONE", value_parser = values::zone)]
    zone: Option<TimeZone>,

    /// Memory that a run would be given
    #[arg(long, value_name = "SIZE", env = "HEALTHTRAIL_MEMORY", default_value = "1GiB", value_parser = memory)]
    memory: u64,

    /// Threads that a run would be given [default: one for each processor]
    #[arg(long, value_name = "N", env = "HEALTHTRAIL_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Print the checks as JSON
    #[arg(long, env = "HEALTHTRAIL_DOCTOR_JSON", value_parser = FalseyValueParser::new())]
    json: bool,

    #[command(flatten)]
    stores: StoreArgs,
}

impl DoctorArgs {
    /// As `run` does with its own.
    pub(super) fn cut_variables(&mut self, matches: &ArgMatches) {
        run::cut_variable(&mut self.from, matches);
    }
}

/// Runs the command.
pub(super) async fn doctor(args: DoctorArgs) -> anyhow::Result<Outcome> {
    let lake = args.to.as_ref().or(args.lake.as_ref());
    if args.from.is_empty() && lake.is_none() {
        let nothing = "nothing to look at; give `--from`, `--to`, or both, as for `run`";
        return Err(UsageError(nothing.to_owned()).into());
    }
    let identities = identities(&args, lake).await;
    let named = named(&args).await?;
    let lake = match lake {
        None => None,
        Some(lake) => Some((lake.clone(), open(lake, &args.stores.lake(lake, false)).await)),
    };
    let threads = match args.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism()?.get(),
    };
    let zone = named.zone(args.zone.as_ref())?;
    let options = DoctorOptions {
        identities,
        streams: named.streams,
        archives: named.archives,
        failed: named.failed,
        lake,
        writes: !args.read_only,
        products: args.products.map(ProductsArg::products),
        zone,
        memory_bytes: args.memory,
        threads,
        environment: |name| std::env::var(name).ok(),
    };
    let diagnosis = job::doctor(options).await;
    if args.json {
        printer::data(serde_json::to_string_pretty(&diagnosis)?)?;
    } else {
        for line in describe(&diagnosis) {
            printer::data(printable(&line))?;
        }
    }
    Ok(if diagnosis.fail > 0 { Outcome::Lost } else { Outcome::Done })
}

/// What `--from` names, each by itself: one that is refused does not hide the others.
#[derive(Debug, Default)]
struct Named {
    streams: Vec<Typed<Derived>>,
    archives: Vec<Typed<Archive>>,
    failed: Vec<Typed<Archive>>,
    is_by_hand: bool,
}

impl Named {
    /// The zone that a run would take, or why it would take none.
    fn zone(&self, given: Option<&TimeZone>) -> anyhow::Result<TimeZone> {
        let streams = self.streams.iter().filter_map(|(_, stream)| stream.as_ref().ok().cloned());
        let is_by_hand = self.is_by_hand;
        Sources { archives: Vec::new(), streams: streams.collect(), is_by_hand }.zone(given)
    }
}

async fn named(args: &DoctorArgs) -> anyhow::Result<Named> {
    let mut named = Named::default();
    for from in &args.from {
        if !from.starts_with(SCHEME) {
            named.archives.push((from.clone(), opened(archive(from, &args.stores).await)?));
            named.is_by_hand = true;
            continue;
        }
        let derived = opened(stream(from, &args.stores).await)?;
        for place in derived.iter().flat_map(|derived| &derived.places) {
            let archive = (place.address(), place_archive(place, &args.stores).await);
            match place.holds {
                Holds::Failed => named.failed.push(archive),
                Holds::Delivered | Holds::Both => named.archives.push(archive),
            }
        }
        named.streams.push((from.clone(), derived));
    }
    Ok(named)
}

/// Trouble of a store is what is looked for; all else ends the command.
fn opened<T>(opened: anyhow::Result<T>) -> anyhow::Result<Result<T, StoreError>> {
    match opened {
        Ok(opened) => Ok(Ok(opened)),
        Err(error) => error.downcast::<StoreError>().map(Err),
    }
}

/// Whose credentials are used, one question for each profile.
async fn identities(args: &DoctorArgs, lake: Option<&String>) -> Vec<Typed<Identity>> {
    let is_s3 = |uri: &&String| uri.starts_with("s3://") || uri.starts_with(SCHEME);
    let archives =
        args.from.iter().filter(is_s3).map(|from| ("archive", args.stores.archive(from)));
    let lakes = lake.filter(is_s3).map(|lake| ("lake", args.stores.lake(lake, false)));
    let mut asked: Vec<(Option<String>, Vec<&str>, S3Options)> = Vec::new();
    for (what, options) in archives.chain(lakes) {
        let profile = options.s3.profile.clone();
        match asked.iter_mut().find(|(known, _, _)| *known == profile) {
            Some((_, whats, _)) if whats.contains(&what) => {}
            Some((_, whats, _)) => whats.push(what),
            None => asked.push((profile, vec![what], options.s3)),
        }
    }
    let mut identities = Vec::new();
    for (_, whats, options) in asked {
        identities
            .push((format!("credentials of {}", whats.join(" and ")), identity(&options).await));
    }
    identities
}

/// The checks for a person, by place.
fn describe(diagnosis: &Diagnosis) -> Vec<String> {
    let mut lines = Vec::new();
    let mut place = "";
    for check in &diagnosis.checks {
        if check.place != place {
            place = &check.place;
            lines.push(place.to_owned());
        }
        lines.extend(line(check));
    }
    let verdict = match (diagnosis.fail, diagnosis.warn) {
        (0, 0) => "a run will work",
        (0, _) => "a run will work; see the warnings",
        _ => "a run would not work as it should; see what failed",
    };
    lines.push(format!(
        "{verdict}: {} ok, {} warned, {} failed",
        diagnosis.ok, diagnosis.warn, diagnosis.fail
    ));
    lines
}

fn line(check: &Check) -> Vec<String> {
    let state = match check.state {
        State::Ok => "ok  ",
        State::Warn => "warn",
        State::Fail => "FAIL",
    };
    let mut lines = vec![format!("  {state} {:<16} {}", check.check, check.message)];
    lines.extend(check.to_do.iter().map(|to_do| format!("       {:<16} to do: {to_do}", "")));
    lines
}
