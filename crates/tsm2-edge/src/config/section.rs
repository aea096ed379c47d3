//! One definition per key: its type, default and meaning.
//!
//! [`section!`] makes the struct that serde reads, its defaults, and the [`Section`] from which the
//! reference documentation is generated.

/// One section of the configuration, for the reference documentation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Section {
    /// Its path, for example `broker.tls`.
    pub path: &'static str,
    /// What the section is for.
    pub about: String,
    /// Its keys.
    pub keys: Vec<Key>,
    /// An example in TOML that sets each key.
    pub example: &'static str,
}

/// One key.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Key {
    /// Its name within the section.
    pub name: &'static str,
    /// Its default, as Markdown.
    pub default: String,
    /// Its meaning.
    pub meaning: String,
}

/// Joins the lines of a doc comment.
pub(super) fn joined(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

/// A default as Markdown: as it would be written in the file, or in words.
pub(super) fn default_text(default: &dyn std::fmt::Debug, words: Option<&str>) -> String {
    match (words, format!("{default:?}").as_str()) {
        (Some(words), _) => words.to_owned(),
        (None, "None") => "none".to_owned(),
        (None, value) => format!("`{value}`"),
    }
}

macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident in $path:literal {
            $( $(#[doc = $meaning:literal])+ $key:ident : $type:ty = $default:expr $(=> $words:literal)? ; )+
        }
        example: $example:literal
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[non_exhaustive]
        pub struct $name {
            $( $(#[doc = $meaning])+ pub $key: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $( $key: $default, )+ }
            }
        }

        impl $name {
            /// This section for the reference documentation.
            pub(super) fn section() -> $crate::config::section::Section {
                use $crate::config::section::{Key, Section, default_text, joined};
                let default = $name::default();
                Section {
                    path: $path,
                    about: joined(&[$($about),+]),
                    keys: vec![$( Key {
                        name: stringify!($key).trim_start_matches("r#"),
                        default: default_text(&default.$key, [$($words)?].first().copied()),
                        meaning: joined(&[$($meaning),+]),
                    } ),+],
                    example: $example,
                }
            }
        }
    };
}
pub(super) use section;
