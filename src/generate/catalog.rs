//! What can happen on AWS, in words: services, event types, Regions, and sentences.
//!
//! Tables only. The event type codes and Regions are AWS's names; all sentences are our own.

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
    /// Security Hub takes it over (FACTS 2.3).
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
    event(
        "EC2",
        "AWS_EC2_NETWORK_CONNECTIVITY_INVESTIGATION",
        Investigation,
        Instance,
        "instances",
        1,
    ),
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

/// How a description begins. `{s}` service, `{n}` noun, `{r}` Region, `{d}` date, `{t}` clock,
/// `{k}` number, `{w}` word, `{c}` cause, `{a}` advice, `{x}` id.
pub(super) const OPENINGS: &[(Category, &[&str])] = &[
    (
        Issue,
        &[
            "We are looking into {c} that affects {k} of your {s} {n} in {r} since {t} PDT.",
            "Some of your {s} {n} in the {r} Region answer slowly or not at all because of {c}.",
            "At {t} PDT we detected {c} in a single Availability Zone ({x}) of {r}; your {n} may be impaired.",
            "Between {d} {t} and now, calls to {s} {n} in {r} returned more errors than usual.",
            "One or more {n} in your account show {c}, found by our monitoring on {d}.",
        ],
    ),
    (
        Change,
        &[
            "Your {s} {n} in {r} are due for maintenance on {d} at {t} UTC.",
            "We plan to replace the hardware below {k} of your {s} {n} in the {r} Region on {d}.",
            "The version that your {n} run on reaches its end of standard support on {d}; {k} of them are still on it.",
            "Starting {d}, {s} will upgrade {n} in {r} that have not been moved before, one Availability Zone at a time.",
            "A required update for {s} {n} was scheduled for {d} between {t} and the end of your window.",
        ],
    ),
    (
        Notification,
        &[
            "You are receiving this message because {k} of your {s} {n} in {r} need your attention.",
            "We noticed that {n} in your account use {w} settings that we advise against.",
            "The state of {s} {n} that you own changed on {d}: see the list of affected resources.",
            "From {d} on, {s} handles {w} requests in {r} in another way, and your {n} make such requests.",
            "This is a reminder about {k} {n} in the {r} Region, first announced on {d}.",
        ],
    ),
    (Investigation, &["We are investigating reports of {c} for {s} {n} in the {r} Region."]),
];

/// What a description goes on with.
pub(super) const MIDDLES: &[&str] = &[
    "The most likely reason is {c}, and our {w} team works on it with {w} priority.",
    "You do not need to change anything if your {n} are spread over more than one Availability Zone.",
    "To see which {n} are concerned, open the “Affected resources” tab, or call DescribeAffectedEntities with the id {x}.",
    "We recommend that you {a} before {d}, so that {w} traffic is not interrupted.",
    "While the work goes on, {n} may restart up to {k} times, each restart taking about {k} minutes.",
    "Existing connections stay open, but {w} ones may be refused with a message such as \"Request limit exceeded\" or \"Service unavailable\".",
    "If you have {w} automation around your {n}, please check that it can {a}.",
    "Data on {w} storage is kept; data on instance store volumes will be lost when the host is replaced.",
    "You can {a} at any time until {d} {t} UTC by using the console, the command line, or the API.",
    "After that date we will {a} on your behalf, starting with {w} environments.",
    "This message was sent to {k} contacts of your organization because {n} in {r} are shared with other accounts.",
    "Internal reference {x}: {w} capacity in {r} was moved away from the {w} zone at {t} PDT.",
    "The error rate reached {k} percent at {t} PDT and has gone down to {k} percent since.",
    "Customers who {a} early report fewer than {k} {w} interruptions.",
    "A list of {w} limits, with the ones that apply to {s}, is in the user guide under the heading “{w} operations”.",
    "No {w} action was taken by us on your {n} so far.",
    "For {n} behind a load balancer, take them out of service, {a}, and put them back one by one.",
    "We saw {k} requests from {w} clients to your {n}, the last of them on {d} at {t} UTC.",
    "If you believe that this notice reached you by mistake, answer it with the reference {x}.",
    "The {w} mode will be removed, and calls that ask for it will fail with the code {k}0{k}.",
    "Tag your {n} with maintenance={w} to give us a hint about the order.",
    "We measured {k}.{k} ms of added latency at the ninety-ninth percentile for {w} reads.",
];

/// How a description ends.
pub(super) const ENDINGS: &[&str] = &[
    "If you have questions or concerns, please contact AWS Support at https://aws.amazon.com/support",
    "More about this change: https://docs.aws.amazon.com/{u}/latest/userguide/{w}-{w}.html",
    "We are sorry for any inconvenience this may have caused you.",
    "You can follow further updates in the AWS Health Dashboard [1].\n\n[1] https://health.aws.amazon.com/health/home",
    "Sincerely,\nThe {s} team",
];

/// Updates of an open event.
pub(super) const UPDATES: &[&str] = &[
    "[{t} PDT] We continue to work on {c}, and see early signs of recovery for {w} {n}.",
    "[{t} PDT] Mitigation is in progress in {k} of {k} cells; we expect full recovery within {k} minutes.",
    "[{t} PDT] We have found the cause, {c}, and are applying a fix in the {r} Region.",
    "[{t} PDT] The backlog of {w} requests is being worked off; some {n} may still be slow.",
];

/// The last word on an event.
pub(super) const CLOSINGS: &[&str] = &[
    "Between {t} PDT and the time of this message, {s} {n} in {r} were affected by {c}. The issue has been resolved and the service is operating normally.",
    "The maintenance that was announced for your {s} {n} in {r} is complete.",
    "All {k} affected {n} have been moved, and no action is left for you.",
];

/// Causes.
pub(super) const CAUSES: &[&str] = &[
    "increased error rates",
    "a loss of power to a rack",
    "packet loss between two Availability Zones",
    "elevated latencies",
    "degraded underlying hardware",
    "a failed deployment of a subsystem",
    "an exhausted pool of network interfaces",
    "a stuck control plane workflow",
    "slow disks on a storage server",
    "a misrouted prefix at an internet provider",
    "a certificate that was not renewed in time",
    "a surge of retries from clients",
];

/// Advice.
pub(super) const ADVICE: &[&str] = &[
    "move to a supported version",
    "stop and start the instance",
    "rotate the access key",
    "take a snapshot",
    "choose a maintenance window of your own",
    "add a second tunnel",
    "validate the domain again",
    "restrict public access",
    "replace the node group",
    "redeploy with the current runtime",
    "raise the limit in Service Quotas",
    "turn on automatic minor version upgrades",
];

/// Words that fit before many nouns.
pub(super) const WORDS: &[&str] = &[
    "regional",
    "zonal",
    "public",
    "private",
    "internal",
    "encrypted",
    "legacy",
    "dual-stack",
    "cached",
    "replicated",
    "asynchronous",
    "scheduled",
    "manual",
    "automatic",
    "previous",
    "current",
    "smaller",
    "larger",
    "temporary",
    "permanent",
    "critical",
    "ordinary",
    "shared",
    "dedicated",
    "burstable",
    "idle",
    "busy",
    "external",
    "signed",
    "anonymous",
    "batched",
    "streaming",
    "hybrid",
    "managed",
    "custom",
    "default",
    "weekly",
    "monthly",
    "nightly",
    "partial",
    "complete",
    "early",
    "late",
    "remote",
    "local",
    "primary",
    "secondary",
    "standby",
    "throttled",
    "queued",
    "versioned",
    "tagged",
    "untagged",
    "production",
    "staging",
    "development",
    "audited",
    "compliant",
    "archived",
    "restored",
    "migrated",
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

/// A sentence in another language that some notices carry after the English one.
pub(super) const TRANSLATIONS: &[&str] = &[
    "この通知は、お使いのアカウントのリソースに関するものです。詳細は AWS Health ダッシュボードをご覧ください。",
    "Diese Nachricht betrifft Ressourcen in Ihrem Konto; Näheres steht im AWS Health Dashboard.",
    "Este mensaje se refiere a recursos de su cuenta; consulte el panel de AWS Health para más información.",
    "Ce message concerne des ressources de votre compte : voir le tableau de bord AWS Health.",
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
