//! The pages `docs/reference/cli.md` and `configuration.md`, made from the command line's own description.
//!
//! In: what clap knows. Out: Markdown. Tests hold the pages in `docs/` to it, so that they never say another thing
//! than `--help`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::Cli;

/// Every command and option.
pub fn cli_reference() -> String {
    let mut program = Cli::command();
    program.build();
    let mut page = String::from(
        "# The command line\n\n\
         Made from the program's own description, as `--help` and the man pages are; \
         `UPDATE=1 cargo test docs` makes it anew.\n\n",
    );
    for command in shown(&program) {
        let name = command.get_name();
        line(
            &mut page,
            &format!("- [`healthtrail {name}`](#healthtrail-{name}): {}", about(command)),
        );
    }
    line(&mut page, "");
    describe(&mut page, &program, 2);
    page
}

/// Every environment variable.
pub fn configuration_reference() -> String {
    let mut program = Cli::command();
    program.build();
    let mut variables: BTreeMap<String, Vec<(String, Arg)>> = BTreeMap::new();
    let mut commands = vec![program];
    while let Some(command) = commands.pop() {
        for arg in
            command.get_arguments().filter(|arg| !arg.is_global_set() || is_program(&command))
        {
            let Some(variable) = arg.get_env() else { continue };
            let uses = variables.entry(variable.to_string_lossy().into_owned()).or_default();
            uses.push((command_path(&command), arg.clone()));
        }
        commands.extend(shown(&command).cloned());
    }
    let mut page = String::from(CONFIGURATION);
    for (variable, mut uses) in variables {
        uses.sort_by(|one, two| one.0.cmp(&two.0));
        // Several commands say it in words of their own; `run` is the one that is set up by variables.
        let of_run = uses.iter().find(|(command, _)| command == "run");
        let Some((_, arg)) = of_run.or(uses.first()) else { continue };
        let option = arg.get_long().map_or_else(String::new, |long| format!("`--{long}`"));
        let default = defaults(arg).map_or_else(String::new, |default| format!("`{default}`"));
        let commands: Vec<&str> = uses.iter().map(|(command, _)| command.as_str()).collect();
        let commands = if commands == [""] { "all".to_owned() } else { commands.join(", ") };
        let meaning = arg.get_help().map(plain).unwrap_or_default();
        line(
            &mut page,
            &format!("| `{variable}` | {option} | {commands} | {default} | {} |", cell(&meaning)),
        );
    }
    page
}

const CONFIGURATION: &str = "# Configuration

There is no configuration file: a run is told everything by options, each of which can be set by an environment variable
(this page), and by the settings of AWS. Made from the program's own description; `UPDATE=1 cargo test docs` makes it
anew.

- An option on the command line goes before its variable.
- A variable without a value is as good as none.
- Switches (`--dry-run`) are set by any value but `0`, `false`, `f`, `no`, `n`, `off`.
- Several values: `HEALTHTRAIL_FROM`, `HEALTHTRAIL_EXCLUDE`, `HEALTHTRAIL_EXPECTED_BUCKET_OWNER` and
  `HEALTHTRAIL_PASSED_OVER` take them with commas between.
- What is fixed when a lake is made (`--partition`) lies in the lake: `_healthtrail/lake.json`
  ([log-format.md](log-format.md)).

What the AWS SDK reads is meant as AWS documents it: `AWS_PROFILE`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_CONFIG_FILE`, `AWS_SHARED_CREDENTIALS_FILE`, `AWS_ENDPOINT_URL`,
`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL_STS`, the container's and the instance's role, SSO and `credential_process`.
Trusted certificates are the system's, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`; `AWS_CA_BUNDLE` is not read. A proxy is
used as `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say. `healthtrail doctor` says which of them are set.

| variable | option | commands | default | meaning |
| --- | --- | --- | --- | --- |
";

fn describe(page: &mut String, command: &Command, depth: usize) {
    let path = command_path(command);
    let name =
        if path.is_empty() { "healthtrail".to_owned() } else { format!("healthtrail {path}") };
    line(page, &format!("{} {name}\n", "#".repeat(depth)));
    let told = command.get_long_about().or(command.get_about()).map(plain).unwrap_or_default();
    line(page, &format!("{}\n", prose(&told)));
    let usage = plain(&command.clone().render_usage());
    line(page, &format!("```text\n{}\n```\n", usage.trim_start_matches("Usage: ").trim()));
    let arguments = command.get_arguments().filter(|arg| {
        !arg.is_hide_set()
            && !matches!(
                arg.get_action(),
                ArgAction::Help | ArgAction::HelpLong | ArgAction::Version
            )
            && (!arg.is_global_set() || is_program(command))
    });
    let mut any = false;
    for arg in arguments {
        any = true;
        option(page, arg);
    }
    if any {
        line(page, "");
    }
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        line(page, &format!("```text\n{}\n```\n", plain(after).trim_end()));
    }
    for command in shown(command) {
        describe(page, command, if path.is_empty() { 2 } else { 3 });
    }
}

fn option(page: &mut String, arg: &Arg) {
    let value = arg.get_value_names().and_then(|names| names.first()).filter(|_| takes_value(arg));
    let value = value.map(|value| format!(" <{value}>")).unwrap_or_default();
    let name = match arg.get_long() {
        Some(long) => format!("--{long}{value}"),
        None => value.trim_start().to_owned(),
    };
    let told = arg.get_long_help().or(arg.get_help()).map(plain).unwrap_or_default();
    let mut facts = Vec::new();
    if arg.is_required_set() {
        facts.push("required".to_owned());
    }
    facts.extend(defaults(arg).map(|default| format!("default `{default}`")));
    let values = arg.get_possible_values();
    let values = values.iter().filter(|_| takes_value(arg)).filter(|value| !value.is_hide_set());
    let values: Vec<String> = values
        .map(|value| {
            let told = value.get_help().map(plain);
            told.map_or_else(
                || format!("`{}`", value.get_name()),
                |told| format!("`{}` ({told})", value.get_name()),
            )
        })
        .collect();
    if !values.is_empty() {
        facts.push(format!("one of {}", values.join(", ")));
    }
    facts
        .extend(arg.get_env().map(|variable| format!("variable `{}`", variable.to_string_lossy())));
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join("; ")) };
    line(
        page,
        &format!("- `{name}`: {}{facts}", prose(&told).replace("\n\n", ". ").replace('\n', " ")),
    );
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn defaults(arg: &Arg) -> Option<String> {
    let values = arg.get_default_values();
    let is_told = takes_value(arg) && !values.is_empty() && !arg.is_hide_default_value_set();
    let texts = values.iter().map(|value| value.to_string_lossy());
    is_told.then(|| texts.collect::<Vec<_>>().join(","))
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help")
}

fn is_program(command: &Command) -> bool {
    command_path(command).is_empty()
}

/// `ledger accept`; empty for the program itself.
fn command_path(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_default();
    name.strip_prefix("healthtrail").unwrap_or(name).trim().to_owned()
}

fn about(command: &Command) -> String {
    command.get_about().map(plain).unwrap_or_default()
}

fn plain(text: &StyledStr) -> String {
    text.to_string()
}

/// What stands in Markdown as it was meant: no tag, and no list out of a plain line.
fn prose(text: &str) -> String {
    text.trim().replace('<', "&lt;")
}

fn cell(text: &str) -> String {
    prose(text).replace('|', "\\|").replace('\n', " ")
}

fn line(page: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _infallible = writeln!(page, "{text}");
}
