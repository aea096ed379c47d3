//! Retired words: the table in `docs/glossary.md`, and where a text still uses one.

use syn::visit::Visit;

/// A word or phrase that is no longer used, and the one to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetiredWord {
    /// Lower case.
    pub word: String,
    /// What the glossary's second column says.
    pub instead: String,
}

impl RetiredWord {
    /// Whether `text` has the word: whole words only, any case.
    ///
    /// ```
    /// let glossary = "## Retired words\n\n| retired | use |\n|---|---|\n| shelf, cupboard | state store |\n";
    /// let words = tsm2_layering::retired_words(glossary);
    /// assert!(words[0].is_in("on the Shelf."));
    /// assert!(!words[0].is_in("shelfware"));
    /// assert_eq!(words[1].word, "cupboard");
    /// ```
    pub fn is_in(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        text.match_indices(&self.word)
            .any(|(at, word)| !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next()))
    }
}

/// The words of the table under the heading `## Retired words`: its first column holds them, separated by commas.
pub fn retired_words(glossary: &str) -> Vec<RetiredWord> {
    let section = glossary.split("## Retired words").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.filter_map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', ""));
        Some((cells.next()?, cells.next()?))
    })
    .flat_map(|(words, instead)| {
        let words: Vec<String> = words.split(',').map(|word| word.trim().to_lowercase()).collect();
        words.into_iter().map(move |word| RetiredWord {
            word,
            instead: instead.clone(),
        })
    })
    .collect()
}

/// What a person may read of a Rust source: its documentation comments and string literals, test modules left out.
pub fn texts_of_rust(source: &str) -> Result<Vec<String>, syn::Error> {
    let mut texts = Texts::default();
    texts.visit_file(&syn::parse_file(source)?);
    Ok(texts.0)
}

#[derive(Default)]
struct Texts(Vec<String>);

impl<'ast> Visit<'ast> for Texts {
    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.0.push(literal.value());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::NameValue(pair) = &attribute.meta
            && attribute.path().is_ident("doc")
        {
            self.visit_expr(&pair.value);
        }
        // clap's attributes are tokens to the parser.
        if let syn::Meta::List(list) = &attribute.meta {
            self.strings_in(list.tokens.clone());
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.strings_in(call.tokens.clone());
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !crate::circles::is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }
}

impl Texts {
    fn strings_in(&mut self, tokens: proc_macro2::TokenStream) {
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Group(group) => self.strings_in(group.stream()),
                proc_macro2::TokenTree::Literal(literal) => {
                    if let Ok(syn::Lit::Str(text)) = syn::parse_str(&literal.to_string()) {
                        self.0.push(text.value());
                    }
                }
                _ => {}
            }
        }
    }
}
