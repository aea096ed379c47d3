//! A tutorial of docs/tutorials, whose commands a test runs in short form.
//!
//! Blocks of `sh` are commands. A block after `<!-- file: NAME -->` is a file to write. Other blocks
//! are for reading.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

use crate::process::{edge, tsm2};

enum Block {
    File { name: String, text: String },
    Commands(String),
}

/// A tutorial on its way.
pub struct Tutorial {
    page: String,
    folder: TempDir,
    /// What the test says in place of what a user says.
    replacements: Vec<(String, String)>,
}

impl Tutorial {
    /// The tutorial of this name, in an empty folder.
    pub fn open(name: &str) -> Self {
        let file = repository("docs/tutorials").join(name);
        Tutorial {
            page: std::fs::read_to_string(file).expect("a tutorial"),
            folder: tempdir().expect("a folder"),
            replacements: Vec::new(),
        }
    }

    /// The folder in which its commands run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Says something else in place of a text, which the page must have.
    #[must_use]
    pub fn with(mut self, text: &str, other: impl Into<String>) -> Self {
        assert!(self.page.contains(text), "the page does not say {text:?}");
        self.replacements.push((text.to_owned(), other.into()));
        self
    }

    /// Runs all of it, and returns what each block of commands printed. Each must succeed.
    pub fn run(&self) -> Vec<String> {
        let programs = [edge(), tsm2()].map(|program| program.parent().expect("a folder").display().to_string());
        let path = format!("{}:{}", programs.join(":"), std::env::var("PATH").unwrap_or_default());
        let mut printed = Vec::new();
        for block in self.blocks() {
            match block {
                Block::File { name, text } => std::fs::write(self.folder().join(name), text).expect("a file"),
                Block::Commands(script) => {
                    let mut bash = Command::new("bash");
                    bash.args(["-euo", "pipefail", "-c", &script]).current_dir(self.folder());
                    let output = bash.env("PATH", &path).stdin(Stdio::null()).output().expect("bash starts");
                    let text = [&output.stdout, &output.stderr]
                        .map(|text| String::from_utf8_lossy(text).into_owned())
                        .concat();
                    println!("$ {script}{text}");
                    assert!(output.status.success(), "{script}: {}\n{text}", output.status);
                    printed.push(text);
                }
            }
        }
        printed
    }

    fn blocks(&self) -> Vec<Block> {
        let (mut found, mut name) = (Vec::new(), None);
        let mut lines = self.page.lines();
        while let Some(line) = lines.next() {
            if let Some(file) = line.strip_prefix("<!-- file: ").and_then(|rest| rest.strip_suffix(" -->")) {
                name = Some(file.to_owned());
            }
            let Some(language) = line.strip_prefix("```") else { continue };
            let block = lines.by_ref().take_while(|line| *line != "```");
            let mut text: String = block.map(|line| format!("{line}\n")).collect();
            for (from, to) in &self.replacements {
                text = text.replace(from, to);
            }
            match (name.take(), language) {
                (Some(name), _) => found.push(Block::File { name, text }),
                (None, "sh") => found.push(Block::Commands(text)),
                (None, _) => {}
            }
        }
        found
    }
}

/// A path of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
