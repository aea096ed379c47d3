//! Documents: relative links lead to files, and lines are short.

use std::path::{Path, PathBuf};

use tsm2_layering::tracked;

/// The longest line of a paragraph or list, in characters.
const LONGEST: usize = 100;

fn documents() -> Vec<(PathBuf, String)> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = tracked(&workspace, ".md")
        .into_iter()
        .map(|name| workspace.join(name))
        .filter(|file| file.is_file());
    files
        .map(|file| {
            let text = std::fs::read_to_string(&file).expect("a document is UTF-8");
            (file, text)
        })
        .collect()
}

/// The lines outside blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

#[test]
fn relative_links_lead_to_files() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for (file, text) in documents() {
        let folder = file.parent().expect("a folder");
        for link in prose(&text)
            .flat_map(|line| line.split("](").skip(1))
            .filter_map(|rest| rest.split(')').next())
        {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            if !folder.join(path).exists() {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(seen > 20, "only {seen} links found");
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn contributing_lists_the_steps_of_the_gate() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |file: &str| std::fs::read_to_string(workspace.join(file)).expect("a file");
    let gate = read(".ci/run");
    let steps: Vec<&str> = gate
        .lines()
        .filter_map(|line| line.strip_prefix("step \"")?.split('"').next())
        .collect();
    let listed = format!("Its steps: {}. ", steps.join("; "));
    let page = read("CONTRIBUTING.md").replace('\n', " ");
    assert!(steps.len() > 10 && page.contains(&listed), "CONTRIBUTING.md does not say: {listed}");
}

#[test]
fn lines_are_short() {
    let mut long = Vec::new();
    for (file, text) in documents() {
        for line in prose(&text) {
            // Tables cannot be wrapped, nor can a long address.
            let is_exempt = line.trim_start().starts_with('|') || line.starts_with("<!--") || line.contains("://");
            if line.chars().count() > LONGEST && !is_exempt {
                long.push(format!("{}: {line}", file.display()));
            }
        }
    }
    assert!(
        long.is_empty(),
        "{} lines have more than {LONGEST} characters:\n{}",
        long.len(),
        long.join("\n")
    );
}
