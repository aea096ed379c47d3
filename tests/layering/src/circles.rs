//! Import circles between the source files of one crate.
//!
//! A file imports another when a path in it (`crate::`, `self::`, `super::` or a child module) names an item that the other file
//! defines. A re-export is followed to the file that defines the item, so a module that only re-exports its children takes part in no circle.
//! Test modules (`#[cfg(test)]`) and paths inside macro calls are not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// Why the source files of a crate cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file cannot be opened.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file is not Rust.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        source: syn::Error,
    },
    /// `mod name;` without its file.
    #[error("{}: no file for `mod {name};`", path.display())]
    NoFile {
        /// The file with the declaration.
        path: PathBuf,
        /// The module's name.
        name: String,
    },
}

/// The circles of the crate whose root file (`lib.rs` or `main.rs`) is `root`: each a sorted list of files, relative to the root's folder.
///
/// ```
/// let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
/// assert_eq!(tsm2_layering::circles(&source).unwrap(), Vec::<Vec<String>>::new());
/// ```
pub fn circles(root: &Path) -> Result<Vec<Vec<String>>, SourceError> {
    let folder = root.parent().unwrap_or(Path::new("."));
    let mut modules = Modules::default();
    modules.read(root, folder, Vec::new())?;
    let imports = modules.imports();
    let name = |file: &PathBuf| file.strip_prefix(folder).unwrap_or(file).display().to_string();
    Ok(strongly_connected(&imports)
        .into_iter()
        .map(|circle| circle.iter().map(name).collect())
        .collect())
}

type ModulePath = Vec<String>;

/// What one module, which is a file or a part of one, declares and names.
#[derive(Debug, Default)]
struct Module {
    file: PathBuf,
    /// Names bound by `use`, with the path that each stands for.
    bound: BTreeMap<String, ModulePath>,
    /// Paths named anywhere in the module, except in re-exports of children.
    named: Vec<ModulePath>,
}

#[derive(Debug, Default)]
struct Modules(BTreeMap<ModulePath, Module>);

impl Modules {
    /// Reads the file of the module `at`, whose child modules' files lie in `folder`.
    fn read(&mut self, file: &Path, folder: &Path, at: ModulePath) -> Result<(), SourceError> {
        let text = std::fs::read_to_string(file).map_err(|source| SourceError::Read {
            path: file.to_owned(),
            source,
        })?;
        let syntax = syn::parse_file(&text).map_err(|source| SourceError::Parse {
            path: file.to_owned(),
            source,
        })?;
        self.take(&syntax.items, file, folder, at)
    }

    fn take(&mut self, items: &[syn::Item], file: &Path, folder: &Path, at: ModulePath) -> Result<(), SourceError> {
        let mut paths = Paths::default();
        let mut module = Module {
            file: file.to_owned(),
            ..Module::default()
        };
        for item in items {
            match item {
                syn::Item::Mod(child) if is_test(&child.attrs) => {}
                syn::Item::Mod(child) => {
                    let name = child.ident.to_string();
                    let path: ModulePath = at.iter().cloned().chain([name.clone()]).collect();
                    match &child.content {
                        Some((_, items)) => self.take(items, file, &folder.join(&name), path)?,
                        None => {
                            let named = path_attribute(&child.attrs).map(|path| file.with_file_name(path));
                            let own = [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")];
                            let candidates = named.map_or(own.to_vec(), |path| vec![path]);
                            let Some(found) = candidates.iter().find(|candidate| candidate.is_file()) else {
                                return Err(SourceError::NoFile {
                                    path: file.to_owned(),
                                    name,
                                });
                            };
                            self.read(found, &folder.join(&name), path)?;
                        }
                    }
                }
                syn::Item::Use(import) => {
                    let mut leaves = Vec::new();
                    flatten(&import.tree, &mut Vec::new(), &mut leaves);
                    let is_re_export = !matches!(import.vis, syn::Visibility::Inherited);
                    for (path, name) in leaves {
                        if let Some(name) = name {
                            module.bound.insert(name, path.clone());
                        }
                        if !is_re_export {
                            module.named.push(path);
                        }
                    }
                }
                other => paths.visit_item(other),
            }
        }
        module.named.extend(paths.0);
        self.0.insert(at, module);
        Ok(())
    }

    /// Per file the other files that it imports from.
    fn imports(&self) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
        let mut imports: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
        for (at, module) in &self.0 {
            let found = imports.entry(module.file.clone()).or_default();
            for path in &module.named {
                if let Some(file) = self.resolve(at, path, 16)
                    && *file != module.file
                {
                    found.insert(file.clone());
                }
            }
        }
        imports
    }

    /// The file that defines what `path` means in the module `at`; `None` for other crates and for what is local.
    fn resolve(&self, at: &[String], path: &[String], depth: usize) -> Option<&PathBuf> {
        let (first, mut rest) = path.split_first()?;
        let mut module: ModulePath = match first.as_str() {
            "crate" => Vec::new(),
            "self" => at.to_vec(),
            "super" => at.split_last()?.1.to_vec(),
            child => {
                let child: ModulePath = at.iter().cloned().chain([child.to_owned()]).collect();
                if self.0.contains_key(&child) {
                    child
                } else {
                    let bound = self.0.get(at)?.bound.get(first).filter(|bound| depth > 0 && *bound != path)?;
                    let onward: ModulePath = bound.iter().chain(rest).cloned().collect();
                    return self.resolve(at, &onward, depth - 1);
                }
            }
        };
        while let Some((next, after)) = rest.split_first() {
            if next == "super" {
                module.pop()?;
            } else {
                module.push(next.clone());
                if !self.0.contains_key(&module) {
                    module.pop();
                    break;
                }
            }
            rest = after;
        }
        let found = self.0.get(&module)?;
        // A path to a module itself names no item; what is used of the module is another path.
        let (name, after) = rest.split_first()?;
        match found.bound.get(name) {
            Some(bound) if depth > 0 => {
                let onward: ModulePath = bound.iter().chain(after).cloned().collect();
                self.resolve(&module, &onward, depth - 1)
            }
            _ => Some(&found.file),
        }
    }
}

/// Every path in the items visited.
#[derive(Default)]
struct Paths(Vec<ModulePath>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        let mut leaves = Vec::new();
        flatten(&import.tree, &mut Vec::new(), &mut leaves);
        self.0.extend(leaves.into_iter().map(|(path, _)| path));
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_test(&function.attrs) {
            syn::visit::visit_item_fn(self, function);
        }
    }
}

/// The paths of a `use` tree, each with the name that it binds (`None` for a glob).
fn flatten(tree: &syn::UseTree, prefix: &mut ModulePath, leaves: &mut Vec<(ModulePath, Option<String>)>) {
    match tree {
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, leaves);
            prefix.pop();
        }
        syn::UseTree::Name(name) => {
            let name = name.ident.to_string();
            let bound = if name == "self" {
                prefix.last().cloned()
            } else {
                Some(name.clone())
            };
            let own = (name != "self").then_some(name);
            leaves.push((prefix.iter().cloned().chain(own).collect(), bound));
        }
        syn::UseTree::Rename(rename) => {
            let path = prefix.iter().cloned().chain([rename.ident.to_string()]).collect();
            leaves.push((path, Some(rename.rename.to_string())));
        }
        syn::UseTree::Glob(_) => leaves.push((prefix.iter().cloned().chain(["*".to_owned()]).collect(), None)),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, prefix, leaves)),
    }
}

/// The file of `#[path = ".."]`.
fn path_attribute(attributes: &[syn::Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if attribute.path().is_ident("path") => match &pair.value {
            syn::Expr::Lit(literal) => match &literal.lit {
                syn::Lit::Str(path) => Some(path.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    })
}

/// Whether the attributes hold `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
pub(crate) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                list.tokens
                    .to_string()
                    .split(|c: char| !c.is_alphanumeric())
                    .any(|word| word == "test")
            })
    })
}

/// Sets of more than one node from each of which every other can be reached, sorted.
fn strongly_connected(edges: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> Vec<Vec<PathBuf>> {
    let reached = |from: &PathBuf| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(node) = open.pop() {
            for next in edges.get(node).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&PathBuf, BTreeSet<PathBuf>> = edges.keys().map(|node| (node, reached(node))).collect();
    let mut circles = BTreeSet::new();
    for (&node, ahead) in &reached {
        if ahead.contains(node) {
            let circle: Vec<PathBuf> = ahead
                .iter()
                .filter(|other| reached.get(other).is_some_and(|back| back.contains(node)))
                .cloned()
                .collect();
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}
