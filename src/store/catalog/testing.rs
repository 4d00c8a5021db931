//! A catalog in memory, into which somebody else may reach between any two requests.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use futures::future::{BoxFuture, ready};

use super::{
    CatalogPartition, CatalogTable, PARTITIONS_MAX, PartitionError, TableCatalog, TableChange,
    TableInput, changed_meanwhile,
};
use crate::store::{StoreError, StoreErrorKind, StoreResult};

/// What it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) databases: Vec<String>,
    pub(crate) tables: BTreeMap<(String, String), CatalogTable>,
    pub(crate) partitions: BTreeMap<(String, String), Vec<CatalogPartition>>,
}

type Meddle = Box<dyn FnOnce(&mut Holding) + Send>;

/// A catalog in memory.
#[derive(Default)]
pub(crate) struct MemoryCatalog {
    holding: Mutex<Holding>,
    /// The requests so far.
    requests: Mutex<Vec<String>>,
    /// What somebody else does before each of the next writing requests.
    meddlers: Mutex<VecDeque<Meddle>>,
    /// Values of partitions that it refuses.
    refused: Mutex<Vec<String>>,
}

impl std::fmt::Debug for MemoryCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryCatalog").field("holding", &self.holding).finish_non_exhaustive()
    }
}

impl MemoryCatalog {
    pub(crate) fn with_database(database: &str) -> Self {
        let catalog = Self::default();
        catalog.holding.lock().unwrap().databases.push(database.to_owned());
        catalog
    }

    pub(crate) fn holding(&self) -> Holding {
        self.holding.lock().unwrap().clone()
    }

    pub(crate) fn meddle(&self, meddle: impl FnOnce(&mut Holding)) {
        meddle(&mut self.holding.lock().unwrap());
    }

    /// Somebody does this before the next writing request is carried out.
    pub(crate) fn meddle_next(&self, meddle: impl FnOnce(&mut Holding) + Send + 'static) {
        self.meddlers.lock().unwrap().push_back(Box::new(meddle));
    }

    pub(crate) fn refuse(&self, value: &str) {
        self.refused.lock().unwrap().push(value.to_owned());
    }

    /// The writing requests since the last call.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    fn write<T>(
        &self,
        request: String,
        write: impl FnOnce(&mut Holding) -> StoreResult<T>,
    ) -> StoreResult<T> {
        self.requests.lock().unwrap().push(request);
        let mut holding = self.holding.lock().unwrap();
        if let Some(meddle) = self.meddlers.lock().unwrap().pop_front() {
            meddle(&mut holding);
        }
        write(&mut holding)
    }
}

fn place(database: &str, table: &str) -> (String, String) {
    (database.to_owned(), table.to_owned())
}

fn error(kind: StoreErrorKind, database: &str, table: &str) -> StoreError {
    StoreError::new(kind, "changing", format!("{database}.{table}"), "refused")
}

/// A new table's entry.
pub(crate) fn made(input: &TableInput) -> CatalogTable {
    let storage = input.storage_descriptor.clone();
    CatalogTable {
        version: Some("1".to_owned()),
        description: Some(input.description.clone()),
        table_type: Some(input.table_type.clone()),
        is_link: false,
        parameters: input.parameters.clone(),
        partition_keys: input.partition_keys.clone(),
        columns: storage.columns,
        location: Some(storage.location),
        serialization_library: Some(storage.serde_info.serialization_library),
    }
}

/// A change, as an entry shows it.
pub(crate) fn changed(table: &mut CatalogTable, change: &TableChange) {
    let version: u64 = table.version.as_deref().unwrap_or("0").parse().unwrap();
    table.version = Some((version + 1).to_string());
    table.description = change.description.clone().or(table.description.take());
    table.location = change.location.clone().or(table.location.take());
    table.parameters.extend(change.parameters.clone());
    for (name, comment) in &change.comments {
        let column = table.columns.iter_mut().find(|column| column.name == *name).unwrap();
        column.comment = Some(comment.clone());
    }
    table.columns.extend(change.columns.clone());
}

impl TableCatalog for MemoryCatalog {
    fn has_database<'a>(&'a self, database: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        let has = self.holding.lock().unwrap().databases.iter().any(|own| own == database);
        Box::pin(ready(Ok(has)))
    }

    fn create_database<'a>(
        &'a self,
        database: &'a str,
        _description: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        let created = self.write(format!("create database {database}"), |holding| {
            if holding.databases.iter().any(|own| own == database) {
                return Err(error(StoreErrorKind::Precondition, database, ""));
            }
            holding.databases.push(database.to_owned());
            Ok(())
        });
        Box::pin(ready(created))
    }

    fn table<'a>(
        &'a self,
        database: &'a str,
        table: &'a str,
    ) -> BoxFuture<'a, StoreResult<Option<CatalogTable>>> {
        let table = self.holding.lock().unwrap().tables.get(&place(database, table)).cloned();
        Box::pin(ready(Ok(table)))
    }

    fn create_table<'a>(
        &'a self,
        database: &'a str,
        input: &'a TableInput,
    ) -> BoxFuture<'a, StoreResult<()>> {
        let created = self.write(format!("create {}", input.name), |holding| {
            if !holding.databases.iter().any(|own| own == database) {
                return Err(error(StoreErrorKind::NotFound, database, &input.name));
            }
            let place = place(database, &input.name);
            if holding.tables.contains_key(&place) {
                return Err(error(StoreErrorKind::Precondition, database, &input.name));
            }
            holding.tables.insert(place, made(input));
            Ok(())
        });
        Box::pin(ready(created))
    }

    fn change_table<'a>(
        &'a self,
        database: &'a str,
        table: &'a str,
        version: Option<&'a str>,
        change: &'a TableChange,
    ) -> BoxFuture<'a, StoreResult<()>> {
        let done = self.write(format!("change {table}"), |holding| {
            let Some(entry) = holding.tables.get_mut(&place(database, table)) else {
                return Err(error(StoreErrorKind::NotFound, database, table));
            };
            if entry.version.as_deref() != version {
                return Err(changed_meanwhile(table.to_owned()));
            }
            changed(entry, change);
            Ok(())
        });
        Box::pin(ready(done))
    }

    fn partitions<'a>(
        &'a self,
        database: &'a str,
        table: &'a str,
    ) -> BoxFuture<'a, StoreResult<Vec<CatalogPartition>>> {
        let holding = self.holding.lock().unwrap();
        let own = holding.partitions.get(&place(database, table)).cloned();
        Box::pin(ready(Ok(own.unwrap_or_default())))
    }

    fn create_partitions<'a>(
        &'a self,
        database: &'a str,
        table: &'a str,
        partitions: &'a [CatalogPartition],
    ) -> BoxFuture<'a, StoreResult<Vec<PartitionError>>> {
        assert!(partitions.len() <= PARTITIONS_MAX);
        let refused = self.refused.lock().unwrap().clone();
        let done = self.write(format!("{} partitions of {table}", partitions.len()), |holding| {
            let own = holding.partitions.entry(place(database, table)).or_default();
            let mut errors = Vec::new();
            for partition in partitions {
                let exists = own.iter().any(|one| one.values == partition.values);
                if exists || refused.contains(&partition.values[0]) {
                    let (values, message) = (partition.values.clone(), "no".to_owned());
                    errors.push(PartitionError { values, exists, message });
                } else {
                    own.push(partition.clone());
                }
            }
            Ok(errors)
        });
        Box::pin(ready(done))
    }
}
