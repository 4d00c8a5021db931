//! What nobody may read, write or see who should not: permissions, owners, logs, redaction.

mod calls;
mod catalog_server;
mod commands;
mod documents;
mod logs;
mod policies;
mod redact;
mod transport;
