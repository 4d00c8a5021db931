//! A lake's settings: `_healthtrail/lake.json`, written once, when the lake is created.
//!
//! In: the store, and the partitioning that is wanted. Out: what the lake is. A lake of another
//! partitioning, or of a newer format or identity, is refused with what to do.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{LakeError, LakeResult};
use super::ids::hex;
use super::layout::{CONFIG, PartitionBy};
use crate::store::{GetOptions, Store, StoreErrorKind};

/// The format of lakes that this program writes, and the newest it reads.
pub const LAKE_FORMAT: u32 = 1;

/// What a lake is, once and for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LakeConfig {
    /// The layout of keys and records.
    pub format: u32,
    /// The rules of `row_id`: older programs refuse a lake of newer ones, newer ones keep computing it.
    pub identity: u32,
    /// What a partition is.
    pub partition: PartitionBy,
    /// The program and version that created it.
    pub created_by: String,
}

/// The fields that every format will have.
#[derive(Deserialize)]
struct Numbers {
    format: u32,
    identity: u32,
}

impl LakeConfig {
    /// Reads the lake's settings, or `None` when there is no lake yet.
    pub async fn open(store: &dyn Store, identity: u32) -> LakeResult<Option<Self>> {
        match store.get(CONFIG, GetOptions::default()).await {
            Ok(bytes) => Self::parse(&bytes, identity).map(Some),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the lake's settings, or creates the lake. Of two runs that create it at once the loser
    /// takes what the winner wrote. `identity` is the newest this program knows.
    pub async fn open_or_create(
        store: &dyn Store,
        wanted: Option<PartitionBy>,
        identity: u32,
    ) -> LakeResult<Self> {
        let config = match Self::open(store, identity).await? {
            Some(config) => config,
            None => Self::create(store, wanted.unwrap_or_default(), identity).await?,
        };
        match wanted {
            Some(wanted) if wanted != config.partition => Err(LakeError::refused(
                CONFIG,
                format!(
                    "this lake has {} partitions, not {} partitions",
                    config.partition.name(),
                    wanted.name()
                ),
                format!(
                    "leave `--partition` out or give `{}`; for another partitioning fill a new lake",
                    config.partition.name()
                ),
            )),
            _ => Ok(config),
        }
    }

    async fn create(store: &dyn Store, partition: PartitionBy, identity: u32) -> LakeResult<Self> {
        let config = Self {
            format: LAKE_FORMAT,
            identity,
            partition,
            created_by: concat!("healthtrail ", env!("CARGO_PKG_VERSION")).into(),
        };
        let mut bytes = serde_json::to_vec(&config)
            .map_err(|error| LakeError::damaged(CONFIG, error.to_string()))?;
        bytes.push(b'\n');
        let sha256 = hex(&Sha256::digest(&bytes));
        match store.put_new(CONFIG, Bytes::from(bytes), &sha256).await {
            Ok(()) => Ok(config),
            // Taken, or no answer: what lies there now is the lake's, whoever wrote it.
            Err(error) => Self::open(store, identity).await?.ok_or(LakeError::Store(error)),
        }
    }

    fn parse(bytes: &[u8], identity: u32) -> LakeResult<Self> {
        let unreadable = |error: serde_json::Error| LakeError::Damaged {
            key: CONFIG.into(),
            message: format!("cannot be read: {error}"),
            hint: "restore it from a backup or an older version of the object".into(),
        };
        let numbers: Numbers = serde_json::from_slice(bytes).map_err(unreadable)?;
        let newer =
            [("format", numbers.format, LAKE_FORMAT), ("identity", numbers.identity, identity)]
                .into_iter()
                .find(|(_, lake, program)| lake > program);
        if let Some((what, lake, program)) = newer {
            return Err(LakeError::refused(
                CONFIG,
                format!("this lake has {what} {lake}, this program knows it up to {program}"),
                "update healthtrail",
            ));
        }
        serde_json::from_slice(bytes).map_err(unreadable)
    }
}
