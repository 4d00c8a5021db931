//! The ledger as a file.
