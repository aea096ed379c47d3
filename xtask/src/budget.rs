//! The size of each package against `firmware/linux/budget.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::target::Target;

/// Largest package of each target, in bytes.
pub struct Budget(BTreeMap<String, u64>);

impl Budget {
    /// Reads the file: a table `deb_bytes` with a number for each architecture.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut tables: BTreeMap<String, BTreeMap<String, u64>> =
            toml::from_str(&text).with_context(|| format!("{} is no budget", path.display()))?;
        Ok(Budget(tables.remove("deb_bytes").unwrap_or_default()))
    }

    /// Checks a package of so many bytes.
    pub fn check(&self, target: Target, bytes: u64) -> anyhow::Result<()> {
        let architecture = target.debian();
        let budget = *self
            .0
            .get(architecture)
            .with_context(|| format!("the budget has no line deb_bytes.{architecture}"))?;
        ensure!(
            bytes <= budget,
            "the package for {architecture} has {bytes} bytes and its budget is {budget}; find what grew, \
             or raise deb_bytes.{architecture} in firmware/linux/budget.toml and say why in the commit"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_over_its_budget_or_without_one_is_an_error() {
        let budget = Budget(BTreeMap::from([("arm64".to_owned(), 1000)]));
        assert!(budget.check(Target::Arm64, 1000).is_ok());
        assert!(budget.check(Target::Arm64, 1001).is_err());
        assert!(budget.check(Target::Amd64, 1).is_err());
    }

    #[test]
    fn the_project_has_a_budget_for_each_target() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/linux/budget.toml");
        let budget = Budget::read(&file).unwrap();
        for target in Target::ALL {
            budget.check(target, 0).unwrap();
        }
    }
}
