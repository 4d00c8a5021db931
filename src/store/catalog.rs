//! A catalog of tables, which tells query engines where a table's files lie: what its entries are, and
//! what a catalog can do.
//!
//! In: tables as they should be, changes to them, partitions. Out: tables as they are. The types are those
//! of Glue's API as far as this program sets them; what a catalog keeps beside them (an owner, statistics,
//! columns' parameters) stays in the catalog and is never sent back changed. Wrong: a [`StoreError`] that
//! names the table; [`StoreErrorKind::Conflict`] when somebody changed it since it was read.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Serialize;

use super::{StoreError, StoreErrorKind, StoreResult};

/// Partitions that one request creates: Glue's limit
/// (<https://docs.aws.amazon.com/glue/latest/webapi/API_BatchCreatePartition.html>).
pub const PARTITIONS_MAX: usize = 100;

/// How to reach a Glue Data Catalog.
#[derive(Debug, Clone, Default)]
pub struct GlueOptions {
    /// Another address than AWS's own; plain http only on this machine.
    pub endpoint_url: Option<String>,
    /// The profile of the AWS configuration files.
    pub profile: Option<String>,
}

/// Opens the Glue Data Catalog of the credentials' account and Region; sends nothing yet.
///
/// # Errors
/// Where no Region is set, where the address would send credentials in clear text, and where the program
/// was built without Glue.
pub async fn open_catalog(options: &GlueOptions) -> StoreResult<Arc<dyn TableCatalog>> {
    #[cfg(feature = "glue")]
    return super::glue::Glue::open(options).await;
    #[cfg(not(feature = "glue"))]
    {
        let _ = options;
        let message = "this program was built without Glue; hint: build it with `--features glue`, or \
                       run what `healthtrail ddl` prints";
        Err(StoreError::new(StoreErrorKind::Other, "opening", "the Glue Data Catalog", message))
    }
}

/// One column, or the key of the partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CatalogColumn {
    /// Its name.
    pub name: String,
    /// Its type in Hive's words.
    pub r#type: String,
    /// What it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// How rows are read from files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SerdeInfo {
    /// A class of Hive's.
    pub serialization_library: String,
    /// Its settings.
    pub parameters: BTreeMap<String, String>,
}

/// Where a table's files lie, and what is in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StorageDescriptor {
    /// The columns without the partition key.
    pub columns: Vec<CatalogColumn>,
    /// `s3://bucket/prefix/`
    pub location: String,
    /// A class of Hive's.
    pub input_format: String,
    /// A class of Hive's.
    pub output_format: String,
    /// How rows are read from files.
    pub serde_info: SerdeInfo,
}

/// A table to be made: Glue's `TableInput`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TableInput {
    /// Its name, in lower case.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// `EXTERNAL_TABLE`
    pub table_type: String,
    /// What readers go by.
    pub parameters: BTreeMap<String, String>,
    /// The keys of its partitions.
    pub partition_keys: Vec<CatalogColumn>,
    /// Where its files lie, and what is in them.
    pub storage_descriptor: StorageDescriptor,
}

/// A table as the catalog has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogTable {
    /// Which state of it this is; a change is refused when there is a newer one.
    pub version: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// `EXTERNAL_TABLE`, `VIRTUAL_VIEW`, …
    pub table_type: Option<String>,
    /// It is a link to a table of another database or account.
    pub is_link: bool,
    /// What readers go by.
    pub parameters: BTreeMap<String, String>,
    /// The keys of its partitions.
    pub partition_keys: Vec<CatalogColumn>,
    /// Its columns without the partition key.
    pub columns: Vec<CatalogColumn>,
    /// Where its files lie.
    pub location: Option<String>,
    /// The class that reads its files.
    pub serialization_library: Option<String>,
}

/// What is to become different about a table; all else stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableChange {
    /// What it is for.
    pub description: Option<String>,
    /// Columns to add at its end.
    pub columns: Vec<CatalogColumn>,
    /// Comments of columns that it has.
    pub comments: BTreeMap<String, String>,
    /// Parameters to set; no other is touched.
    pub parameters: BTreeMap<String, String>,
    /// Where its files lie from now on.
    pub location: Option<String>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogPartition {
    /// The value of each partition key.
    pub values: Vec<String>,
    /// Where its files lie; none where the catalog does not say.
    pub location: Option<String>,
}

/// A partition that could not be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionError {
    /// The value of each partition key.
    pub values: Vec<String>,
    /// Somebody else created it first, which is as good.
    pub exists: bool,
    /// What the catalog says.
    pub message: String,
}

/// A catalog of tables.
pub trait TableCatalog: Debug + Send + Sync {
    /// Whether there is a database of this name.
    fn has_database<'a>(&'a self, database: &'a str) -> BoxFuture<'a, StoreResult<bool>>;

    /// Makes a database; [`StoreErrorKind::Precondition`] when there is one.
    fn create_database<'a>(
        &'a self,
        database: &'a str,
        description: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>>;

    /// The table of this name, or none; a database that is not there has none either.
    fn table<'a>(
        &'a self,
        database: &'a str,
        table: &'a str,
    ) -> BoxFuture<'a, StoreResult<Option<CatalogTable>>>;

    /// Makes a table; [`StoreErrorKind::Precondition`] when there is one of its name.
    fn create_table<'a>(
        &'a self,
        database: &'a str,
        input: &'a TableInput,
    ) -> BoxFuture<'a, StoreResult<()>>;

    /// Changes a table, if it is still at this version, else [`StoreErrorKind::Conflict`].
    fn change_table<'a>(
        &'a self,
        database: &'a str,
        table: &'a str,
        version: Option<&'a str>,
        change: &'a TableChange,
    ) -> BoxFuture<'a, StoreResult<()>>;

    /// All partitions of a table.
    fn partitions<'a>(
        &'a self,
        database: &'a str,
        table: &'a str,
    ) -> BoxFuture<'a, StoreResult<Vec<CatalogPartition>>>;

    /// Creates at most [`PARTITIONS_MAX`] partitions with the table's own columns, and says which of them
    /// it could not.
    fn create_partitions<'a>(
        &'a self,
        database: &'a str,
        table: &'a str,
        partitions: &'a [CatalogPartition],
    ) -> BoxFuture<'a, StoreResult<Vec<PartitionError>>>;
}

impl TableChange {
    /// Whether nothing is to become different.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Somebody changed the table since it was read.
#[cfg(any(feature = "glue", test))]
pub(super) fn changed_meanwhile(uri: String) -> StoreError {
    let message = "somebody changed it since it was read";
    StoreError::new(StoreErrorKind::Conflict, "changing", uri, message)
}

#[cfg(test)]
pub(crate) mod testing;
