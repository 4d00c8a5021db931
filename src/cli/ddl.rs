//! `healthtrail ddl`: the SQL that shows a lake to Athena, Glue or `DuckDB`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};

use super::options::StoreArgs;
use super::values::{database, table_prefix};
use super::{Outcome, printer};
use crate::finding::identity::IDENTITY_VERSION;
use crate::job::options::UsageError;
use crate::lake::ddl::{Catalog, LakeFacts, athena_location};
use crate::lake::ddl_changes::{PresentTable, changes};
use crate::lake::duckdb;
use crate::lake::facts::{Names, facts as lake_facts};
use crate::lake::layout::Table;
use crate::lake::ledger::{Ledger, LedgerFile};
use crate::lake::part_columns::part_columns;
use crate::lake::views::{Engine, VIEWS};
use crate::store::{Store, open};

/// Print the SQL that shows the lake to Athena, Glue or `DuckDB`: tables, views, changes
///
/// Reads the lake's log, never a listing, and writes nothing. Statements end with a semicolon; Athena
/// takes one at a time, and `--json` prints them as a list.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    healthtrail ddl --lake s3://my-lake/health --database security --views\n  \
    healthtrail ddl --lake lake --engine duckdb --views > lake.sql && duckdb -init lake.sql\n  \
    healthtrail ddl --lake s3://my-lake/health --catalog glue-json | jq -c '.[]'\n  \
    healthtrail ddl --lake s3://my-lake/health --if-changed --table-json findings.json")]
pub(super) struct DdlArgs {
    /// The lake: a folder or `s3://bucket/prefix`
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_LAKE")]
    lake: String,

    /// Where Athena finds the lake's files, when they are copied from a folder: `s3://bucket/prefix`
    #[arg(long, value_name = "URI", env = "HEALTHTRAIL_LOCATION")]
    location: Option<String>,

    /// Database of the tables and views [default: the one that the statements are run in]
    #[arg(long, value_name = "NAME", env = "HEALTHTRAIL_DATABASE", value_parser = database)]
    database: Option<String>,

    /// What the names of the tables and views begin with, in a database that others use too: `health_`
    #[arg(
        long,
        value_name = "PREFIX",
        env = "HEALTHTRAIL_TABLE_PREFIX",
        default_value = "",
        hide_default_value = true,
        value_parser = table_prefix
    )]
    table_prefix: String,

    /// How Athena learns of the partitions [default: `projection`]
    #[arg(long)]
    catalog: Option<CatalogArg>,

    /// Whose SQL to print
    #[arg(long, default_value = "athena")]
    engine: EngineArg,

    /// Print the views after the tables
    #[arg(long)]
    views: bool,

    /// Print only what a table lacks: columns that the lake's newest files carry, and a wider range of
    /// partitions; nothing when it lacks nothing
    ///
    /// Without `--table-json` the table is taken to have the columns of the lake's oldest files.
    #[arg(long, conflicts_with_all = ["views", "catalog"])]
    if_changed: bool,

    /// The table as it is: the output of `aws glue get-table`; give it once for each table
    #[arg(long, value_name = "FILE", requires = "if_changed")]
    table_json: Vec<PathBuf>,

    /// Print a JSON list of statements
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    stores: StoreArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CatalogArg {
    /// Computed from a range of dates; nothing to do when a day is added
    Projection,
    /// Each partition registered, for readers other than Athena; run it again after each run
    Partitions,
    /// Requests for Glue's `CreateTable`, as JSON, with partition projection
    GlueJson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineArg {
    /// Athena, engine version 3
    Athena,
    /// `DuckDB`, straight on the lake's files
    Duckdb,
}

/// Runs the command.
pub(super) async fn ddl(args: DdlArgs) -> anyhow::Result<Outcome> {
    check(&args)?;
    let store = open(&args.lake, &args.stores.lake(&args.lake, false)).await?;
    let (facts, ledger) = facts(&args, &store).await?;
    let catalog = args.catalog.unwrap_or(CatalogArg::Projection);
    if args.if_changed {
        let statements = changed(&args, store.as_ref(), &facts, &ledger).await?;
        print(&statements, args.json)?;
    } else if catalog == CatalogArg::GlueJson {
        let requests = Table::ALL.map(|table| facts.glue_table(table));
        let requests = requests.into_iter().collect::<Result<Vec<_>, _>>()?;
        printer::data(serde_json::to_string_pretty(&requests)?)?;
    } else {
        print(&statements(&args, &facts, catalog), args.json)?;
    }
    Ok(Outcome::Done)
}

/// Refuses options that do not go together.
fn check(args: &DdlArgs) -> anyhow::Result<()> {
    if args.engine == EngineArg::Duckdb {
        let athena_only = [
            ("--database", args.database.is_some()),
            ("--table-prefix", !args.table_prefix.is_empty()),
            ("--catalog", args.catalog.is_some()),
            ("--if-changed", args.if_changed),
        ];
        if let Some((option, _)) = athena_only.iter().find(|(_, given)| *given) {
            let why = format!("`{option}` is for Athena; leave it out with `--engine duckdb`");
            bail!(UsageError(why));
        }
    }
    if args.catalog == Some(CatalogArg::GlueJson) && args.views {
        let why =
            "Glue takes views only from Athena; print them with `--catalog projection --views`";
        bail!(UsageError(why.to_owned()));
    }
    Ok(())
}

/// What the lake is, from its settings and its log.
async fn facts(args: &DdlArgs, store: &Arc<dyn Store>) -> anyhow::Result<(LakeFacts, Ledger)> {
    let names = Names {
        location: location(args, store.base_uri())?,
        database: args.database.clone(),
        prefix: args.table_prefix.clone(),
    };
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let found = lake_facts(store, names, IDENTITY_VERSION, now_ms).await?;
    let Some(found) = found else {
        let why = format!("there is no lake in `{}`; `healthtrail run` makes one", args.lake);
        bail!(UsageError(why));
    };
    for note in found.notes {
        printer::note(note);
    }
    Ok((found.facts, found.ledger))
}

fn location(args: &DdlArgs, base: &str) -> anyhow::Result<String> {
    let given = args.location.as_deref();
    if args.engine == EngineArg::Duckdb {
        let location = given.unwrap_or(base).trim_end_matches('/');
        return Ok(location.strip_prefix("file://").unwrap_or(location).to_owned());
    }
    Ok(athena_location(given, base).map_err(UsageError)?)
}

/// Tables, partitions and views.
fn statements(args: &DdlArgs, facts: &LakeFacts, catalog: CatalogArg) -> Vec<String> {
    let mut statements = Vec::new();
    let engine = match args.engine {
        EngineArg::Duckdb => {
            statements.push(duckdb::SETTINGS.to_owned());
            statements.extend(Table::ALL.map(|table| duckdb::table(facts, table)));
            Engine::DuckDb
        }
        EngineArg::Athena => {
            let catalog = match catalog {
                CatalogArg::Partitions => Catalog::Partitions,
                CatalogArg::Projection | CatalogArg::GlueJson => Catalog::Projection,
            };
            for table in Table::ALL {
                statements.push(facts.create_table(table, catalog));
                if catalog == Catalog::Partitions {
                    statements.extend(facts.add_partitions(table));
                }
            }
            Engine::Athena
        }
    };
    if args.views {
        let database = facts.database.as_deref();
        statements.extend(VIEWS.iter().map(|view| view.create(engine, database, &facts.prefix)));
    }
    statements
}

/// What the tables lack.
async fn changed(
    args: &DdlArgs,
    store: &dyn Store,
    facts: &LakeFacts,
    ledger: &Ledger,
) -> anyhow::Result<Vec<String>> {
    let mut present = Vec::new();
    for file in &args.table_json {
        let told = || format!("reading `{}`", file.display());
        let json = std::fs::read(file).with_context(told)?;
        present.push(
            PresentTable::from_glue(&json, facts.by, &facts.prefix)
                .map_err(|e| anyhow!(e))
                .with_context(told)?,
        );
    }
    let mut statements = Vec::new();
    for table in Table::ALL {
        let by_commit = |file: &&LedgerFile| file.commit;
        let files = || ledger.all_files().filter(|(own, ..)| *own == table).map(|(.., file)| file);
        let (Some(oldest), Some(newest)) =
            (files().min_by_key(by_commit), files().max_by_key(by_commit))
        else {
            continue;
        };
        let told = present.iter().find(|(own, _)| *own == table).map(|(_, present)| present);
        let present = match told {
            Some(present) => present.clone(),
            None if !args.table_json.is_empty() => continue,
            None => PresentTable::of_files(&part_columns(store, oldest).await?),
        };
        let in_files = part_columns(store, newest).await?;
        let changes = changes(facts, table, &present, &in_files, &newest.key)?;
        for note in changes.notes {
            printer::note(note);
        }
        statements.extend(changes.statements);
    }
    if statements.is_empty() {
        printer::note("nothing to change: the tables have all that the lake's files carry");
    }
    Ok(statements)
}

fn print(statements: &[String], json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(printer::data(serde_json::to_string_pretty(statements)?)?);
    }
    for (index, statement) in statements.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        printer::data(format_args!("{gap}{statement};"))?;
    }
    Ok(())
}
