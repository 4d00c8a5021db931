//! What can happen on AWS: services, event types, Regions, controls, threats.
//!
//! Tables only. Codes and names of Regions and types are AWS's; the rest is made up.

use super::story::Category::{self, Change, Investigation, Issue, Notification};

/// What an event's entities are named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntityKind {
    Instance,
    Volume,
    Database,
    Bucket,
    Function,
    Cluster,
    Certificate,
    User,
    AccessKey,
    LoadBalancer,
    Vpn,
    Domain,
    Email,
    Account,
    Unknown,
}

/// One type of Health event.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventType {
    /// Service code as in `detail.service`.
    pub(super) service: &'static str,
    /// `detail.eventTypeCode`.
    pub(super) code: &'static str,
    /// Its category and so its course.
    pub(super) category: Category,
    /// Seen by everyone in the Region, without entities.
    pub(super) public: bool,
    /// Security Hub takes it over (Security Hub User Guide, integration with AWS Health).
    pub(super) security: bool,
    /// What it affects.
    pub(super) entity: EntityKind,
    /// What the affected things are called in a sentence.
    pub(super) noun: &'static str,
    /// How often it happens, beside the others.
    pub(super) weight: u64,
}

const fn event(
    service: &'static str,
    code: &'static str,
    category: Category,
    entity: EntityKind,
    noun: &'static str,
    weight: u64,
) -> EventType {
    EventType { service, code, category, public: false, security: false, entity, noun, weight }
}

const fn public(service: &'static str, code: &'static str, weight: u64) -> EventType {
    let row = event(service, code, Issue, EntityKind::Unknown, "resources", weight);
    EventType { public: true, ..row }
}

const fn security(row: EventType) -> EventType {
    EventType { security: true, ..row }
}

use EntityKind::{
    AccessKey, Account, Bucket, Certificate, Cluster, Database, Domain, Email, Function, Instance,
    LoadBalancer, Unknown, User, Volume, Vpn,
};

/// The one category that is in the documentation and yet hardly ever seen.
pub(super) const INVESTIGATION: EventType = event(
    "EC2",
    "AWS_EC2_NETWORK_CONNECTIVITY_INVESTIGATION",
    Investigation,
    Instance,
    "instances",
    1,
);

/// All event types.
pub(super) const EVENT_TYPES: &[EventType] = &[
    event("EC2", "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED", Change, Instance, "instances", 30),
    event(
        "EC2",
        "AWS_EC2_INSTANCE_REBOOT_MAINTENANCE_SCHEDULED",
        Change,
        Instance,
        "instances",
        22,
    ),
    event("EC2", "AWS_EC2_SYSTEM_MAINTENANCE_EVENT", Change, Instance, "instances", 9),
    event("EC2", "AWS_EC2_INSTANCE_AVAILABILITY_ISSUE", Issue, Instance, "instances", 20),
    event(
        "EC2",
        "AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEGRADED",
        Issue,
        Instance,
        "instances",
        14,
    ),
    event(
        "EC2",
        "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED",
        Change,
        Instance,
        "instances",
        9,
    ),
    public("EC2", "AWS_EC2_OPERATIONAL_ISSUE", 12),
    event("EBS", "AWS_EBS_VOLUME_LOST", Issue, Volume, "volumes", 5),
    event("EBS", "AWS_EBS_DEGRADED_EBS_VOLUME_PERFORMANCE", Issue, Volume, "volumes", 9),
    event("RDS", "AWS_RDS_MAINTENANCE_SCHEDULED", Change, Database, "databases", 24),
    event("RDS", "AWS_RDS_HARDWARE_MAINTENANCE_SCHEDULED", Change, Database, "databases", 10),
    event("RDS", "AWS_RDS_PLANNED_LIFECYCLE_EVENT", Change, Database, "databases", 12),
    event("RDS", "AWS_RDS_OPERATIONAL_NOTIFICATION", Notification, Database, "databases", 12),
    public("RDS", "AWS_RDS_OPERATIONAL_ISSUE", 5),
    public("S3", "AWS_S3_OPERATIONAL_ISSUE", 4),
    security(event(
        "S3",
        "AWS_S3_OPEN_ACCESS_BUCKET_NOTIFICATION",
        Notification,
        Bucket,
        "buckets",
        14,
    )),
    event("S3", "AWS_S3_OPERATIONAL_NOTIFICATION", Notification, Bucket, "buckets", 6),
    event("LAMBDA", "AWS_LAMBDA_PLANNED_LIFECYCLE_EVENT", Change, Function, "functions", 20),
    event("LAMBDA", "AWS_LAMBDA_OPERATIONAL_NOTIFICATION", Notification, Function, "functions", 9),
    public("LAMBDA", "AWS_LAMBDA_OPERATIONAL_ISSUE", 4),
    event("EKS", "AWS_EKS_PLANNED_LIFECYCLE_EVENT", Change, Cluster, "clusters", 16),
    event("EKS", "AWS_EKS_OPERATIONAL_NOTIFICATION", Notification, Cluster, "clusters", 7),
    event("ECS", "AWS_ECS_TASK_PATCHING_RETIREMENT", Notification, Cluster, "services", 16),
    security(event(
        "ACM",
        "AWS_ACM_RENEWAL_STATE_CHANGE",
        Notification,
        Certificate,
        "certificates",
        20,
    )),
    security(event(
        "ACM",
        "AWS_ACM_CERTIFICATE_EXPIRATION_NOTICE",
        Notification,
        Certificate,
        "certificates",
        9,
    )),
    security(event("IAM", "AWS_IAM_SECURITY_NOTIFICATION", Notification, User, "users", 7)),
    event("IAM", "AWS_IAM_OPERATIONAL_NOTIFICATION", Notification, User, "users", 4),
    public("IAM", "AWS_IAM_OPERATIONAL_ISSUE", 2),
    event("BILLING", "AWS_BILLING_NOTIFICATION", Notification, Account, "accounts", 8),
    event("BILLING", "AWS_BILLING_SUSPENSION_NOTICE", Notification, Account, "accounts", 2),
    security(event("ABUSE", "AWS_ABUSE_DOS_REPORT", Issue, Instance, "instances", 3)),
    security(event("ABUSE", "AWS_ABUSE_PORT_SCANNING_REPORT", Issue, Instance, "instances", 4)),
    security(event("ABUSE", "AWS_ABUSE_SPAM_REPORT", Issue, Email, "addresses", 3)),
    security(event("RISK", "AWS_RISK_CREDENTIALS_EXPOSED", Issue, AccessKey, "access keys", 4)),
    security(event(
        "RISK",
        "AWS_RISK_CREDENTIALS_EXPOSURE_SUSPECTED",
        Issue,
        AccessKey,
        "access keys",
        3,
    )),
    security(event(
        "GUARDDUTY",
        "AWS_GUARDDUTY_OPERATIONAL_NOTIFICATION",
        Notification,
        Account,
        "accounts",
        3,
    )),
    security(event("KMS", "AWS_KMS_SECURITY_NOTIFICATION", Notification, Account, "keys", 2)),
    security(event("SES", "AWS_SES_CMF_PENDING_TO_SUCCESS", Notification, Domain, "identities", 6)),
    security(event("SES", "AWS_SES_CMF_SUCCESS_TO_FAILED", Issue, Domain, "identities", 3)),
    event("VPN", "AWS_VPN_SINGLE_TUNNEL_NOTIFICATION", Notification, Vpn, "connections", 8),
    event("VPN", "AWS_VPN_REDUNDANCY_LOSS", Issue, Vpn, "connections", 6),
    event(
        "DIRECTCONNECT",
        "AWS_DIRECTCONNECT_MAINTENANCE_SCHEDULED",
        Change,
        Vpn,
        "connections",
        7,
    ),
    event(
        "ELASTICLOADBALANCING",
        "AWS_ELASTICLOADBALANCING_ENI_LIMIT_REACHED",
        Issue,
        LoadBalancer,
        "load balancers",
        4,
    ),
    public("ELASTICLOADBALANCING", "AWS_ELASTICLOADBALANCING_OPERATIONAL_ISSUE", 3),
    event(
        "CLOUDFRONT",
        "AWS_CLOUDFRONT_OPERATIONAL_NOTIFICATION",
        Notification,
        Domain,
        "distributions",
        4,
    ),
    public("ROUTE53", "AWS_ROUTE53_OPERATIONAL_ISSUE", 2),
    public("DYNAMODB", "AWS_DYNAMODB_OPERATIONAL_ISSUE", 3),
    event("ES", "AWS_ES_SERVICE_SOFTWARE_UPDATE_AVAILABLE", Notification, Domain, "domains", 6),
    event(
        "CLOUDSHELL",
        "AWS_CLOUDSHELL_PERSISTENCE_EXPIRING",
        Notification,
        Unknown,
        "home folders",
        4,
    ),
    event("ELASTICACHE", "AWS_ELASTICACHE_UPDATE_AVAILABLE", Change, Cluster, "clusters", 8),
    event("REDSHIFT", "AWS_REDSHIFT_MAINTENANCE_SCHEDULED", Change, Cluster, "clusters", 6),
    event("CONFIG", "AWS_CONFIG_OPERATIONAL_NOTIFICATION", Notification, Account, "recorders", 3),
    INVESTIGATION,
];

/// Services whose events are of the whole partition: Region `global`.
pub(super) const GLOBAL_SERVICES: &[&str] =
    &["IAM", "BILLING", "ABUSE", "RISK", "CLOUDFRONT", "ROUTE53"];

/// Regions with their names, the busiest first.
pub(super) const REGIONS: &[(&str, &str)] = &[
    ("us-east-1", "US East (N. Virginia)"),
    ("eu-west-1", "Europe (Ireland)"),
    ("us-west-2", "US West (Oregon)"),
    ("eu-central-1", "Europe (Frankfurt)"),
    ("ap-southeast-2", "Asia Pacific (Sydney)"),
    ("us-east-2", "US East (Ohio)"),
    ("ap-northeast-1", "Asia Pacific (Tokyo)"),
    ("ap-southeast-1", "Asia Pacific (Singapore)"),
    ("eu-west-2", "Europe (London)"),
    ("ca-central-1", "Canada (Central)"),
    ("sa-east-1", "South America (São Paulo)"),
    ("ap-south-1", "Asia Pacific (Mumbai)"),
    ("eu-north-1", "Europe (Stockholm)"),
    ("us-west-1", "US West (N. California)"),
    ("eu-west-3", "Europe (Paris)"),
    ("ap-northeast-2", "Asia Pacific (Seoul)"),
];

/// Names of teams and applications in tags and bucket names.
pub(super) const APPLICATIONS: &[&str] = &[
    "billing-api",
    "checkout",
    "ledger",
    "search-index",
    "mobile-gateway",
    "data-platform",
    "etl",
    "identity",
    "reporting",
    "inventory",
    "pricing",
    "notifications",
    "fraud-score",
    "image-resizer",
    "warehouse-sync",
    "partner-portal",
    "ml-features",
    "edge-cache",
    "audit-trail",
    "crm-bridge",
];

/// Values of the tag `env`.
pub(super) const ENVIRONMENTS: &[&str] = &["prod", "prod", "staging", "dev", "sandbox"];

/// Reason codes and metadata names that services put into `eventMetadata`.
pub(super) const METADATA: &[(&str, &str)] = &[
    ("deprecated_versions", "Kubernetes 1.31 in {r}"),
    ("maintenanceWindow", "{d} {t} UTC"),
    ("ticket", "{x}"),
    ("affectedZone", "az-{k}"),
    ("reason", "{c}"),
    ("runtime", "nodejs{k}.x"),
];

/// Controls of Security Hub: id, title, resource type.
pub(super) const CONTROLS: &[(&str, &str, &str)] = &[
    (
        "S3.1",
        "General purpose buckets should have block public access settings enabled",
        "AwsS3Bucket",
    ),
    ("S3.5", "General purpose buckets should require requests to use SSL", "AwsS3Bucket"),
    (
        "EC2.2",
        "Default security groups should not allow inbound or outbound traffic",
        "AwsEc2SecurityGroup",
    ),
    ("EC2.7", "EBS default encryption should be enabled", "AwsAccount"),
    ("EC2.8", "Instances should use Instance Metadata Service Version 2", "AwsEc2Instance"),
    ("IAM.3", "Access keys of IAM users should be rotated every 90 days or less", "AwsIamUser"),
    ("IAM.6", "Hardware MFA should be enabled for the root user", "AwsAccount"),
    ("RDS.3", "DB instances should have encryption at rest enabled", "AwsRdsDbInstance"),
    ("Lambda.2", "Functions should use supported runtimes", "AwsLambdaFunction"),
    ("KMS.4", "Key rotation should be enabled", "AwsKmsKey"),
    ("CloudTrail.1", "At least one multi-Region trail should be enabled", "AwsAccount"),
    ("EKS.2", "Clusters should run on a supported Kubernetes version", "AwsEksCluster"),
];

/// Finding types of GuardDuty with what they say.
pub(super) const THREATS: &[(&str, &str)] = &[
    ("TTPs/Discovery/Recon:EC2-PortProbeUnprotectedPort", "an unprotected port is being probed"),
    (
        "TTPs/Initial Access/UnauthorizedAccess:EC2-SSHBruteForce",
        "many failed SSH logins were seen",
    ),
    (
        "Effects/Resource Consumption/CryptoCurrency:EC2-BitcoinTool.B!DNS",
        "a mining pool is being queried",
    ),
    (
        "TTPs/Persistence/Persistence:IAMUser-AnomalousBehavior",
        "APIs were called in an unusual way",
    ),
    (
        "TTPs/Command and Control/Backdoor:EC2-C&CActivity.B",
        "a known control server is being contacted",
    ),
    (
        "Effects/Data Exfiltration/Exfiltration:S3-AnomalousBehavior",
        "objects were read in an unusual way",
    ),
];

/// Packages in Inspector's findings.
pub(super) const PACKAGES: &[(&str, &str)] = &[
    ("openssl", "3.0.7"),
    ("libxml2", "2.9.13"),
    ("log4j-core", "2.14.1"),
    ("curl", "7.85.0"),
    ("glibc", "2.34"),
    ("requests", "2.28.1"),
    ("lodash", "4.17.19"),
    ("spring-core", "5.3.17"),
    ("zlib", "1.2.11"),
    ("busybox", "1.34.1"),
    ("jackson-databind", "2.13.2"),
    ("golang.org/x/net", "0.5.0"),
];
