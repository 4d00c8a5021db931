//! `healthtrail register`, and `run --register`: the lake's tables in the Glue Data Catalog.

use std::sync::Arc;

use anyhow::bail;
use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use super::options::{CatalogArgs, StoreArgs};
use super::values::{database, printable, show_count};
use super::{Outcome, printer};
use crate::job::options::UsageError;
use crate::job::register::{RegisterOptions, Registered, RegisteredTable, register as job};
use crate::lake::layout::Table;
use crate::store::catalog::{TableCatalog, open_catalog};
use crate::store::{Store, open};

/// Notes that are shown; `--json` has them all.
const NOTES_MAX: usize = 20;

/// Make or update the lake's tables in the Glue Data Catalog, where Athena and others find them
///
/// Reads the lake's log and the tables as Glue has them, and adds what they lack: the tables themselves,
/// columns at their end, comments and a description where there are none, parameters that are missing, a
/// range of partitions that has become too narrow. Nothing is dropped, and nothing that somebody set is
/// changed. A table that is none of this lake's (another place, another type of a column, other partition
/// keys) is refused with what to do, before anything is written. The lake itself is only read. Running it
/// twice is the same as running it once. `run --register DATABASE` does it after each run.
///
/// New tables compute their partitions from a range, so there is nothing to register each day. With
/// `--partitions` each partition that the log names is registered instead, for readers other than Athena; a
/// table that was made so is told of its new partitions each time, with or without the option. Views are
/// Athena's own: run what `healthtrail ddl --views` prints.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done, or nothing to do; 1 failed, and safe to run again; 2 wrong usage, or \
    a table that is none of the lake's, nothing was changed\n\n\
    Examples:\n  \
    healthtrail register --lake s3://my-lake/health --database security --create-database\n  \
    healthtrail register --lake s3://my-lake/health --database security --dry-run\n  \
    healthtrail register --lake s3://my-lake/health --database security --partitions --table findings"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that is given or not")]
pub(super) struct RegisterArgs {
    /// The lake: a folder or `s3://bucket/prefix`
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_LAKE")]
    lake: String,

    /// Database of the tables
    #[arg(long, value_name = "NAME", env = "HEALTHTRAIL_DATABASE", value_parser = database)]
    database: String,

    /// Only this table; give it once for each [default: both]
    #[arg(long, env = "HEALTHTRAIL_TABLE", value_delimiter = ',')]
    table: Vec<TableArg>,

    /// Where readers find the lake's files, when they are copied from a folder: `s3://bucket/prefix`
    #[arg(long, value_name = "URI", env = "HEALTHTRAIL_LOCATION")]
    location: Option<String>,

    /// Register each partition that the log names, a hundred in one request; those that are there stay
    ///
    /// A new table is made without a range. One that has a range keeps it: Athena goes by the range, others
    /// by what is registered.
    #[arg(long, env = "HEALTHTRAIL_PARTITIONS", value_parser = FalseyValueParser::new())]
    partitions: bool,

    /// Make the database if it is missing
    #[arg(long, env = "HEALTHTRAIL_CREATE_DATABASE", value_parser = FalseyValueParser::new())]
    create_database: bool,

    /// Let tables that show another place show this lake from now on, such as one that was rebuilt
    ///
    /// Not for tables with registered partitions, which would stay where they are.
    #[arg(long, env = "HEALTHTRAIL_FORCE_LOCATION", value_parser = FalseyValueParser::new())]
    force_location: bool,

    /// Say what is different, and change nothing; exit code 0 either way
    #[arg(long, env = "HEALTHTRAIL_DRY_RUN", value_parser = FalseyValueParser::new())]
    dry_run: bool,

    /// Print what was done as JSON; `is_current` tells whether there was nothing to do
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    catalog: CatalogArgs,

    #[command(flatten)]
    stores: StoreArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TableArg {
    /// What became a row
    Findings,
    /// What could not
    Rejects,
}

impl TableArg {
    fn table(self) -> Table {
        match self {
            Self::Findings => Table::Findings,
            Self::Rejects => Table::Rejects,
        }
    }
}

/// Runs the command.
pub(super) async fn register(args: RegisterArgs) -> anyhow::Result<Outcome> {
    let is_wanted = |table: &Table| {
        args.table.is_empty() || args.table.iter().any(|wanted| wanted.table() == *table)
    };
    let options = RegisterOptions {
        lake: open(&args.lake, &args.stores.lake(&args.lake, false)).await?,
        catalog: open_catalog(&args.catalog.glue(&args.stores)).await?,
        database: args.database.clone(),
        location: args.location.clone(),
        prefix: args.catalog.table_prefix.clone(),
        tables: Table::ALL.into_iter().filter(is_wanted).collect(),
        partitions: args.partitions,
        create_database: args.create_database,
        force_location: args.force_location,
        dry_run: args.dry_run,
    };
    let registered = job(&options).await?;
    if args.json {
        printer::data(serde_json::to_string_pretty(&registered)?)?;
    } else {
        print(&registered, false)?;
    }
    check(&registered)?;
    Ok(Outcome::Done)
}

/// What is registered after a run, known to be possible before it.
pub(super) struct AfterRun {
    /// As it was typed.
    lake: String,
    database: String,
    prefix: String,
    catalog: Arc<dyn TableCatalog>,
}

impl AfterRun {
    /// None where nothing is to be registered.
    pub(super) async fn new(
        database: Option<&String>,
        lake: &str,
        catalog: &CatalogArgs,
        stores: &StoreArgs,
    ) -> anyhow::Result<Option<Self>> {
        let Some(database) = database else { return Ok(None) };
        if !lake.starts_with("s3://") {
            let why = "`--register` is for a lake on S3, where Athena finds it; for a folder that is \
                       copied there use `healthtrail register --location`";
            bail!(UsageError(why.to_owned()));
        }
        Ok(Some(Self {
            lake: lake.to_owned(),
            database: database.to_owned(),
            prefix: catalog.table_prefix.clone(),
            catalog: open_catalog(&catalog.glue(stores)).await?,
        }))
    }

    /// Registers both tables, and says so unless `is_quiet`.
    pub(super) async fn register(self, lake: Arc<dyn Store>, is_quiet: bool) -> anyhow::Result<()> {
        let options = RegisterOptions {
            lake,
            catalog: self.catalog,
            database: self.database.clone(),
            location: None,
            prefix: self.prefix,
            tables: Table::ALL.to_vec(),
            partitions: false,
            create_database: false,
            force_location: false,
            dry_run: false,
        };
        let registered = job(&options).await.and_then(|registered| {
            check(&registered)?;
            Ok(registered)
        });
        // Whatever it is, the run itself is done: the exit code is that of a failure, not of wrong usage.
        let (lake, database) = (self.lake, self.database);
        let registered =
            registered.map_err(|error| NotRegistered { lake, database, cause: error.into() })?;
        print(&registered, is_quiet)
    }
}

/// The run is done, and its tables could not be registered.
#[derive(Debug, thiserror::Error)]
#[error(
    "the run is committed and `{lake}` is safe, but its tables could not be registered in Glue; mend \
     that and run `healthtrail register --lake {lake} --database {database}`, or leave it to the next run"
)]
struct NotRegistered {
    lake: String,
    database: String,
    #[source]
    cause: Box<dyn std::error::Error + Send + Sync>,
}

/// Partitions that Glue refused are a failure, told after what was done.
fn check(registered: &Registered) -> anyhow::Result<()> {
    let failed = registered.failed();
    let first = registered.tables.iter().flat_map(|table| &table.partitions_failed).next();
    match first {
        None => Ok(()),
        Some(first) => bail!(
            "{} partitions could not be registered, the first of them `{}`: {}; run it again",
            show_count(failed),
            printable(&first.partition),
            printable(&first.message)
        ),
    }
}

/// Says what was registered; only the notes with `is_quiet`.
fn print(registered: &Registered, is_quiet: bool) -> anyhow::Result<()> {
    for note in &registered.notes {
        printer::note(format_args!("note: {}", printable(note)));
    }
    for table in &registered.tables {
        for note in table.notes.iter().take(NOTES_MAX) {
            let name = &table.name;
            printer::note(format_args!(
                "note: `{}.{name}`: {}",
                registered.database,
                printable(note)
            ));
        }
        if table.notes.len() > NOTES_MAX {
            printer::note(format_args!("note: and {} more", table.notes.len() - NOTES_MAX));
        }
    }
    if is_quiet {
        return Ok(());
    }
    for line in describe(registered) {
        printer::data(line)?;
    }
    Ok(())
}

fn describe(registered: &Registered) -> Vec<String> {
    let database = &registered.database;
    let mut lines = vec![match (registered.is_current, registered.dry_run) {
        (true, _) => format!("the tables in Glue's database {database} are current"),
        (false, true) => format!("would change in Glue's database {database}"),
        (false, false) => format!("changed in Glue's database {database}"),
    }];
    if registered.database_created {
        lines.push("  database   made".to_owned());
    }
    for table in &registered.tables {
        lines.extend(describe_table(table));
    }
    lines
}

fn describe_table(table: &RegisteredTable) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    if table.created {
        let how = if table.projection { "computed from a range" } else { "registered" };
        parts.push(format!("made, with partitions {how}"));
    }
    let named = |what: &str, names: &[String]| match names {
        [] => None,
        names => Some(format!("{what} {}", names.join(", "))),
    };
    parts.extend(named("new columns", &table.columns_added));
    parts.extend(named("new comments", &table.comments_added));
    if table.description_added {
        parts.push("a description".to_owned());
    }
    let set: Vec<String> =
        table.parameters_set.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    parts.extend(named("set", &set));
    if let Some(place) = &table.moved_to {
        parts.push(format!("lies in {place}"));
    }
    if table.partitions_added > 0 {
        let (new, before) = (table.partitions_added, table.partitions_present);
        parts.push(format!("{} new partitions beside {}", show_count(new), show_count(before)));
    }
    if table.partitions_failed_count > 0 {
        parts.push(format!("{} partitions failed", show_count(table.partitions_failed_count)));
    }
    if parts.is_empty() {
        parts.push("nothing to do".to_owned());
    }
    parts.iter().map(|part| format!("  {:<10} {}", table.name, printable(part))).collect()
}
