//! The folder in which the container image is built: `firmware/linux/Containerfile` and the programs by platform.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::target::Target;

/// A folder in the making.
pub struct Container {
    folder: PathBuf,
}

impl Container {
    /// A folder without programs.
    pub fn create(workspace: &Path, folder: PathBuf) -> anyhow::Result<Self> {
        // Git keeps no empty folder; the image takes the folder of the state from this one.
        let empty = folder.join("empty");
        fs::create_dir_all(&empty).with_context(|| format!("cannot create {}", empty.display()))?;
        let source = workspace.join("firmware/linux/Containerfile");
        fs::copy(&source, folder.join("Containerfile")).with_context(|| format!("cannot copy {}", source.display()))?;
        Ok(Container { folder })
    }

    /// Adds a program.
    pub fn add(&self, target: Target, program: &[u8]) -> anyhow::Result<()> {
        let folder = self.folder.join(target.platform());
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let file = folder.join("tsm2-edge");
        fs::write(&file, program).with_context(|| format!("cannot write {}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_file_finds_every_program_in_the_folder() {
        let folder = std::env::temp_dir().join(format!("tsm2-container-{}", std::process::id()));
        let container = Container::create(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), folder.clone()).unwrap();
        let text = fs::read_to_string(folder.join("Containerfile")).unwrap();
        for target in Target::ALL {
            container.add(target, b"program").unwrap();
            let source = "${TARGETPLATFORM}/tsm2-edge";
            assert!(text.contains(&format!("COPY --chmod=755 {source} /usr/bin/tsm2-edge\n")), "{text}");
            let program = source.replace("${TARGETPLATFORM}", target.platform());
            assert_eq!(fs::read(folder.join(program)).unwrap(), b"program");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
