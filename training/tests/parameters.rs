//! Every constant of the training has a line in `docs/reference/training-parameters.md`; values are not compared.

use std::fs;
use std::path::Path;

const PAGE: &str = "../docs/reference/training-parameters.md";

/// Names of the constants of a file that are numbers, and not texts or names of entries.
fn numbers(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a source file");
    let constant = |line: &str| {
        let rest = line.strip_prefix("const ").or_else(|| {
            line.strip_prefix("pub")
                .and_then(|rest| rest.split_once("const "))
                .map(|(_, rest)| rest)
        })?;
        let (name, kind) = rest.split_once(':')?;
        (!kind.trim_start().starts_with('&')).then(|| name.to_owned())
    };
    text.lines().filter_map(constant).collect()
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(numbers(&path));
        }
    }
}

#[test]
fn every_parameter_of_the_training_has_a_line_in_the_documentation() {
    let page = fs::read_to_string(PAGE).expect("the page");
    let mut names = Vec::new();
    for folder in ["src/linear", "src/train", "src/network"] {
        sources(Path::new(folder), &mut names);
    }
    assert!(names.len() > 40, "the constants are found: {names:?}");
    // Not a parameter: it follows from others.
    let absent: Vec<&String> = names
        .iter()
        .filter(|name| *name != "SETS" && !page.contains(&format!("`{name}`")))
        .collect();
    assert!(absent.is_empty(), "{PAGE} has no line for {absent:?}");
}
