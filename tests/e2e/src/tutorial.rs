//! A tutorial of docs/tutorials, whose commands a test runs in short form.
//!
//! Blocks of `sh` are commands. A block after `<!-- file: NAME -->` is a file to write. Other blocks
//! are for reading.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

use crate::process::{demo, edge, tsm2};

/// Before each block: errors stand among the results, and nothing goes on when the block has ended.
const PROLOGUE: &str = "exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";
/// Seconds after which a block is stuck.
const STUCK: &str = "600";
/// Longest line of a transcript, in characters.
const WIDTH: usize = 98;
/// Most lines of a block in a transcript.
const LINES: usize = 40;

/// A block of commands that ran.
pub struct Ran {
    /// The heading above.
    heading: String,
    /// The commands of the page.
    commands: String,
    /// What they printed.
    pub printed: String,
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

    /// Runs all of it; what each block of commands printed. Each must succeed.
    pub fn run(&self) -> Vec<Ran> {
        let (mut ran, mut heading, mut file) = (Vec::new(), "", None);
        let mut lines = self.page.lines();
        while let Some(line) = lines.next() {
            if line.starts_with('#') {
                heading = line;
            }
            if let Some(name) = line.strip_prefix("<!-- file: ").and_then(|rest| rest.strip_suffix(" -->")) {
                file = Some(name);
            }
            let Some(language) = line.strip_prefix("```") else { continue };
            let block = lines.by_ref().take_while(|line| *line != "```");
            let commands: String = block.map(|line| format!("{line}\n")).collect();
            let replaced = |text: String, (from, to): &(String, String)| text.replace(from, to);
            let script = self.replacements.iter().fold(commands.clone(), replaced);
            match (file.take(), language) {
                (Some(name), _) => std::fs::write(self.folder().join(name), script).expect("a file"),
                (None, "sh") => ran.push(Ran {
                    heading: heading.to_owned(),
                    commands,
                    printed: run_block(&script, self.folder()),
                }),
                (None, _) => {}
            }
        }
        ran
    }
}

/// Runs a block of commands in a folder, with this workspace's programs; what it printed.
///
/// # Panics
/// When a command fails.
pub fn run_block(script: &str, folder: &Path) -> String {
    let begun = std::time::Instant::now();
    let programs = [edge(), tsm2(), demo()].map(|program| program.parent().expect("a folder").display().to_string());
    let path = format!("{}:{}", programs.join(":"), std::env::var("PATH").unwrap_or_default());
    let mut bash = Command::new("timeout");
    bash.args(["-k", "5", STUCK, "bash", "-euo", "pipefail", "-c"]);
    bash.arg(format!("{PROLOGUE}{script}")).current_dir(folder);
    let output = bash.env("PATH", path).stdin(Stdio::null()).output().expect("timeout starts");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("$ {script}{printed}({:.1} s)", begun.elapsed().as_secs_f64());
    assert!(output.status.success(), "{script}: {}\n{printed}", output.status);
    printed
}

/// Folders with pages; those of the repository's own folder are pages too.
const FOLDERS: [&str; 4] = ["docs", "firmware", "models", "fuzz"];

/// All pages: path in the repository, and text.
pub fn pages() -> Vec<(String, String)> {
    let mut found = Vec::new();
    in_folder("", false, &mut found);
    FOLDERS.iter().for_each(|folder| in_folder(folder, true, &mut found));
    found
}

fn in_folder(folder: &str, is_deep: bool, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(repository(folder)).expect("a folder") {
        let path = entry.expect("an entry").path();
        let file = path.file_name().expect("a name").to_string_lossy();
        let name = format!("{folder}/{file}").trim_start_matches('/').to_owned();
        match path.is_dir() {
            true if is_deep && file != "target" => in_folder(&name, true, found),
            true => {}
            false if name.ends_with(".md") => found.push((name, std::fs::read_to_string(&path).expect("a page"))),
            false => {}
        }
    }
}

/// The blocks of commands of a page.
pub fn blocks(page: &str) -> Vec<String> {
    let mut lines = page.lines().map(str::trim_start);
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: String = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .map(|line| format!("{line}\n"))
                .collect();
            found.extend((language == "sh").then_some(block));
        }
    }
    found
}

/// The blocks and what they printed, under the headings of the page.
pub fn transcript(ran: &[Ran]) -> String {
    let (mut text, mut heading) = (String::new(), "");
    for block in ran {
        if block.heading != heading {
            heading = &block.heading;
            let _ = writeln!(text, "\n{heading}");
        }
        let lines: Vec<String> = block.printed.lines().map(cut).collect();
        let shown = match lines.len() {
            ..=LINES => lines.join("\n"),
            count => {
                let (first, last) = (&lines[..LINES * 3 / 4], &lines[count - LINES / 4..]);
                format!("{}\n...\n{}", first.join("\n"), last.join("\n"))
            }
        };
        let _ = write!(
            text,
            "\n```text\n$ {}\n{shown}\n```\n",
            block.commands.trim_end().replace('\n', "\n$ ")
        );
    }
    text
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.trim_end().to_owned(),
    }
}

/// A path of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
