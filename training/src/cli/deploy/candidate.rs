//! What is deployed: the bundle under a name of its contents, and the configuration that uses it.

use std::fs;
use std::path::Path;

use anyhow::ensure;
use sha2::{Digest, Sha256};
use toml_edit::{DocumentMut, value};
use tsm2_bundle::Bundle;

use crate::cli::common::at;

/// Contents of a file to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Their SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

impl From<Vec<u8>> for Contents {
    fn from(bytes: Vec<u8>) -> Self {
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Contents { bytes, sha256 }
    }
}

impl Contents {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(path).map_err(at(path))?;
        Ok(bytes.into())
    }
}

/// A checked bundle and its name on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The bundle.
    pub contents: Contents,
    /// `NAME-<12 digits of its SHA-256>.safetensors`: another model never overwrites the one in use.
    pub name: String,
}

impl Model {
    /// Opens a bundle.
    ///
    /// # Errors
    /// A file that is no bundle.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let bundle = Bundle::open(path)?;
        let contents = Contents::read(path)?;
        let name = file_name(&bundle.meta().name, &contents.sha256);
        Ok(Model { contents, name })
    }
}

/// The name of a file that is no option of any command, whatever the bundle's name.
fn file_name(bundle: &str, sha256: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = bundle.chars().take(40).map(plain).collect();
    match name.trim_start_matches('-') {
        "" => format!("model-{}.safetensors", &sha256[..12]),
        name => format!("{name}-{}.safetensors", &sha256[..12]),
    }
}

/// The text of a configuration with `model.bundle` set to a name; comments and order stay.
///
/// # Errors
/// A text that is no TOML, or whose `model` is no table.
pub fn with_bundle(config: &str, name: &str) -> anyhow::Result<String> {
    let mut document: DocumentMut = config.parse()?;
    let model = document.entry("model").or_insert_with(toml_edit::table);
    ensure!(model.is_table_like(), "model is not a section");
    model["bundle"] = value(name);
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_whose_name_has_no_latin_letter_gets_a_file_name_that_is_no_option() {
        let sha256 = "0123456789abcdef";
        assert_eq!(file_name("\u{6e29}\u{5ea6}", sha256), "model-0123456789ab.safetensors");
        assert_eq!(file_name("--hall 3", sha256), "hall-3-0123456789ab.safetensors");
        assert_eq!(file_name("it's $(x)", sha256), "it-s---x--0123456789ab.safetensors");
    }

    #[test]
    fn the_configuration_names_the_deployed_bundle_and_keeps_its_comments() {
        let text = "# hall 3\n[model] # of May\nbundle = 'mine/model.safetensors' # trained\ninterval_s = 60\n[input]\ntopic = 'a'\n";
        let changed = with_bundle(text, "hall-0123456789ab.safetensors").unwrap();
        assert!(changed.contains("bundle = \"hall-0123456789ab.safetensors\""), "{changed}");
        for kept in ["# hall 3", "# of May", "interval_s = 60", "topic = 'a'"] {
            assert!(changed.contains(kept), "{changed}");
        }
        assert!(!changed.contains("mine/"));
    }

    #[test]
    fn a_dotted_or_missing_key_is_set_too() {
        let dotted = with_bundle("model.bundle = 'a'\nbroker.host = 'b'\n", "n").unwrap();
        assert_eq!(dotted, "model.bundle = \"n\"\nbroker.host = 'b'\n");
        assert!(with_bundle("", "n").unwrap().contains("bundle = \"n\""));
        assert!(with_bundle("model = 1", "n").is_err());
        assert!(with_bundle("model = ", "n").is_err());
    }
}
