//! From the SDK's description of a stream to a plain one.
//!
//! In: `DeliveryStreamDescription`. Out: what this program asks of it. Nothing goes wrong: what the answer
//! lacks is `None`, and names that the SDK does not know stay as they are.

use aws_sdk_firehose::primitives::DateTime;
use aws_sdk_firehose::types::{
    BufferingHints, DeliveryStreamDescription, DestinationDescription,
    ExtendedS3DestinationDescription, ProcessingConfiguration, Processor, ProcessorParameterName,
    ProcessorType, S3BackupMode, S3DestinationDescription,
};

/// A stream, as far as it matters to an archive
/// (<https://docs.aws.amazon.com/firehose/latest/APIReference/API_DeliveryStreamDescription.html>).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamDescription {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// `ACTIVE`, `CREATING`, `CREATING_FAILED`, `DELETING`, `DELETING_FAILED`.
    pub status: String,
    /// Why it could not be made or deleted.
    pub failure: Option<String>,
    /// Where its records come from: `DirectPut`, `KinesisStreamAsSource`, `MSKAsSource`, `DatabaseAsSource`.
    pub source: String,
    /// Rises with every change of the configuration, from 1 on.
    pub version: String,
    /// When it was changed last, in milliseconds since 1970.
    pub updated_ms: Option<i64>,
    /// What it delivers to: `s3`, `redshift`, `opensearch`, `splunk`, `http_endpoint`, `snowflake`, `iceberg`.
    pub destination: &'static str,
    /// Where in S3, if it delivers there.
    pub target: Option<StreamTarget>,
}

/// Where in S3 a stream delivers to, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamTarget {
    /// The bucket's name.
    pub bucket: String,
    /// The prefix, its expressions as they stand.
    pub prefix: Option<String>,
    /// The prefix of failed records.
    pub error_prefix: Option<String>,
    /// `UNCOMPRESSED`, `GZIP`, `ZIP`, `Snappy`, `HADOOP_SNAPPY`.
    pub compression: String,
    /// The zone of the times in the keys.
    pub zone: Option<String>,
    /// How long records are held before they are delivered.
    pub buffer_seconds: Option<u64>,
    /// How many MiB are held at most.
    pub buffer_mib: Option<u64>,
    /// Records are written as Parquet or ORC.
    pub is_converted: bool,
    /// Records are put apart by their content.
    pub is_partitioned: bool,
    /// What records go through, as `Lambda`.
    pub processors: Vec<String>,
    /// How long a Lambda function's records are held before it is called.
    pub lambda_seconds: Option<u64>,
    /// Where records go as they came in, before processing.
    pub backup: Option<StreamBackup>,
}

/// The copy of the records as they came in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamBackup {
    /// The bucket's name.
    pub bucket: String,
    /// The prefix, its expressions as they stand.
    pub prefix: Option<String>,
}

pub(super) fn plain(description: &DeliveryStreamDescription) -> StreamDescription {
    let destination = description.destinations().first();
    StreamDescription {
        name: description.delivery_stream_name().to_owned(),
        arn: description.delivery_stream_arn().to_owned(),
        status: description.delivery_stream_status().as_str().to_owned(),
        failure: description
            .failure_description()
            .map(|failure| format!("{}: {}", failure.r#type().as_str(), failure.details())),
        source: description.delivery_stream_type().as_str().to_owned(),
        version: description.version_id().to_owned(),
        updated_ms: description
            .last_update_timestamp()
            .or(description.create_timestamp())
            .and_then(|time: &DateTime| time.to_millis().ok()),
        destination: destination.map_or("none", kind),
        target: destination.and_then(target),
    }
}

/// Others than S3 are told apart first: the older description of S3 stands beside some of them.
fn kind(destination: &DestinationDescription) -> &'static str {
    let d = destination;
    if d.redshift_destination_description().is_some() {
        "redshift"
    } else if d.elasticsearch_destination_description().is_some()
        || d.amazonopensearchservice_destination_description().is_some()
        || d.amazon_open_search_serverless_destination_description().is_some()
    {
        "opensearch"
    } else if d.splunk_destination_description().is_some() {
        "splunk"
    } else if d.http_endpoint_destination_description().is_some() {
        "http_endpoint"
    } else if d.snowflake_destination_description().is_some() {
        "snowflake"
    } else if d.iceberg_destination_description().is_some() {
        "iceberg"
    } else {
        "s3"
    }
}

fn target(destination: &DestinationDescription) -> Option<StreamTarget> {
    if kind(destination) != "s3" {
        return None;
    }
    let extended = destination.extended_s3_destination_description().map(extended);
    extended.or_else(|| destination.s3_destination_description().map(simple))
}

fn extended(s3: &ExtendedS3DestinationDescription) -> StreamTarget {
    let processing = s3.processing_configuration();
    let processing = processing.filter(|processing| processing.enabled() == Some(true));
    let processors = processing.map(ProcessingConfiguration::processors).unwrap_or_default();
    let has_backup = s3.s3_backup_mode() == Some(&S3BackupMode::Enabled);
    let backup = s3.s3_backup_description().filter(|_| has_backup);
    let (buffer_seconds, buffer_mib) = buffer(s3.buffering_hints());
    StreamTarget {
        bucket: bucket(s3.bucket_arn()),
        prefix: s3.prefix().map(str::to_owned),
        error_prefix: s3.error_output_prefix().map(str::to_owned),
        compression: s3.compression_format().as_str().to_owned(),
        zone: s3.custom_time_zone().map(str::to_owned),
        buffer_seconds,
        buffer_mib,
        is_converted: s3
            .data_format_conversion_configuration()
            .is_some_and(|conversion| conversion.enabled() != Some(false)),
        is_partitioned: s3
            .dynamic_partitioning_configuration()
            .is_some_and(|partitioning| partitioning.enabled() == Some(true)),
        processors: processors.iter().map(|one| one.r#type().as_str().to_owned()).collect(),
        lambda_seconds: processors.iter().find_map(lambda_seconds),
        backup: backup.map(|backup| StreamBackup {
            bucket: bucket(backup.bucket_arn()),
            prefix: backup.prefix().map(str::to_owned),
        }),
    }
}

fn simple(s3: &S3DestinationDescription) -> StreamTarget {
    let (buffer_seconds, buffer_mib) = buffer(s3.buffering_hints());
    StreamTarget {
        bucket: bucket(s3.bucket_arn()),
        prefix: s3.prefix().map(str::to_owned),
        error_prefix: s3.error_output_prefix().map(str::to_owned),
        compression: s3.compression_format().as_str().to_owned(),
        buffer_seconds,
        buffer_mib,
        ..StreamTarget::default()
    }
}

/// `arn:<partition>:s3:::name`.
fn bucket(arn: &str) -> String {
    arn.rsplit_once(":::").map_or(arn, |(_, name)| name).to_owned()
}

fn buffer(hints: Option<&BufferingHints>) -> (Option<u64>, Option<u64>) {
    let positive = |number: Option<i32>| number.and_then(|number| u64::try_from(number).ok());
    let seconds = hints.and_then(BufferingHints::interval_in_seconds);
    let mib = hints.and_then(BufferingHints::size_in_mbs);
    (positive(seconds), positive(mib))
}

/// `BufferIntervalInSeconds` is 60 unless told otherwise
/// (<https://docs.aws.amazon.com/firehose/latest/APIReference/API_ProcessorParameter.html>).
fn lambda_seconds(processor: &Processor) -> Option<u64> {
    if processor.r#type() != &ProcessorType::Lambda {
        return None;
    }
    let told = processor.parameters().iter().find(|parameter| {
        parameter.parameter_name() == &ProcessorParameterName::BufferIntervalInSeconds
    });
    Some(told.and_then(|told| told.parameter_value().parse().ok()).unwrap_or(60))
}

#[cfg(test)]
mod tests {
    use aws_sdk_firehose::types as sdk;

    use super::*;

    fn described(destination: sdk::DestinationDescription) -> StreamDescription {
        let built = DeliveryStreamDescription::builder()
            .delivery_stream_name("health")
            .delivery_stream_arn("arn:aws:firehose:us-east-1:111122223333:deliverystream/health")
            .delivery_stream_status(sdk::DeliveryStreamStatus::Active)
            .delivery_stream_type(sdk::DeliveryStreamType::DirectPut)
            .version_id("3")
            .create_timestamp(DateTime::from_millis(1_000))
            .destinations(destination)
            .has_more_destinations(false)
            .build()
            .unwrap();
        plain(&built)
    }

    fn destination() -> sdk::builders::DestinationDescriptionBuilder {
        DestinationDescription::builder().destination_id("1")
    }

    fn older() -> S3DestinationDescription {
        S3DestinationDescription::builder()
            .role_arn("r")
            .bucket_arn("arn:aws-cn:s3:::old-archive")
            .prefix("health/")
            .compression_format(sdk::CompressionFormat::Gzip)
            .buffering_hints(
                BufferingHints::builder().interval_in_seconds(60).size_in_mbs(1).build(),
            )
            .build()
            .unwrap()
    }

    #[test]
    fn everything_that_matters_is_taken_over() {
        let parameter = sdk::ProcessorParameter::builder()
            .parameter_name(ProcessorParameterName::BufferIntervalInSeconds)
            .parameter_value("90")
            .build()
            .unwrap();
        let lambda =
            Processor::builder().r#type(ProcessorType::Lambda).parameters(parameter).build();
        let delimiter = Processor::builder().r#type(ProcessorType::AppendDelimiterToRecord).build();
        let s3 = ExtendedS3DestinationDescription::builder()
            .role_arn("r")
            .bucket_arn("arn:aws:s3:::my-archive")
            .prefix("health/!{timestamp:yyyy}/")
            .error_output_prefix("errors/!{firehose:error-output-type}/")
            .compression_format(sdk::CompressionFormat::HadoopSnappy)
            .custom_time_zone("Europe/Berlin")
            .data_format_conversion_configuration(
                sdk::DataFormatConversionConfiguration::builder().enabled(true).build(),
            )
            .dynamic_partitioning_configuration(
                sdk::DynamicPartitioningConfiguration::builder().enabled(true).build(),
            )
            .processing_configuration(
                sdk::ProcessingConfiguration::builder()
                    .enabled(true)
                    .processors(lambda.unwrap())
                    .processors(delimiter.unwrap())
                    .build(),
            )
            .s3_backup_mode(S3BackupMode::Enabled)
            .s3_backup_description(older())
            .build()
            .unwrap();
        let both = destination()
            .extended_s3_destination_description(s3)
            .s3_destination_description(older());
        let found = described(both.build().unwrap());
        assert_eq!((found.destination, found.status.as_str()), ("s3", "ACTIVE"));
        assert_eq!((found.version.as_str(), found.updated_ms), ("3", Some(1_000)));
        let target = found.target.unwrap();
        assert_eq!(
            target,
            StreamTarget {
                bucket: "my-archive".into(),
                prefix: Some("health/!{timestamp:yyyy}/".into()),
                error_prefix: Some("errors/!{firehose:error-output-type}/".into()),
                compression: "HADOOP_SNAPPY".into(),
                zone: Some("Europe/Berlin".into()),
                buffer_seconds: None,
                buffer_mib: None,
                is_converted: true,
                is_partitioned: true,
                processors: vec!["Lambda".into(), "AppendDelimiterToRecord".into()],
                lambda_seconds: Some(90),
                backup: Some(StreamBackup {
                    bucket: "old-archive".into(),
                    prefix: Some("health/".into()),
                }),
            }
        );
    }

    #[test]
    fn the_older_description_will_do_but_not_that_of_another_destination() {
        let found = described(destination().s3_destination_description(older()).build().unwrap());
        let target = found.target.unwrap();
        assert_eq!((target.bucket.as_str(), target.buffer_seconds), ("old-archive", Some(60)));
        let splunk = sdk::SplunkDestinationDescription::builder().build();
        let splunk = destination().splunk_destination_description(splunk);
        let found = described(splunk.s3_destination_description(older()).build().unwrap());
        assert_eq!((found.destination, found.target), ("splunk", None));
    }
}
