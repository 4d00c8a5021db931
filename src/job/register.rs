//! `register`: the lake's tables in a catalog become what the lake is.
//!
//! In: a lake, a catalog, and where in it. Out: what was different, and is no longer. Nothing is written
//! before every table is known to be one that may be added to; then each is made or changed, if it is still
//! as it was read, else read and compared again, a few times. Partitions follow, at most a hundred in one
//! request. Wrong: a lake or database that is not there, tables that are none of the lake's
//! ([`UsageError`], nothing was changed), a catalog that does not answer. Memory: the folded log, and the
//! names of a table's partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::bail;
use serde::Serialize;

use crate::finding::identity::IDENTITY_VERSION;
use crate::job::options::UsageError;
use crate::lake::ddl::{Catalog, LakeFacts, athena_location};
use crate::lake::facts::{Names, facts};
use crate::lake::layout::Table;
use crate::lake::table_difference::{Difference, difference, same_place};
use crate::store::catalog::{
    CatalogPartition, PARTITIONS_MAX, PartitionError, TableCatalog, TableChange, TableInput,
};
use crate::store::{Store, StoreErrorKind};

/// How often a table that somebody else changes meanwhile is read and compared again.
const ATTEMPTS: u32 = 5;
/// Partitions that are named when they could not be created; all are counted.
const NAMES_MAX: usize = 100;

/// What to register, and where.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that is given or not")]
pub struct RegisterOptions {
    /// The lake.
    pub lake: Arc<dyn Store>,
    /// The catalog.
    pub catalog: Arc<dyn TableCatalog>,
    /// The database of its tables.
    pub database: String,
    /// Where readers find the lake's files; none for the lake's own place.
    pub location: Option<String>,
    /// What the tables' names begin with.
    pub prefix: String,
    /// Which of the two tables.
    pub tables: Vec<Table>,
    /// Register each partition, also where Athena computes them.
    pub partitions: bool,
    /// Make the database when it is missing.
    pub create_database: bool,
    /// Let a table come to lie where the lake lies.
    pub force_location: bool,
    /// Only say what would be different.
    pub dry_run: bool,
}

/// What was registered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// Nothing was written.
    pub dry_run: bool,
    /// The database of the tables.
    pub database: String,
    /// The database was made.
    pub database_created: bool,
    /// Nothing was different.
    pub is_current: bool,
    /// What became of each table.
    pub tables: Vec<RegisteredTable>,
    /// What a person should know of the lake.
    pub notes: Vec<String>,
}

/// What became of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RegisteredTable {
    /// Its name in the database.
    pub name: String,
    /// It was made.
    pub created: bool,
    /// Its partitions are computed from a range, as far as Athena is concerned.
    pub projection: bool,
    /// Columns that were added.
    pub columns_added: Vec<String>,
    /// Columns that had no comment and have one.
    pub comments_added: Vec<String>,
    /// Its description was missing.
    pub description_added: bool,
    /// Parameters that were set, and to what.
    pub parameters_set: BTreeMap<String, String>,
    /// Where it lies from now on.
    pub moved_to: Option<String>,
    /// Partitions that were registered.
    pub partitions_added: u64,
    /// Partitions that are registered already.
    pub partitions_present: u64,
    /// Partitions that could not be registered, and why; at most a hundred of them.
    pub partitions_failed: Vec<FailedPartition>,
    /// All of them.
    pub partitions_failed_count: u64,
    /// What stays, though this program would have it otherwise.
    pub notes: Vec<String>,
}

/// A partition that could not be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedPartition {
    /// The value of its key.
    pub partition: String,
    /// What the catalog says.
    pub message: String,
}

/// What is to be done about a table.
#[derive(Debug)]
enum Plan {
    Create(TableInput),
    Change { version: Option<String>, difference: Difference },
}

/// Registers the lake's tables.
///
/// # Errors
/// See the top of this file. Partitions that could not be registered are none; the outcome counts them.
pub async fn register(options: &RegisterOptions) -> anyhow::Result<Registered> {
    let (facts, notes) = lake_facts(options).await?;
    let (catalog, database) = (&options.catalog, &options.database);
    let mut registered = Registered {
        dry_run: options.dry_run,
        database: database.clone(),
        notes,
        ..Registered::default()
    };
    let is_missing = !catalog.has_database(database).await?;
    if is_missing && !options.create_database {
        bail!(UsageError(format!(
            "there is no database `{database}` in the catalog; make it, or give `--create-database`"
        )));
    }
    let plans = plan(options, &facts).await?;
    if is_missing {
        registered.database_created = true;
        if !options.dry_run {
            create_database(options).await?;
        }
    }
    for (table, plan) in plans {
        let mut told = if options.dry_run {
            RegisteredTable::of(&facts, table, &plan)
        } else {
            carry_out(options, &facts, table, plan).await?
        };
        if options.partitions || !told.projection {
            register_partitions(options, &facts, table, &mut told).await?;
        }
        registered.tables.push(told);
    }
    registered.is_current =
        !registered.database_created && registered.tables.iter().all(RegisteredTable::is_current);
    Ok(registered)
}

/// What the lake is; an open commit counts, for its partitions are about to be visible.
async fn lake_facts(options: &RegisterOptions) -> anyhow::Result<(LakeFacts, Vec<String>)> {
    let base = options.lake.base_uri();
    let location = athena_location(options.location.as_deref(), base).map_err(UsageError)?;
    let names = Names {
        location,
        database: Some(options.database.clone()),
        prefix: options.prefix.clone(),
    };
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let found = facts(&options.lake, names, IDENTITY_VERSION, now_ms).await?;
    let Some(found) = found else {
        bail!(UsageError(format!("there is no lake in `{base}`; `healthtrail run` makes one")));
    };
    Ok((found.facts, found.notes))
}

/// What is to be done, before anything is done.
async fn plan(options: &RegisterOptions, facts: &LakeFacts) -> anyhow::Result<Vec<(Table, Plan)>> {
    let mut plans = Vec::new();
    let mut refused = Vec::new();
    for table in &options.tables {
        match plan_table(options, facts, *table).await? {
            Ok(plan) => plans.push((*table, plan)),
            Err(reasons) => refused.extend(reasons),
        }
    }
    refuse(&refused)?;
    Ok(plans)
}

async fn plan_table(
    options: &RegisterOptions,
    facts: &LakeFacts,
    table: Table,
) -> anyhow::Result<Result<Plan, Vec<String>>> {
    let name = facts.bare_name(table);
    let present = options.catalog.table(&options.database, &name).await?;
    let Some(present) = present else {
        let catalog = if options.partitions { Catalog::Partitions } else { Catalog::Projection };
        return Ok(Ok(Plan::Create(facts.table_input(table, catalog))));
    };
    let found = difference(facts, table, &present, options.force_location);
    let place = format!("{}.{name}", options.database);
    Ok(match found {
        Ok(difference) => Ok(Plan::Change { version: present.version, difference }),
        Err(reasons) => {
            Err(reasons.iter().map(|reason| format!("table `{place}`: {reason}")).collect())
        }
    })
}

fn refuse(reasons: &[String]) -> anyhow::Result<()> {
    match reasons {
        [] => Ok(()),
        [only] => bail!(UsageError(format!("nothing was changed: {only}"))),
        [first, more @ ..] => bail!(UsageError(format!(
            "nothing was changed, for {} reasons: {first}; and {}",
            reasons.len(),
            more.join("; and ")
        ))),
    }
}

async fn create_database(options: &RegisterOptions) -> anyhow::Result<()> {
    let description = "AWS Health events and Security Hub findings, kept by healthtrail";
    match options.catalog.create_database(&options.database, description).await {
        // Somebody was faster, which is as good.
        Err(error) if error.kind == StoreErrorKind::Precondition => Ok(()),
        other => Ok(other?),
    }
}

/// Carries the plan out; where somebody else was at work meanwhile, plans again on top of it.
async fn carry_out(
    options: &RegisterOptions,
    facts: &LakeFacts,
    table: Table,
    mut plan: Plan,
) -> anyhow::Result<RegisteredTable> {
    let (catalog, database) = (&options.catalog, &options.database);
    let name = facts.bare_name(table);
    let mut attempt = 1;
    loop {
        let done = match &plan {
            Plan::Create(input) => catalog.create_table(database, input).await,
            Plan::Change { difference, .. } if difference.change.is_empty() => Ok(()),
            Plan::Change { version, difference } => {
                let (version, change) = (version.as_deref(), &difference.change);
                catalog.change_table(database, &name, version, change).await
            }
        };
        match done {
            Ok(()) => return Ok(RegisteredTable::of(facts, table, &plan)),
            Err(error)
                if attempt < ATTEMPTS
                    && matches!(
                        error.kind,
                        StoreErrorKind::Precondition | StoreErrorKind::Conflict
                    ) =>
            {
                attempt += 1;
                plan = match plan_table(options, facts, table).await? {
                    Ok(plan) => plan,
                    Err(reasons) => {
                        let reasons = reasons.join("; and ");
                        bail!("somebody changed the tables meanwhile: {reasons}");
                    }
                };
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Registers the partitions that the log names and the catalog lacks.
async fn register_partitions(
    options: &RegisterOptions,
    facts: &LakeFacts,
    table: Table,
    told: &mut RegisteredTable,
) -> anyhow::Result<()> {
    let (catalog, database) = (&options.catalog, &options.database);
    // In a dry run a new table is not there to be asked.
    let present = if options.dry_run && told.created {
        Vec::new()
    } else {
        catalog.partitions(database, &told.name).await?
    };
    let mut known = BTreeSet::new();
    for partition in &present {
        let [value] = &partition.values[..] else { continue };
        known.insert(value.as_str());
        let elsewhere = value.parse().ok().and_then(|own| {
            let (own, present) =
                (facts.partition_location(table, own), partition.location.as_deref()?);
            (!same_place(&own, present)).then_some(present)
        });
        if let Some(place) = elsewhere {
            told.notes.push(format!("partition `{value}` lies in `{place}`, and stays there"));
        }
    }
    let own: Vec<_> = facts.partitions_of(table).collect();
    let is_known = |partition: &String| known.contains(partition.as_str());
    let missing: Vec<CatalogPartition> = own
        .iter()
        .filter(|own| !is_known(&own.to_string()))
        .map(|own| CatalogPartition {
            values: vec![own.to_string()],
            location: Some(facts.partition_location(table, *own)),
        })
        .collect();
    told.partitions_present = (own.len() - missing.len()) as u64;
    if options.dry_run {
        told.partitions_added = missing.len() as u64;
        return Ok(());
    }
    for batch in missing.chunks(PARTITIONS_MAX) {
        let errors = catalog.create_partitions(database, &told.name, batch).await?;
        told.count(batch.len(), errors);
    }
    Ok(())
}

impl RegisteredTable {
    fn of(facts: &LakeFacts, table: Table, plan: &Plan) -> Self {
        let name = facts.bare_name(table);
        match plan {
            Plan::Create(input) => Self {
                name,
                created: true,
                projection: input.parameters.contains_key("projection.enabled"),
                ..Self::default()
            },
            Plan::Change { difference, .. } => {
                let TableChange { description, columns, comments, parameters, location } =
                    difference.change.clone();
                Self {
                    name,
                    projection: difference.is_projected,
                    columns_added: columns.into_iter().map(|column| column.name).collect(),
                    comments_added: comments.into_keys().collect(),
                    description_added: description.is_some(),
                    parameters_set: parameters,
                    moved_to: location,
                    notes: difference.notes.clone(),
                    ..Self::default()
                }
            }
        }
    }

    /// Counts a batch of partitions.
    fn count(&mut self, batch: usize, errors: Vec<PartitionError>) {
        let mut added = batch as u64;
        for error in errors {
            added = added.saturating_sub(1);
            if error.exists {
                self.partitions_present += 1;
                continue;
            }
            self.partitions_failed_count += 1;
            if self.partitions_failed.len() < NAMES_MAX {
                let partition = error.values.join("/");
                self.partitions_failed.push(FailedPartition { partition, message: error.message });
            }
        }
        self.partitions_added += added;
    }

    /// Whether nothing was different.
    pub fn is_current(&self) -> bool {
        !self.created
            && self.columns_added.is_empty()
            && self.comments_added.is_empty()
            && !self.description_added
            && self.parameters_set.is_empty()
            && self.moved_to.is_none()
            && self.partitions_added == 0
            && self.partitions_failed_count == 0
    }
}

impl Registered {
    /// Partitions that could not be registered.
    pub fn failed(&self) -> u64 {
        self.tables.iter().map(|table| table.partitions_failed_count).sum()
    }
}

#[cfg(test)]
mod tests;
