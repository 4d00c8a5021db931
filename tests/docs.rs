//! Documents that are made from the code are as the code would make them now.

use std::fs;
use std::path::PathBuf;

#[test]
fn the_column_reference_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/columns.md");
    let made = healthtrail::finding::columns::reference();
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "`UPDATE=1 cargo test docs` makes docs/columns.md anew");
}
