//! What `deploy/` holds is made for this program: the template's tables and views, and its options.
//!
//! `UPDATE=1 cargo test deploy` makes the parts between the template's markers anew. `tests/deploy` lints the
//! template and creates it on a stand-in for AWS.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use healthtrail::lake::ddl::columns;
use healthtrail::lake::layout::Table;
use healthtrail::lake::views::{Engine, VIEWS};

use crate::program::healthtrail;

/// A program without it ends its runs as it did, and the alarms on its figures stay silent.
const METRICS: &str = "METRICS";

fn template() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/healthtrail.yaml")
}

/// The text with what stands between `# {name}: begin` and `# {name}: end` replaced.
fn with_part(text: &str, name: &str, part: &str) -> String {
    let (before, rest) = text.split_once(&format!("# {name}: begin\n")).unwrap();
    let (_, after) = rest.split_once(&format!("# {name}: end\n")).unwrap();
    let indent = before.rsplit('\n').next().unwrap();
    format!("{before}# {name}: begin\n{part}{indent}# {name}: end\n{after}")
}

/// JSON is YAML too, and knows how to quote.
fn columns_part(table: Table) -> String {
    let mut part = String::new();
    for column in columns(table) {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let (name, athena) = (quoted(column.name), quoted(column.athena));
        let comment = quoted(&column.comment);
        writeln!(part, "            - {{Name: {name}, Type: {athena}, Comment: {comment}}}")
            .unwrap();
    }
    part
}

fn views_part() -> String {
    let mut part = String::new();
    for (index, view) in VIEWS.iter().enumerate() {
        let number = index + 1;
        let camel: String = view.name.split('_').map(capital).collect();
        writeln!(
            part,
            "  View{number:02}{camel}:\n    Type: AWS::Athena::NamedQuery\n    Condition: HasJob\n    \
             Properties:\n      Name: healthtrail {number:02} {}\n      Description: {}\n      \
             Database: !Ref Database\n      WorkGroup: !Ref WorkGroup\n      QueryString: |",
            view.name,
            serde_json::to_string(view.question()).unwrap()
        )
        .unwrap();
        for line in view.create(Engine::Athena, None, "").lines() {
            let indent = if line.is_empty() { "" } else { "        " };
            writeln!(part, "{indent}{line}").unwrap();
        }
    }
    part
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

#[test]
fn the_template_has_the_programs_own_columns_and_views() {
    let path = template();
    let committed = fs::read_to_string(&path).unwrap();
    let mut made = committed.clone();
    for (name, part) in [
        ("columns of findings", columns_part(Table::Findings)),
        ("columns of rejects", columns_part(Table::Rejects)),
        ("views", views_part()),
    ] {
        made = with_part(&made, name, &part);
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    } else {
        assert!(
            committed == made,
            "`UPDATE=1 cargo test deploy` makes deploy/healthtrail.yaml anew"
        );
    }
}

/// A variable that the task sets and the program does not know would be without effect, and without a word.
#[test]
fn the_task_sets_only_variables_that_run_knows() {
    let help = healthtrail(&["run", "--help"]).stdout;
    let text = fs::read_to_string(template()).unwrap();
    let mut set: Vec<&str> = text
        .split("Name: HEALTHTRAIL_")
        .skip(1)
        .map(|rest| rest.split([',', '\n', '}']).next().unwrap())
        .collect();
    set.sort_unstable();
    assert!(set.len() >= 12, "{set:?}");
    let mut unknown = set;
    unknown.retain(|name| !help.contains(&format!("HEALTHTRAIL_{name}=")) && *name != METRICS);
    assert!(unknown.is_empty(), "`run --help` does not name {unknown:?}");
}
