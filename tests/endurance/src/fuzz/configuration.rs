//! Configurations: the file's text, and after a NUL the environment, a variable per line.

use std::path::Path;

use tsm2_edge::config::{Config, ENV_PREFIX};

/// Parses a configuration.
///
/// # Panics
/// When what is wrong is said without a name, or two parsings differ.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (file, environment) = text.split_once('\0').unwrap_or((text, ""));
    let variables = || {
        environment
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (format!("{ENV_PREFIX}{key}"), value.to_owned()))
    };
    let parse = || Config::parse(file, Path::new("/etc/tsm2/edge.toml"), variables());
    match (parse(), parse()) {
        (Ok(one), Ok(other)) => assert_eq!(format!("{one:?}"), format!("{other:?}")),
        (Err(one), Err(other)) => {
            let said = one.to_string();
            assert_eq!(said, other.to_string());
            assert!(said.contains("edge.toml") || said.contains(ENV_PREFIX), "{said}");
        }
        _ => panic!("the same text is taken and refused"),
    }
}
