//! Archives that move while a run reads them, and between runs.
