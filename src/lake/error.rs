//! What can go wrong with a lake, each with the key it concerns and what to do next.

use crate::store::{StoreError, StoreErrorKind};

/// The result of the lake's operations.
pub type LakeResult<T> = Result<T, LakeError>;

/// A lake's trouble.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LakeError {
    /// The store could not do it; the run may be repeated as it is.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lake is not made for what is asked; nothing was changed.
    #[error("{message} (`{key}`); {hint}")]
    Refused {
        /// The object that says so.
        key: String,
        /// What does not fit.
        message: String,
        /// What to do.
        hint: String,
    },
    /// An object of the lake is missing, cut, or not what the log says it is.
    #[error("damaged lake: `{key}` {message}; {hint}")]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong with it.
        message: String,
        /// What to do.
        hint: String,
    },
    /// Whether a commit record was written could not be found out. The caller ends, and touches
    /// neither the record's number nor its staging: the next run completes or forgets it.
    #[error(
        "whether commit `{key}` was written is unknown: {cause}; run again, the next run completes \
         or forgets it"
    )]
    Undecided {
        /// The record.
        key: String,
        /// The last answer, or the lack of one.
        cause: StoreError,
    },
}

impl LakeError {
    /// Damage that `healthtrail verify --repair` can mend.
    pub(crate) fn damaged(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Damaged {
            key: key.into(),
            message: message.into(),
            hint: "`healthtrail verify --repair` withdraws it and reads its objects again".into(),
        }
    }

    /// A request that this lake cannot serve.
    pub(crate) fn refused(
        key: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Refused { key: key.into(), message: message.into(), hint: hint.into() }
    }

    /// The object it concerns; for a store's trouble its full URI.
    pub fn key(&self) -> &str {
        match self {
            Self::Store(error) => &error.uri,
            Self::Refused { key, .. } | Self::Damaged { key, .. } | Self::Undecided { key, .. } => {
                key
            }
        }
    }

    /// Whether the store says that the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Store(error) if error.kind == StoreErrorKind::NotFound)
    }
}
