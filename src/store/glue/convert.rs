//! Between this program's tables and those of the SDK.
//!
//! In: entries of the catalog, and what is to become different. Out: what to send. What an entry holds
//! beyond our types is sent back as it was. Wrong: a name that is missing, which the SDK refuses.

use aws_sdk_glue::error::BuildError;
use aws_sdk_glue::types as sdk;

use crate::store::catalog::{
    CatalogColumn, CatalogPartition, CatalogTable, PartitionError, TableChange, TableInput,
};

fn column(own: &CatalogColumn) -> Result<sdk::Column, BuildError> {
    sdk::Column::builder()
        .name(&own.name)
        .r#type(&own.r#type)
        .set_comment(own.comment.clone())
        .build()
}

fn present_columns(columns: Option<Vec<sdk::Column>>) -> Vec<CatalogColumn> {
    let present = |column: sdk::Column| CatalogColumn {
        name: column.name.to_lowercase(),
        r#type: column.r#type.unwrap_or_default(),
        comment: column.comment.filter(|comment| !comment.is_empty()),
    };
    columns.unwrap_or_default().into_iter().map(present).collect()
}

/// What an entry says.
pub(super) fn present_table(table: sdk::Table) -> CatalogTable {
    let storage = table.storage_descriptor;
    let (columns, location, serde) = storage.map_or((None, None, None), |storage| {
        (storage.columns, storage.location, storage.serde_info)
    });
    CatalogTable {
        version: table.version_id,
        description: table.description.filter(|description| !description.is_empty()),
        table_type: table.table_type,
        is_link: table.target_table.is_some() || table.federated_table.is_some(),
        parameters: table.parameters.unwrap_or_default().into_iter().collect(),
        partition_keys: present_columns(table.partition_keys),
        columns: present_columns(columns),
        location: location.filter(|location| !location.is_empty()),
        serialization_library: serde.and_then(|serde| serde.serialization_library),
    }
}

/// A new table.
pub(super) fn table_input(input: &TableInput) -> Result<sdk::TableInput, BuildError> {
    let storage = &input.storage_descriptor;
    let columns = |columns: &[CatalogColumn]| columns.iter().map(column).collect::<Result<_, _>>();
    let serde = sdk::SerDeInfo::builder()
        .serialization_library(&storage.serde_info.serialization_library)
        .set_parameters(Some(storage.serde_info.parameters.clone().into_iter().collect()))
        .build();
    let descriptor = sdk::StorageDescriptor::builder()
        .set_columns(Some(columns(&storage.columns)?))
        .location(&storage.location)
        .input_format(&storage.input_format)
        .output_format(&storage.output_format)
        .serde_info(serde)
        .build();
    sdk::TableInput::builder()
        .name(&input.name)
        .description(&input.description)
        .table_type(&input.table_type)
        .set_parameters(Some(input.parameters.clone().into_iter().collect()))
        .set_partition_keys(Some(columns(&input.partition_keys)?))
        .storage_descriptor(descriptor)
        .build()
}

/// The entry as it is, but for the change.
pub(super) fn changed_table(
    table: &sdk::Table,
    change: &TableChange,
) -> Result<sdk::TableInput, BuildError> {
    let mut storage = table
        .storage_descriptor
        .clone()
        .unwrap_or_else(|| sdk::StorageDescriptor::builder().build());
    let columns = storage.columns.get_or_insert_default();
    for present in columns.iter_mut() {
        if let Some(comment) = change.comments.get(&present.name.to_lowercase()) {
            present.comment = Some(comment.clone());
        }
    }
    for added in &change.columns {
        columns.push(column(added)?);
    }
    storage.location = change.location.clone().or(storage.location);
    let mut parameters = table.parameters.clone().unwrap_or_default();
    parameters.extend(change.parameters.clone());
    sdk::TableInput::builder()
        .name(&table.name)
        .set_description(change.description.clone().or_else(|| table.description.clone()))
        .set_owner(table.owner.clone())
        .set_last_access_time(table.last_access_time)
        .set_last_analyzed_time(table.last_analyzed_time)
        .retention(table.retention)
        .storage_descriptor(storage)
        .set_partition_keys(table.partition_keys.clone())
        .set_view_original_text(table.view_original_text.clone())
        .set_view_expanded_text(table.view_expanded_text.clone())
        .set_table_type(table.table_type.clone())
        .set_parameters(Some(parameters))
        .set_target_table(table.target_table.clone())
        .build()
}

/// A partition with the columns and the format of its table.
pub(super) fn partition_input(
    table: &sdk::Table,
    partition: &CatalogPartition,
) -> sdk::PartitionInput {
    let storage = table.storage_descriptor.clone().map(|mut storage| {
        storage.location = partition.location.clone().or(storage.location);
        storage
    });
    sdk::PartitionInput::builder()
        .set_values(Some(partition.values.clone()))
        .set_storage_descriptor(storage)
        .build()
}

/// What a partition's entry says.
pub(super) fn present_partition(partition: sdk::Partition) -> CatalogPartition {
    CatalogPartition {
        values: partition.values.unwrap_or_default(),
        location: partition.storage_descriptor.and_then(|storage| storage.location),
    }
}

/// Why a partition could not be created.
pub(super) fn partition_error(error: sdk::PartitionError) -> PartitionError {
    let detail = error.error_detail;
    let (code, message) = detail
        .map(|detail| (detail.error_code, detail.error_message))
        .map_or((String::new(), String::new()), |(code, message)| {
            (code.unwrap_or_default(), message.unwrap_or_default())
        });
    PartitionError {
        values: error.partition_values.unwrap_or_default(),
        exists: code == "AlreadyExistsException",
        message: format!("{code}: {}", message.trim_end_matches('.')),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    fn own(name: &str, comment: Option<&str>) -> CatalogColumn {
        CatalogColumn {
            name: name.to_owned(),
            r#type: "string".to_owned(),
            comment: comment.map(str::to_owned),
        }
    }

    /// An entry with much that is none of ours.
    fn entry() -> sdk::Table {
        let mut id = column(&own("Id", None)).unwrap();
        id.parameters = Some(HashMap::from([("pii".to_owned(), "no".to_owned())]));
        let storage = sdk::StorageDescriptor::builder()
            .columns(id)
            .columns(column(&own("theirs", Some("x"))).unwrap())
            .location("s3://lake/findings/")
            .number_of_buckets(7)
            .sort_columns(sdk::Order::builder().column("id").sort_order(1).build().unwrap())
            .parameters("averageRecordSize", "12")
            .build();
        sdk::Table::builder()
            .name("findings")
            .owner("them")
            .retention(9)
            .version_id("4")
            .description("mine")
            .table_type("EXTERNAL_TABLE")
            .parameters("theirs", "stays")
            .parameters("projection.dt.range", "old")
            .partition_keys(column(&own("dt", Some("key"))).unwrap())
            .storage_descriptor(storage)
            .build()
            .unwrap()
    }

    #[test]
    fn a_change_leaves_all_else_as_it_was() {
        let entry = entry();
        let change = TableChange {
            description: None,
            columns: vec![own("new", Some("n"))],
            comments: BTreeMap::from([("id".to_owned(), "the id".to_owned())]),
            parameters: BTreeMap::from([("projection.dt.range".to_owned(), "new".to_owned())]),
            location: None,
        };
        let input = changed_table(&entry, &change).unwrap();
        let mut expected = entry.storage_descriptor.clone().unwrap();
        let columns = expected.columns.as_mut().unwrap();
        columns[0].comment = Some("the id".to_owned());
        columns.push(column(&own("new", Some("n"))).unwrap());
        assert_eq!(input.storage_descriptor, Some(expected));
        let parameters = input.parameters.clone().unwrap();
        assert_eq!(parameters["theirs"], "stays");
        assert_eq!(parameters["projection.dt.range"], "new");
        assert_eq!(
            (input.owner(), input.retention(), input.description(), input.table_type()),
            (Some("them"), 9, Some("mine"), Some("EXTERNAL_TABLE"))
        );
        assert_eq!(input.partition_keys, entry.partition_keys);

        let untouched = changed_table(&entry, &TableChange::default()).unwrap();
        assert_eq!(untouched.storage_descriptor, entry.storage_descriptor);
        assert_eq!(untouched.parameters, entry.parameters);
    }

    #[test]
    fn an_entry_is_read_and_its_partitions_take_its_columns() {
        let present = present_table(entry());
        assert_eq!(present.version.as_deref(), Some("4"));
        assert_eq!(present.columns, [own("id", None), own("theirs", Some("x"))]);
        assert_eq!(present.location.as_deref(), Some("s3://lake/findings/"));
        assert!(!present.is_link);
        let partition = CatalogPartition {
            values: vec!["2026-11-24".to_owned()],
            location: Some("s3://lake/findings/dt=2026-11-24/".to_owned()),
        };
        let input = partition_input(&entry(), &partition);
        let storage = input.storage_descriptor.unwrap();
        assert_eq!(storage.location, partition.location);
        assert_eq!(storage.columns, entry().storage_descriptor.unwrap().columns);
        assert_eq!(input.values, Some(partition.values));
    }
}
