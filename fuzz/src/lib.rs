//! What the fuzz targets share: a source that gives its bytes in small pieces, and a runner for code
//! that catches panics of its own.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Gives its bytes in pieces of changing size, as a network does.
#[derive(Debug)]
pub struct Trickle<'b> {
    bytes: &'b [u8],
    step: usize,
}

impl<'b> Trickle<'b> {
    /// Pieces of up to `step` bytes.
    pub fn new(bytes: &'b [u8], step: u8) -> Self {
        Self { bytes, step: usize::from(step) + 1 }
    }
}

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.step.min(self.bytes.len()).min(out.len());
        out[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        self.step = self.step * 3 % 251 + 1;
        Ok(count)
    }
}

/// The fuzzer ends the process in the panic hook, before the program can catch what it means to catch.
/// With this, only a panic that nobody caught is a finding; call it once, before the first input.
pub fn leave_panics_to_the_program() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Runs `body`; a panic that comes out of it is a finding.
pub fn run(body: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        eprintln!("panicked: {}", text.unwrap_or("(no text)"));
        std::process::abort();
    }
}

/// Runs what awaits a store in memory.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().expect("a runtime without input and output");
    runtime.block_on(future)
}
