//! Files with secrets: passwords, tokens, keys, state.

use std::io;
use std::path::Path;

/// Weaknesses that do not prevent a start. `run` logs them, `validate` prints them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warnings(pub Vec<String>);

impl Warnings {
    /// Warns of a file or folder that other users of the machine can read. What does not exist is no
    /// weakness.
    pub(super) fn check_private(&mut self, key: &str, path: &Path) {
        if readable_by_others(path) {
            let (mode, what) = if path.is_dir() { ("700", "folder") } else { ("600", "file") };
            self.0.push(format!(
                "{key}: other users can read the {what} {0}; run: chmod {mode} {0}",
                path.display()
            ));
        }
    }
}

/// The text of a secret's file, without line ends at its end.
pub(super) fn read(key: &str, path: &Path, warnings: &mut Warnings) -> io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    warnings.check_private(key, path);
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_that_other_users_can_read_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "secret\r\n").unwrap();
        for (mode, expected) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let mut warnings = Warnings::default();
            assert_eq!(read("broker.password_file", &file, &mut warnings).unwrap(), "secret");
            assert_eq!(warnings.0.len(), expected, "{mode:o}: {warnings:?}");
            assert!(
                warnings
                    .0
                    .iter()
                    .all(|warning| warning.contains("chmod 600") && !warning.contains("secret"))
            );
        }
        let mut warnings = Warnings::default();
        warnings.check_private("state.path", &folder.path().join("nowhere"));
        assert_eq!(warnings, Warnings::default(), "a file that does not exist is no weakness");
    }
}
