//! A lake's settings: `_healthtrail/lake.json`, written once, when the lake is created.
//!
//! In: the store, and the partitioning that is wanted. Out: what the lake is. A lake of another
//! partitioning, or of a newer format or identity, is refused with what to do.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{LakeError, LakeResult};
use super::ids::hex;
use super::layout::{CONFIG, PartitionBy, record_key};
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
        match store.get(CONFIG, GetOptions::own()).await {
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
        let config = if let Some(config) = Self::open(store, identity).await? {
            config
        } else {
            Self::check_is_new(store, identity).await?;
            Self::create(store, wanted.unwrap_or_default(), identity).await?
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

    /// A lake that lost its settings must not get others: its days would be mixed with months.
    async fn check_is_new(store: &dyn Store, identity: u32) -> LakeResult<()> {
        let has_log = store.head(&record_key(1)).await?.is_some();
        // Another run may have made the lake and committed between the two looks.
        if has_log && Self::open(store, identity).await?.is_none() {
            return Err(LakeError::Damaged {
                key: CONFIG.into(),
                message: "is gone, though the lake has commits".into(),
                hint: "`healthtrail verify --repair` writes it anew".into(),
            });
        }
        Ok(())
    }

    async fn create(store: &dyn Store, partition: PartitionBy, identity: u32) -> LakeResult<Self> {
        let (config, bytes, sha256) = Self::encode(partition, identity)?;
        match store.put_new(CONFIG, bytes, &sha256).await {
            Ok(()) => Ok(config),
            // Taken, or no answer: what lies there now is the lake's, whoever wrote it.
            Err(error) => Self::open(store, identity).await?.ok_or(LakeError::Store(error)),
        }
    }

    /// Writes the settings of a lake that lost them; what lies there is replaced.
    pub async fn restore(
        store: &dyn Store,
        partition: PartitionBy,
        identity: u32,
    ) -> LakeResult<()> {
        let (_, bytes, sha256) = Self::encode(partition, identity)?;
        Ok(store.put(CONFIG, bytes, &sha256).await?)
    }

    /// New settings as they are written, with their hash.
    fn encode(partition: PartitionBy, identity: u32) -> LakeResult<(Self, Bytes, String)> {
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
        Ok((config, Bytes::from(bytes), sha256))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Fault, Faulty, Memory};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_lake_is_created_once_and_keeps_its_partitioning() {
        let store = Memory::new("lake");
        assert_eq!(LakeConfig::open(&store, 1).await.unwrap(), None);
        let wanted = Some(PartitionBy::Month);
        let created = LakeConfig::open_or_create(&store, wanted, 1).await.unwrap();
        assert_eq!(
            (created.partition, created.format, created.identity),
            (PartitionBy::Month, 1, 1)
        );
        for wanted in [None, wanted] {
            assert_eq!(LakeConfig::open_or_create(&store, wanted, 1).await.unwrap(), created);
        }
        let error =
            LakeConfig::open_or_create(&store, Some(PartitionBy::Day), 1).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "this lake has month partitions, not day partitions (`_healthtrail/lake.json`); leave \
             `--partition` out or give `month`; for another partitioning fill a new lake"
        );
    }

    #[tokio::test]
    async fn the_loser_of_a_race_reads_what_the_winner_wrote() {
        let inner = Arc::new(Memory::new("lake"));
        // The first look finds nothing, as if the winner came just after it.
        let fault = Fault::at(1, StoreErrorKind::NotFound).only("get", "lake.json");
        LakeConfig::open_or_create(&*inner, Some(PartitionBy::Month), 1).await.unwrap();
        let store = Faulty::new(inner.clone()).with(fault.clone());
        let config = LakeConfig::open_or_create(&store, None, 1).await.unwrap();
        assert_eq!(config.partition, PartitionBy::Month);
        let store = Faulty::new(inner).with(fault);
        assert!(LakeConfig::open_or_create(&store, Some(PartitionBy::Day), 1).await.is_err());
    }

    #[tokio::test]
    async fn a_lost_answer_is_looked_up_and_a_refusal_is_told() {
        let put = Fault::at(1, StoreErrorKind::Unavailable).only("put_new", "");
        let store = Faulty::new(Arc::new(Memory::new("lake"))).with(put.clone().answer_lost());
        assert!(LakeConfig::open_or_create(&store, None, 1).await.is_ok());
        let store = Faulty::new(Arc::new(Memory::new("lake"))).with(put);
        let error = LakeConfig::open_or_create(&store, None, 1).await.unwrap_err();
        assert!(matches!(error, LakeError::Store(_)), "{error}");
    }

    #[tokio::test]
    async fn newer_and_broken_lakes_are_refused() {
        let cases = [
            (
                r#"{"format":2,"identity":1,"shape":"new"}"#,
                "format 2, this program knows it up to 1",
            ),
            (
                r#"{"format":1,"identity":2,"partition":"day","created_by":""}"#,
                "update healthtrail",
            ),
            (r#"{"format":1,"identity":1,"partition":"year","created_by":""}"#, "cannot be read"),
            ("", "cannot be read"),
        ];
        for (content, expected) in cases {
            let store = Memory::new("lake");
            store.insert(CONFIG, content);
            let error = LakeConfig::open_or_create(&store, None, 1).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.key(), CONFIG);
        }
    }
}
