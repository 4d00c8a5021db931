//! What shells and `man` make of the program's description of itself.

use std::fs;
use std::process::Command;

use crate::program::{healthtrail, text, write};

/// Whether this machine has the program.
fn has(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program} >/dev/null")])
        .status()
        .is_ok_and(|status| status.success())
}

fn output(program: &str, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn each_shell_gets_a_script_that_it_can_read() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, check) in [
        ("bash", Some("bash")),
        ("zsh", Some("zsh")),
        ("fish", Some("fish")),
        ("elvish", None),
        ("powershell", None),
    ] {
        let ran = healthtrail(&["completions", shell]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}");
        for word in ["doctor", "rejects-max", "expected-bucket-owner"] {
            assert!(ran.stdout.contains(word), "{shell} does not know `{word}`");
        }
        write(folder.path(), shell, ran.stdout.as_bytes());
        let Some(program) = check.filter(|program| has(program)) else { continue };
        let (passed, _, stderr) = output(program, &["-n", text(&folder.path().join(shell))]);
        assert!(passed, "{shell}: {stderr}");
    }
    assert_eq!(healthtrail(&["completions", "tcsh"]).code, 2);
}

#[test]
fn bash_completes_commands_options_and_values() {
    if !has("bash") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "script", healthtrail(&["completions", "bash"]).stdout.as_bytes());
    let table = [
        ("doc", &["doctor"][..]),
        ("run --rejects-m", &["--rejects-max"]),
        ("run --partition ", &["day", "month"]),
        ("run --metrics ", &["emf"]),
    ];
    for (typed, expected) in table {
        let words: Vec<&str> = typed.split(' ').collect();
        let (last, before) = (words.len(), words.len() - 1);
        let previous = if before == 0 { "healthtrail" } else { words[before - 1] };
        let line = format!(
            "source '{}'; COMP_WORDS=(healthtrail {}); COMP_CWORD={last}; \
             _healthtrail healthtrail '{}' '{previous}'; echo \"${{COMPREPLY[@]}}\"",
            text(&folder.path().join("script")),
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words[before],
        );
        let (passed, stdout, stderr) = output("bash", &["-c", &line]);
        assert!(passed, "{typed}: {stderr}");
        assert_eq!(stdout.split_whitespace().collect::<Vec<_>>(), expected, "{typed}");
    }
}

#[test]
fn every_command_has_a_man_page_that_can_be_set() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    for _ in 0..2 {
        let ran = healthtrail(&["man", "--dir", text(&pages)]);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    }
    let mut names: Vec<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let help = healthtrail(&["--help"]).stdout;
    let commands = help.split("\n\n").find_map(|part| part.strip_prefix("Commands:\n")).unwrap();
    let listed = commands.lines().filter_map(|line| line.strip_prefix("  "));
    let listed = listed.filter(|line| !line.starts_with(' '));
    for command in listed.filter_map(|line| line.split(' ').next()) {
        let page = format!("healthtrail-{command}.1");
        assert!(command == "help" || names.contains(&page), "{page} is missing: {names:?}");
    }
    assert!(names.contains(&"healthtrail-ledger-accept.1".to_owned()), "{names:?}");
    for name in names {
        let path = pages.join(&name);
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.contains(".TH"), "{name}");
        if has("groff") {
            let (passed, set, said) =
                output("groff", &["-k", "-man", "-ww", "-Tutf8", "-P-cbou", text(&path)]);
            assert!(passed && said.is_empty(), "{name}: {said}");
            assert!(set.contains("SYNOPSIS"), "{name}");
        }
        if has("mandoc") {
            let (passed, _, said) = output("mandoc", &["-Tlint", "-Werror", text(&path)]);
            assert!(passed, "{name}: {said}");
        }
    }
    let run = healthtrail(&["man", "run"]);
    assert!(run.stdout.contains("HEALTHTRAIL_REJECTS_MAX"), "variables are told");
    assert_eq!(healthtrail(&["man", "fly"]).code, 1);
}
