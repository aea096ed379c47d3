//! The reference pages are those of the source, and its examples can be used.

use std::path::{Path, PathBuf};

use tsm2_edge::config::{Config, reference};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares a generated page with the one in the repository, or writes it under `UPDATE_DOCS=1`.
fn assert_current(name: &str, page: &str) {
    let path = root().join("docs/reference").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(&path, page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "{} is not current; run: UPDATE_DOCS=1 cargo test -p tsm2-edge --test reference",
        path.display()
    );
}

#[test]
fn the_configuration_page_is_current() {
    assert_current("configuration.md", &reference::configuration());
}

#[test]
fn the_metrics_page_is_current() {
    assert_current("metrics.md", &reference::metrics());
}

#[test]
fn every_key_has_an_example_that_can_be_read() {
    let sections = reference::sections();
    let all: String = sections.iter().map(|section| section.example).collect();
    let credentials = ("CREDENTIALS_DIRECTORY".to_owned(), "/run/credentials".to_owned());
    Config::parse(&all, Path::new("edge.toml"), [credentials]).unwrap();
    for section in sections {
        for key in section.keys {
            let forms = [
                format!("\n{} = ", key.name),
                format!("\n#{} = ", key.name),
                format!("[{}.{}]", section.path, key.name),
            ];
            assert!(
                forms.iter().any(|form| section.example.contains(form) || all.contains(form)),
                "{}.{} has no example",
                section.path,
                key.name
            );
        }
    }
}
