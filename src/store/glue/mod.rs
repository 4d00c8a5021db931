//! The Glue Data Catalog of an account and Region.
//!
//! In: tables, changes, partitions. Out: what the catalog holds. Wrong: what `StoreErrorKind` lists, each
//! with code, request id and a hint. Requests are sent up to five times, each with a time limit; pages of
//! partitions are followed to their end. Only this folder names the SDK's crate for Glue.

mod convert;
mod error;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_glue::Client;
use aws_sdk_glue::config::retry::RetryConfig;
use aws_sdk_glue::config::timeout::TimeoutConfig;
use aws_sdk_glue::config::{Builder, Region};
use aws_sdk_glue::types::{DatabaseInput, Table};
use futures::future::BoxFuture;

use self::convert::{
    changed_table, partition_error, partition_input, present_partition, present_table, table_input,
};
use self::error::{Request, explain, is_not_found, not_built};
use super::catalog::{
    CatalogPartition, CatalogTable, GlueOptions, PartitionError, TableCatalog, TableChange,
    TableInput, changed_meanwhile,
};
use super::s3::{NoClearText, load_settings};
use super::{S3Options, StoreError, StoreErrorKind, StoreResult, uri};

/// How often one request is sent.
const ATTEMPTS: u32 = 5;
/// Time for a connection, the handshake included.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for an answer.
const ANSWER: Duration = Duration::from_mins(1);

/// A Glue Data Catalog.
pub(super) struct Glue {
    client: Client,
    region: String,
}

impl Glue {
    /// The catalog of the credentials' account, in the Region of the SDK's default chain. Sends nothing.
    pub(super) async fn open(options: &GlueOptions) -> StoreResult<Arc<dyn TableCatalog>> {
        let refuse = |message: String| {
            StoreError::new(StoreErrorKind::Other, "opening", "the Glue Data Catalog", message)
        };
        let options_of_sdk = S3Options { profile: options.profile.clone(), ..S3Options::default() };
        let sdk = load_settings(&options_of_sdk).await;
        let Some(region) = sdk.region().map(|region| Region::as_ref(region).to_owned()) else {
            return Err(refuse("no Region is set; hint: name it (AWS_REGION)".to_owned()));
        };
        let mut builder = Builder::from(&sdk)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT)
                    .operation_attempt_timeout(ANSWER)
                    .build(),
            )
            .interceptor(NoClearText);
        if let Some(url) = &options.endpoint_url {
            uri::check_endpoint(url).map_err(refuse)?;
            builder = builder.endpoint_url(url);
        }
        Ok(Arc::new(Self { client: Client::from_conf(builder.build()), region }))
    }

    fn uri(&self, database: &str, table: &str) -> String {
        let separator = if table.is_empty() { "" } else { "." };
        format!("glue:{}:{database}{separator}{table}", self.region)
    }

    /// The table as the SDK tells it, or none.
    async fn entry(&self, database: &str, table: &str) -> StoreResult<Option<Table>> {
        let request = self.client.get_table().database_name(database).name(table);
        match request.send().await {
            Ok(output) => Ok(output.table),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(explain(Request::Read, &error, self.uri(database, table))),
        }
    }

    async fn change(
        &self,
        database: &str,
        table: &str,
        version: Option<&str>,
        change: &TableChange,
    ) -> StoreResult<()> {
        let uri = || self.uri(database, table);
        // Read again, so that all that this program does not know is sent back as it was.
        let entry = self.entry(database, table).await?;
        let Some(entry) = entry.filter(|entry| entry.version_id.as_deref() == version) else {
            return Err(changed_meanwhile(uri()));
        };
        let input = changed_table(&entry, change)
            .map_err(|error| not_built(Request::Change, &error, uri()))?;
        let request = self.client.update_table().database_name(database).table_input(input);
        // Glue refuses a version that is no longer the newest
        // (<https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateTable.html>).
        request
            .set_version_id(version.map(str::to_owned))
            .send()
            .await
            .map_err(|error| explain(Request::Change, &error, uri()))?;
        Ok(())
    }

    async fn all_partitions(
        &self,
        database: &str,
        table: &str,
    ) -> StoreResult<Vec<CatalogPartition>> {
        let request = self.client.get_partitions().database_name(database).table_name(table);
        let mut pages = request.exclude_column_schema(true).into_paginator().send();
        let mut partitions = Vec::new();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| explain(Request::Read, &error, self.uri(database, table)))?;
            let found = page.partitions.unwrap_or_default();
            partitions.extend(found.into_iter().map(present_partition));
        }
        Ok(partitions)
    }

    async fn add_partitions(
        &self,
        database: &str,
        table: &str,
        partitions: &[CatalogPartition],
    ) -> StoreResult<Vec<PartitionError>> {
        let uri = || self.uri(database, table);
        // As Athena does, each partition gets the columns that the table has now.
        let Some(entry) = self.entry(database, table).await? else {
            return Err(changed_meanwhile(uri()));
        };
        let inputs = partitions.iter().map(|partition| partition_input(&entry, partition));
        let output = self
            .client
            .batch_create_partition()
            .database_name(database)
            .table_name(table)
            .set_partition_input_list(Some(inputs.collect()))
            .send()
            .await
            .map_err(|error| explain(Request::AddPartitions, &error, uri()))?;
        Ok(output.errors.unwrap_or_default().into_iter().map(partition_error).collect())
    }
}

impl TableCatalog for Glue {
    fn has_database<'a>(&'a self, database: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        Box::pin(async move {
            match self.client.get_database().name(database).send().await {
                Ok(_) => Ok(true),
                Err(error) if is_not_found(&error) => Ok(false),
                Err(error) => Err(explain(Request::Read, &error, self.uri(database, ""))),
            }
        })
    }

    fn create_database<'a>(
        &'a self,
        database: &'a str,
        description: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let input = DatabaseInput::builder().name(database).description(description).build();
            let input = input.map_err(|error| {
                not_built(Request::CreateDatabase, &error, self.uri(database, ""))
            })?;
            self.client.create_database().database_input(input).send().await.map_err(|error| {
                explain(Request::CreateDatabase, &error, self.uri(database, ""))
            })?;
            Ok(())
        })
    }

    fn table<'a>(
        &'a self,
        database: &'a str,
        table: &'a str,
    ) -> BoxFuture<'a, StoreResult<Option<CatalogTable>>> {
        Box::pin(async move { Ok(self.entry(database, table).await?.map(present_table)) })
    }

    fn create_table<'a>(
        &'a self,
        database: &'a str,
        input: &'a TableInput,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let uri = || self.uri(database, &input.name);
            let input =
                table_input(input).map_err(|error| not_built(Request::Create, &error, uri()))?;
            let request = self.client.create_table().database_name(database).table_input(input);
            let sent = request.send().await;
            sent.map_err(|error| explain(Request::Create, &error, uri()))?;
            Ok(())
        })
    }

    fn change_table<'a>(
        &'a self,
        database: &'a str,
        table: &'a str,
        version: Option<&'a str>,
        change: &'a TableChange,
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(self.change(database, table, version, change))
    }

    fn partitions<'a>(
        &'a self,
        database: &'a str,
        table: &'a str,
    ) -> BoxFuture<'a, StoreResult<Vec<CatalogPartition>>> {
        Box::pin(self.all_partitions(database, table))
    }

    fn create_partitions<'a>(
        &'a self,
        database: &'a str,
        table: &'a str,
        partitions: &'a [CatalogPartition],
    ) -> BoxFuture<'a, StoreResult<Vec<PartitionError>>> {
        Box::pin(self.add_partitions(database, table, partitions))
    }
}

impl fmt::Debug for Glue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client's settings would fill pages.
        formatter.debug_struct("Glue").field("region", &self.region).finish_non_exhaustive()
    }
}
