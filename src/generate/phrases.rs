//! The sentences that descriptions are made of, all of them our own.
//!
//! Tables only. Blanks stand in braces: see [`OPENINGS`].

use super::story::Category::{self, Change, Investigation, Issue, Notification};

/// How a description begins. `{s}` service, `{n}` noun, `{r}` Region, `{d}` date, `{t}` clock,
/// `{k}` number, `{w}` word, `{c}` cause, `{a}` advice, `{x}` id.
pub(super) const OPENINGS: &[(Category, &[&str])] = &[
    (
        Issue,
        &[
            "We are looking into {c} that affects {k} of your {s} {n} in {r} since {t} PDT.",
            "Some of your {s} {n} in the {r} Region answer slowly or not at all because of {c}.",
            "At {t} PDT we detected {c} in a single Availability Zone ({x}) of {r}; your {n} may \
             be impaired.",
            "Between {d} {t} and now, calls to {s} {n} in {r} returned more errors than usual.",
            "One or more {n} in your account show {c}, found by our monitoring on {d}.",
        ],
    ),
    (
        Change,
        &[
            "Your {s} {n} in {r} are due for maintenance on {d} at {t} UTC.",
            "We plan to replace the hardware below {k} of your {s} {n} in the {r} Region on {d}.",
            "The version that your {n} run on reaches its end of standard support on {d}; {k} of \
             them are still on it.",
            "Starting {d}, {s} will upgrade {n} in {r} that have not been moved before, one \
             Availability Zone at a time.",
            "A required update for {s} {n} was scheduled for {d} between {t} and the end of your \
             window.",
        ],
    ),
    (
        Notification,
        &[
            "You are receiving this message because {k} of your {s} {n} in {r} need your \
             attention.",
            "We noticed that {n} in your account use {w} settings that we advise against.",
            "The state of {s} {n} that you own changed on {d}: see the list of affected resources.",
            "From {d} on, {s} handles {w} requests in {r} in another way, and your {n} make such \
             requests.",
            "This is a reminder about {k} {n} in the {r} Region, first announced on {d}.",
        ],
    ),
    (Investigation, &["We are investigating reports of {c} for {s} {n} in the {r} Region."]),
];

/// What a description goes on with.
pub(super) const MIDDLES: &[&str] = &[
    "The most likely reason is {c}, and our {w} team works on it with {w} priority.",
    "You do not need to change anything if your {n} are spread over more than one Availability \
     Zone.",
    "To see which {n} are concerned, open the “Affected resources” tab, or call \
     DescribeAffectedEntities with the id {x}.",
    "We recommend that you {a} before {d}, so that {w} traffic is not interrupted.",
    "While the work goes on, {n} may restart up to {k} times, each restart taking about {k} \
     minutes.",
    "Existing connections stay open, but {w} ones may be refused with a message such as \
     \"Request limit exceeded\" or \"Service unavailable\".",
    "If you have {w} automation around your {n}, please check that it can {a}.",
    "Data on {w} storage is kept; data on instance store volumes will be lost when the host is \
     replaced.",
    "You can {a} at any time until {d} {t} UTC by using the console, the command line, or the API.",
    "After that date we will {a} on your behalf, starting with {w} environments.",
    "This message was sent to {k} contacts of your organization because {n} in {r} are shared \
     with other accounts.",
    "Internal reference {x}: {w} capacity in {r} was moved away from the {w} zone at {t} PDT.",
    "The error rate reached {k} percent at {t} PDT and has gone down to {k} percent since.",
    "Customers who {a} early report fewer than {k} {w} interruptions.",
    "A list of {w} limits, with the ones that apply to {s}, is in the user guide under the \
     heading “{w} operations”.",
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
    "If you have questions or concerns, please contact AWS Support at \
     https://aws.amazon.com/support",
    "More about this change: https://docs.aws.amazon.com/{u}/latest/userguide/{w}-{w}.html",
    "We are sorry for any inconvenience this may have caused you.",
    "You can follow further updates in the AWS Health Dashboard [1].\n\n[1] \
     https://health.aws.amazon.com/health/home",
    "Sincerely,\nThe {s} team",
];

/// Updates of an open event.
pub(super) const UPDATES: &[&str] = &[
    "[{t} PDT] We continue to work on {c}, and see early signs of recovery for {w} {n}.",
    "[{t} PDT] Mitigation is in progress in {k} of {k} cells; we expect full recovery within {k} \
     minutes.",
    "[{t} PDT] We have found the cause, {c}, and are applying a fix in the {r} Region.",
    "[{t} PDT] The backlog of {w} requests is being worked off; some {n} may still be slow.",
];

/// The last word on an event.
pub(super) const CLOSINGS: &[(Category, &[&str])] = &[
    (
        Issue,
        &[
            "Between {t} PDT and the time of this message, {s} {n} in {r} were affected by {c}. \
             The issue has been resolved and the service is operating normally.",
            "We have seen no more {c} since {t} PDT, and consider this issue closed.",
        ],
    ),
    (
        Change,
        &[
            "The maintenance that was announced for your {s} {n} in {r} is complete.",
            "All {k} affected {n} have been moved, and no action is left for you.",
        ],
    ),
    (Notification, &["This matter of your {s} {n} in {r} is settled; the message closes it."]),
    (Investigation, &["We found no fault on our side that would explain {c}."]),
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

/// A sentence in another language that some notices carry after the English one.
pub(super) const TRANSLATIONS: &[&str] = &[
    "この通知は、お使いのアカウントのリソースに関するものです。詳細は AWS Health ダッシュボードをご覧ください。",
    "Diese Nachricht betrifft Ressourcen in Ihrem Konto; Näheres steht im AWS Health Dashboard.",
    "Este mensaje se refiere a recursos de su cuenta; consulte el panel de AWS Health para más \
     información.",
    "Ce message concerne des ressources de votre compte : voir le tableau de bord AWS Health.",
];
