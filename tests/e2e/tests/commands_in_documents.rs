//! Every command of this workspace's programs that stands in a document exists, with each of its
//! options.

use std::collections::{BTreeMap, BTreeSet};

use tsm2_e2e::process::{programs, run_program};
use tsm2_e2e::tutorial::{blocks, pages};

/// A command and the page that has it.
struct Found {
    page: String,
    program: &'static str,
    arguments: Vec<String>,
}

/// The commands of a block, a continued line as one, without remarks.
fn lines(block: &str) -> Vec<String> {
    let (mut lines, mut before) = (Vec::new(), String::new());
    for line in block.lines() {
        let line = line.split(" #").next().unwrap_or_default();
        before += line.trim_end_matches('\\');
        if !line.ends_with('\\') {
            lines.push(std::mem::take(&mut before));
        }
    }
    lines
}

/// The program of a command and its arguments, if it is one of ours: by its name, or by `cargo run`.
fn program(command: &str) -> Option<(&'static str, Vec<String>)> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let (at, name) = if words.starts_with(&["cargo", "run"]) {
        if words.contains(&"--example") {
            return None;
        }
        let package = after(&words, "-p")?;
        let name = programs().find(|(_, of)| *of == package)?.0;
        (words.iter().position(|word| *word == "--").unwrap_or(words.len() - 1), name)
    } else {
        let is_before = |word: &&str| ["sudo", "timeout"].contains(word) || word.contains('=');
        let first = words.iter().position(|word| !is_before(word))?;
        let named = |word: &str| programs().find(|(name, _)| word.rsplit('/').next() == Some(name));
        // Of `timeout` the options come first.
        let at = match words[..first].contains(&"timeout") {
            true => words.iter().position(|word| named(word).is_some())?,
            false => first,
        };
        (at, named(words[at])?.0)
    };
    Some((name, words[at + 1..].iter().map(|&word| word.to_owned()).collect()))
}

fn after<'a>(words: &[&'a str], option: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| *word == option)?;
    words.get(at + 1).copied()
}

/// Help of a command by its words.
struct Help(BTreeMap<Vec<String>, String>);

impl Help {
    fn of(&mut self, words: &[String]) -> &str {
        self.0.entry(words.to_vec()).or_insert_with(|| {
            let mut arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            arguments.push("--help");
            let output = run_program(&words[0], &arguments);
            assert!(output.status.success(), "{words:?} --help: {output:?}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        })
    }
}

/// Whether a help has this word, on a line of its own part.
fn has_word(help: &str, word: &str) -> bool {
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    help.match_indices(word).any(|(at, _)| {
        let (before, rest) = (&help[..at], &help[at + word.len()..]);
        before.ends_with([' ', ',', '\n', '(', '`']) && (rest.is_empty() || rest.starts_with(is_end))
    })
}

fn has_command(help: &str, name: &str) -> bool {
    let commands = help.split("Commands:\n").nth(1).unwrap_or_default();
    let mut names = commands.lines().take_while(|line| line.starts_with("  "));
    names.any(|line| line.split_whitespace().next() == Some(name) && line.starts_with(&format!("  {name}")))
}

#[test]
fn commands_in_documents_exist_with_their_options() {
    let mut found = Vec::new();
    for (page, text) in pages() {
        for line in blocks(&text).iter().flat_map(|block| lines(block)) {
            for command in line.split(['|', ';']).flat_map(|part| part.split("&&")) {
                if let Some((program, arguments)) = program(command.trim()) {
                    let page = page.clone();
                    found.push(Found { page, program, arguments });
                }
            }
        }
    }
    let mut help = Help(BTreeMap::new());
    let (mut unknown, mut commands) = (BTreeSet::new(), BTreeSet::new());
    for Found { page, program, arguments } in &found {
        let mut words = vec![(*program).to_owned()];
        let mut rest = arguments.iter().peekable();
        while let Some(word) = rest.next_if(|word| has_command(help.of(&words), word)) {
            words.push(word.clone());
        }
        let text = help.of(&words).to_owned();
        if text.contains("Commands:\n") && rest.peek().is_some_and(|word| !word.starts_with('-')) {
            unknown.insert(format!("{}: {words:?} has no command {:?}", page, rest.peek()));
        }
        for word in rest.filter(|word| word.starts_with('-') && word.len() > 1) {
            let option = word.split('=').next().unwrap_or_default();
            let is_number = option[1..].starts_with(|c: char| c.is_ascii_digit());
            if !is_number && !has_word(&text, option) {
                unknown.insert(format!("{}: {words:?} has no option {option}", page));
            }
        }
        commands.insert(words);
    }
    assert!(found.len() > 60 && commands.len() > 20, "{} commands, {commands:?}", found.len());
    assert!(unknown.is_empty(), "{unknown:#?}");
}
