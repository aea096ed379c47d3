//! No text that a person reads uses a retired word of `docs/glossary.md`: documents, examples of configuration, documentation comments,
//! help texts and messages.

use std::path::Path;

use tsm2_layering::{retired_words, texts_of_rust, tracked};

const GLOSSARY: &str = "docs/glossary.md";

#[test]
fn no_text_uses_a_retired_word() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |file: &Path| std::fs::read_to_string(workspace.join(file)).unwrap_or_default();
    let words = retired_words(&read(Path::new(GLOSSARY)));
    assert!(words.len() > 20, "the glossary's table has {} words", words.len());
    let mut found = Vec::new();
    let mut check = |file: &Path, text: &str| {
        for word in words.iter().filter(|word| word.is_in(text)) {
            let line = text.lines().find(|line| word.is_in(line)).unwrap_or_default().trim();
            found.push(format!("{}: {:?} (use: {}) in {line:?}", file.display(), word.word, word.instead));
        }
    };
    for file in [tracked(&workspace, ".md"), tracked(&workspace, ".toml")].concat() {
        if file != Path::new(GLOSSARY) {
            check(&file, &read(&file));
        }
    }
    for file in tracked(&workspace, ".rs") {
        let is_source = file.iter().any(|part| part == "src") && !file.starts_with("tests");
        if is_source {
            for text in texts_of_rust(&read(&file)).unwrap_or_else(|error| panic!("{}: {error}", file.display())) {
                check(&file, &text);
            }
        }
    }
    assert!(found.is_empty(), "retired words:\n{}", found.join("\n"));
}
