//! Does this machine have what a run is told to use, and what lies between it and the servers?
//!
//! In: options, `/proc`, the control group, the environment. Out: checks. What a system does not tell is not checked.

use std::fs;

use super::{DoctorOptions, Notes};
use crate::job::budget::threads;

/// Variables that name a proxy, which the SDK's client uses.
const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
/// Variables that name certificates, and are read.
const CERTIFICATES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
const MIB: u64 = 1 << 20;

/// Looks at the machine.
pub(super) fn look(notes: &mut Notes<'_>, options: &DoctorOptions, uses_network: bool) {
    memory(notes, options.memory_bytes, limit());
    cores(notes, options);
    if uses_network {
        network(notes, options.environment);
    }
}

fn memory(notes: &mut Notes<'_>, asked: u64, limit: Option<(u64, &'static str)>) {
    let Some((limit, what)) = limit else {
        return notes.ok("memory", "this system does not tell how much memory there is");
    };
    let message = format!("`--memory` is {} MiB, {what} {} MiB", asked / MIB, limit / MIB);
    if asked > limit {
        let to_do =
            "give `--memory` less than there is, or the system ends the run when it gets there";
        notes.fail("memory", message, to_do);
    } else if asked > limit / 10 * 9 {
        let to_do = "leave a tenth for the system: give `--memory` less, or the machine more";
        notes.warn("memory", message, to_do);
    } else {
        notes.ok("memory", message);
    }
}

/// The least of what the machine has and what its control group allows.
fn limit() -> Option<(u64, &'static str)> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let number = |text: String| text.trim().parse::<u64>().ok();
    let machine = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().to_owned();
        Some(line.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    });
    let own = read("/proc/self/cgroup")
        .and_then(|text| text.lines().find_map(|line| Some(line.strip_prefix("0::")?.to_owned())))
        .unwrap_or_default();
    let groups = [
        format!("/sys/fs/cgroup{}/memory.max", own.trim_end_matches('/')),
        "/sys/fs/cgroup/memory.max".to_owned(),
        "/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned(),
    ];
    let allowed = groups.iter().filter_map(|path| number(read(path)?)).min();
    let machine = machine.map(|bytes| (bytes, "the machine has"));
    let allowed = allowed.map(|bytes| (bytes, "the control group allows"));
    [machine, allowed].into_iter().flatten().min()
}

fn cores(notes: &mut Notes<'_>, options: &DoctorOptions) {
    let used = threads(options.memory_bytes, options.threads);
    let message = format!("a run uses {used} threads");
    if used < options.threads {
        let to_do =
            "one thread goes with each 32 MiB of `--memory`; give more to use all processors";
        notes.warn("threads", format!("{message} of {}", options.threads), to_do);
    } else {
        notes.ok("threads", message);
    }
}

fn network(notes: &mut Notes<'_>, environment: fn(&str) -> Option<String>) {
    let is_set = |name: &&str| environment(name).is_some_and(|value| !value.is_empty());
    let proxies: Vec<&str> = PROXIES.into_iter().filter(is_set).collect();
    if !proxies.is_empty() {
        // Not what it names: there may be a password in it.
        let straight = if is_set(&"NO_PROXY") || is_set(&"no_proxy") {
            "but for what NO_PROXY names"
        } else {
            "all of them: NO_PROXY names no exception"
        };
        let named = proxies.join(", ");
        notes.ok("proxy", format!("requests go by way of the proxy of {named}, {straight}"));
    }
    for name in CERTIFICATES.into_iter().filter(is_set) {
        let path = environment(name).unwrap_or_default();
        let readable = path.split(':').any(|path| fs::metadata(path).is_ok());
        if readable {
            notes.ok(
                "certificates",
                format!("{name} names the certificates that are trusted: {path}"),
            );
        } else {
            let message = format!("{name} names `{path}`, which cannot be read");
            notes.fail("certificates", message, "name a file that is there, or unset it");
        }
    }
    if is_set(&"AWS_CA_BUNDLE") {
        let to_do = "name the same file in SSL_CERT_FILE";
        notes.warn("certificates", "AWS_CA_BUNDLE is set, and not read by this program", to_do);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Diagnosis, State};
    use super::*;

    #[test]
    fn memory_is_held_against_what_there_is() {
        let gib = 1024 * MIB;
        let table = [
            (gib, Some(2 * gib), State::Ok),
            (gib, Some(gib), State::Warn),
            (gib, Some(gib / 2), State::Fail),
            (gib, None, State::Ok),
        ];
        for (asked, limit, expected) in table {
            let mut diagnosis = Diagnosis::default();
            let limit = limit.map(|bytes| (bytes, "the machine has"));
            memory(&mut diagnosis.notes("machine"), asked, limit);
            assert_eq!(diagnosis.checks.first().unwrap().state, expected, "{asked} {limit:?}");
        }
    }

    #[test]
    fn proxies_and_certificates_are_told_and_never_their_secrets() {
        fn environment(name: &str) -> Option<String> {
            match name {
                "HTTPS_PROXY" => Some("http://user:hunter2@proxy.example.com:3128".to_owned()),
                "SSL_CERT_FILE" => Some("/nowhere/certificates.pem".to_owned()),
                "AWS_CA_BUNDLE" => Some("/nowhere/bundle.pem".to_owned()),
                _ => None,
            }
        }
        let mut diagnosis = Diagnosis::default();
        network(&mut diagnosis.notes("machine"), environment);
        assert_eq!((diagnosis.ok, diagnosis.warn, diagnosis.fail), (1, 1, 1), "{diagnosis:?}");
        assert!(!format!("{diagnosis:?}").contains("hunter2"));
    }
}
