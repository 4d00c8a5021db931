//! From the address a user gives to the store behind it.
//!
//! In: `s3://bucket/prefix`, `file:///folder` or a path. Out: a store that is known to be there.
//! Wrong: an address that cannot be read, a folder or bucket that does not exist.

use std::path::Path;
use std::sync::Arc;

use super::uri::{Address, parse};
use super::{Folder, S3, S3Options, Store, StoreError, StoreErrorKind};

/// How to open a store.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    /// Make the folder when it is missing: for a lake, not for an archive. A bucket is never made.
    pub create: bool,
    /// What only S3 needs.
    pub s3: S3Options,
}

/// Opens the folder or the prefix of a bucket that `uri` names.
///
/// A missing folder or bucket is [`StoreErrorKind::NotFound`], with a hint; an empty prefix of a
/// bucket is a store without objects.
pub async fn open(uri: &str, options: &StoreOptions) -> Result<Arc<dyn Store>, StoreError> {
    let address = parse(uri)
        .map_err(|message| StoreError::new(StoreErrorKind::Other, "opening", uri, message))?;
    Ok(match address {
        Address::S3 { bucket, prefix } => Arc::new(S3::open(bucket, prefix, &options.s3).await?),
        Address::Folder(path) => Arc::new(Folder::open(Path::new(path), options.create).await?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_archive_folder_is_said_with_a_hint() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("nowhere");
        let uri = path.to_str().unwrap();
        let error = open(uri, &StoreOptions::default()).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NotFound);
        assert!(error.message.contains("hint:"), "{error}");
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_lake_folder_is_made() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("new/lake");
        let options = StoreOptions { create: true, ..StoreOptions::default() };
        let store = open(path.to_str().unwrap(), &options).await.unwrap();
        assert!(path.is_dir());
        assert!(store.base_uri().starts_with("file:///"));
        assert!(store.base_uri().ends_with("/new/lake"));
    }

    #[tokio::test]
    async fn unknown_schemes_and_clear_text_are_refused() {
        let error = open("gs://bucket/prefix", &StoreOptions::default()).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Other);
        let s3 = S3Options {
            endpoint_url: Some("http://s3.example.com".to_owned()),
            ..S3Options::default()
        };
        let options = StoreOptions { create: false, s3 };
        let error = open("s3://bucket/prefix", &options).await.unwrap_err();
        assert!(error.message.contains("plain http"), "{error}");
    }
}
