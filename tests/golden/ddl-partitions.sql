CREATE EXTERNAL TABLE IF NOT EXISTS `security`.`findings` (
  `row_id` string COMMENT 'Identity of this row, equal ids are the same version of the same finding',
  `reported_at` timestamp COMMENT 'The clock of the row, which gives its partition',
  `event_time` timestamp COMMENT 'When EventBridge was handed the event',
  `arrived_hour` timestamp COMMENT 'The hour in which the object arrived in the archive',
  `time_source` string COMMENT 'Which clock reported_at is: envelope, updated, time, start or created',
  `shape` string COMMENT 'The schema of the finding: native, asff or ocsf',
  `detail_type` string COMMENT 'Kind of the EventBridge event',
  `event_id` string COMMENT 'Id that EventBridge gave this delivery',
  `finding_id` string COMMENT 'Id of the finding as its schema gives it',
  `event_arn` string COMMENT 'ARN of the Health event with a blank account, the same in all three schemas',
  `service` string COMMENT 'AWS service that the Health event is about',
  `event_type_code` string COMMENT 'Type code of the Health event',
  `event_type_category` string COMMENT 'Category of the Health event: issue, accountNotification, scheduledChange or investigation',
  `event_scope` string COMMENT 'Whether the Health event is PUBLIC or ACCOUNT_SPECIFIC',
  `status_code` string COMMENT 'State of the Health event: OPEN, CLOSED or UPCOMING',
  `actionability` string COMMENT 'Whether the Health event asks for action',
  `account_id` string COMMENT 'The affected account, blank when no account is known',
  `sent_to_account` string COMMENT 'The account that the event was sent to',
  `region` string COMMENT 'The affected Region, or global',
  `sent_to_region` string COMMENT 'The Region that the event was sent to',
  `aws_partition` string COMMENT 'AWS partition, such as aws or aws-cn',
  `account_name` string COMMENT 'Name of the affected account',
  `product_arn` string COMMENT 'ARN or id of the product that made the finding',
  `product_name` string COMMENT 'Name of the product that made the finding',
  `company_name` string COMMENT 'Company of the product that made the finding',
  `generator_id` string COMMENT 'What in the product made the finding, such as a rule',
  `severity_label` string COMMENT 'Severity: INFORMATIONAL, LOW, MEDIUM, HIGH or CRITICAL',
  `severity_normalized` int COMMENT 'Severity from 0 to 100',
  `severity_original` string COMMENT 'Severity in the words of its maker',
  `confidence` int COMMENT 'Confidence from 0 to 100',
  `criticality` int COMMENT 'Criticality of the resources from 0 to 100',
  `title` string COMMENT 'Title',
  `description` string COMMENT 'Description, for a Health event the latest text, in English where there is one',
  `remediation_text` string COMMENT 'What to do about it',
  `remediation_url` string COMMENT 'Where to read what to do about it',
  `source_url` string COMMENT 'Link to the finding at its maker',
  `created_at` timestamp COMMENT 'When the finding was made, for Health findings the start of the event',
  `updated_at` timestamp COMMENT 'When the finding was last changed by its maker',
  `first_observed_at` timestamp COMMENT 'When the problem was first seen',
  `last_observed_at` timestamp COMMENT 'When the problem was last seen',
  `processed_at` timestamp COMMENT 'When the finding was received and processed',
  `start_time` timestamp COMMENT 'When the event started or will start',
  `end_time` timestamp COMMENT 'When the event ended or will end',
  `workflow_status` string COMMENT 'State of the work on it: NEW, NOTIFIED, SUPPRESSED or RESOLVED',
  `record_state` string COMMENT 'ACTIVE or ARCHIVED',
  `compliance_status` string COMMENT 'Result of a check: PASSED, WARNING, FAILED or NOT_AVAILABLE',
  `verification_state` string COMMENT 'Whether the finding proved true',
  `note_text` string COMMENT 'Note of a person',
  `note_updated_by` string COMMENT 'Who wrote the note',
  `note_updated_at` timestamp COMMENT 'When the note was written',
  `communication_id` string COMMENT 'Id of the communication about a Health event, without the number of its page',
  `page` int COMMENT 'Which page of the communication this is, from 1',
  `total_pages` int COMMENT 'How many pages the communication has',
  `backup` boolean COMMENT 'Whether this is the copy for the backup Region',
  `unmapped_json` string COMMENT 'Everything the finding says that no other column holds, as canonical JSON',
  `content_hash` string COMMENT 'Hash of the content of the finding, 32 hex digits',
  `source_object` string COMMENT 'URI of the object that the finding lies in',
  `source_offset` bigint COMMENT 'Where its document begins in the decompressed object, in bytes',
  `source_length` bigint COMMENT 'How long its document is, in bytes',
  `schema_version` int COMMENT 'Version of the list of columns that the row was written with',
  `personas` array<string> COMMENT 'For whom the Health event is: OPERATIONS, SECURITY or BILLING',
  `types` array<string> COMMENT 'Types of the finding, as namespace/category/classifier',
  `resources` array<struct<type:string,id:string,aws_partition:string,region:string,tags:map<string,string>,details_json:string>> COMMENT 'Resources that the finding is about',
  `entities` array<struct<value:string,status:string,last_updated_at:timestamp,tags:map<string,string>>> COMMENT 'Entities that the Health event affects, sorted by value',
  `product_fields` map<string,string> COMMENT 'Fields that the product added',
  `user_defined_fields` map<string,string> COMMENT 'Fields that the customer added',
  `metadata` map<string,string> COMMENT 'Metadata that the service gave the Health event'
)
COMMENT 'One row for each version of a finding or AWS Health event, as reported for one account'
PARTITIONED BY (`dt` string COMMENT 'Partition key: day of reported_at, UTC, such as 2026-11-24; filter on it to read less')
STORED AS PARQUET
LOCATION 's3://my-lake/health/findings/'
TBLPROPERTIES (
  'parquet.compression' = 'ZSTD'
);

ALTER TABLE `security`.`findings` ADD IF NOT EXISTS
  PARTITION (`dt` = '2026-11-03') LOCATION 's3://my-lake/health/findings/dt=2026-11-03/'
  PARTITION (`dt` = '2026-11-20') LOCATION 's3://my-lake/health/findings/dt=2026-11-20/'
  PARTITION (`dt` = '2026-11-21') LOCATION 's3://my-lake/health/findings/dt=2026-11-21/';

CREATE EXTERNAL TABLE IF NOT EXISTS `security`.`rejects` (
  `reject_id` string COMMENT 'Identity of this reject, unique together with state_number',
  `arrived_hour` timestamp COMMENT 'The hour in which the object arrived',
  `state` string COMMENT 'open, or what a later reading made of it',
  `stage` string COMMENT 'Where it arose: unpack, split, recognize or normalize',
  `reason` string COMMENT 'Why it could not become a finding',
  `detail` string COMMENT 'What exactly is wrong',
  `source_object` string COMMENT 'URI of the object',
  `source_etag` string COMMENT 'Change token of the object',
  `source_offset` bigint COMMENT 'First byte in the decompressed object',
  `source_length` bigint COMMENT 'How many bytes of the decompressed object it covers',
  `ordinal` int COMMENT 'Which finding of its document it is, null for a whole document',
  `bytes_length` bigint COMMENT 'How many bytes there were before bytes was cut',
  `bytes_cut` boolean COMMENT 'Whether bytes holds the beginning only',
  `schema_version` int COMMENT 'Version of the list of columns',
  `bytes` binary COMMENT 'Its bytes as they were, at most 1 MiB of them',
  `state_number` int COMMENT 'How many states came before, the row with the greatest one counts, null is the first',
  `state_by` string COMMENT 'The program and the settings that gave the state, null where a run found it first'
)
COMMENT 'One row for what could not become a finding, with its place and bytes'
PARTITIONED BY (`dt` string COMMENT 'Partition key: day of arrived_hour, UTC, such as 2026-11-24; filter on it to read less')
STORED AS PARQUET
LOCATION 's3://my-lake/health/rejects/'
TBLPROPERTIES (
  'parquet.compression' = 'ZSTD'
);

ALTER TABLE `security`.`rejects` ADD IF NOT EXISTS
  PARTITION (`dt` = '2026-11-21') LOCATION 's3://my-lake/health/rejects/dt=2026-11-21/';
