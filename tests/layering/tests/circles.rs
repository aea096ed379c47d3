//! No crate has an import circle between its files, and the check finds each kind of circle; every source file is part of a crate.

use std::path::{Path, PathBuf};

use tsm2_layering::{circles, tracked};

/// Source folders with a crate root each.
const ROOTS: &[&str] = &["crates", "training", "tests"];

#[test]
fn no_crate_has_an_import_circle() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    let mut seen = 0;
    for root in ROOTS {
        let folder = workspace.join(root);
        let crates = std::fs::read_dir(&folder)
            .expect("the folder is there")
            .map(|entry| entry.expect("a readable entry").path());
        for source in crates.chain([folder.clone()]) {
            for file in ["src/lib.rs", "src/main.rs"]
                .map(|file| source.join(file))
                .into_iter()
                .filter(|file| file.is_file())
            {
                seen += 1;
                for circle in circles(&file).expect("the sources are Rust") {
                    found.push(format!("{}: {}", source.display(), circle.join(", ")));
                }
            }
        }
    }
    assert!(seen > 8, "only {seen} crate roots found");
    assert!(found.is_empty(), "import circles:\n{}", found.join("\n"));
}

#[test]
fn every_source_file_is_part_of_its_crate() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = tracked(&workspace, ".rs");
    let mut left = Vec::new();
    for file in files.iter().filter(|file| file.iter().any(|part| part == "src")) {
        let (folder, name) = (
            file.parent().expect("a folder"),
            file.file_name().expect("a name").to_string_lossy(),
        );
        let of_folder = name == "mod.rs";
        let (folder, module) = match of_folder {
            true => (
                folder.parent().expect("a folder"),
                folder.file_name().expect("a name").to_string_lossy(),
            ),
            false => (folder, name.trim_end_matches(".rs").into()),
        };
        let is_root = !of_folder && (folder.ends_with("src") && ["main", "lib"].contains(&&*module) || folder.ends_with("bin"));
        let declarations = [format!("mod {module};"), format!("mod {module} {{"), format!("{name}\"]")];
        let declares = |parent: &&PathBuf| {
            let near = parent.parent() == Some(folder) || parent.with_extension("") == folder;
            let text = || std::fs::read_to_string(workspace.join(parent)).unwrap_or_default();
            near && declarations.iter().any(|declaration| text().contains(declaration))
        };
        if !is_root && !files.iter().any(|parent| declares(&parent)) {
            left.push(file.display().to_string());
        }
    }
    assert!(files.len() > 200, "only {} files found", files.len());
    assert!(left.is_empty(), "no module declares:\n{}", left.join("\n"));
}

/// The circles of a crate with these files.
fn circles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    circles(&folder.path().join("lib.rs")).unwrap()
}

#[test]
fn siblings_that_use_each_other_are_a_circle() {
    let found = circles_of(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "pub struct B; fn f(_: crate::c::C) {}"),
        ("c.rs", "use super::a::A; pub struct C;"),
    ]);
    assert_eq!(found, [["a.rs", "b.rs", "c.rs"]]);
}

#[test]
fn a_circle_through_a_re_export_is_found() {
    let found = circles_of(&[
        ("lib.rs", "mod store; mod log; pub use store::Store;"),
        ("store.rs", "use crate::log::Log; pub struct Store;"),
        ("log.rs", "use crate::Store; pub struct Log;"),
    ]);
    assert_eq!(found, [["log.rs", "store.rs"]]);
}

#[test]
fn a_circle_through_an_imported_module_is_found() {
    let found = circles_of(&[
        ("lib.rs", "mod store; mod log;"),
        ("store.rs", "use crate::log; pub struct Store(log::Log);"),
        ("log.rs", "use crate::store::*; pub struct Log;"),
    ]);
    assert_eq!(found, [["log.rs", "store.rs"]]);
}

#[test]
fn a_child_that_uses_what_its_parent_defines_while_the_parent_uses_it_is_a_circle() {
    let found = circles_of(&[
        ("lib.rs", "mod a;"),
        ("a.rs", "mod child; pub struct A(child::Child);"),
        ("a/child.rs", "pub struct Child; fn f(_: super::A) {}"),
    ]);
    assert_eq!(found, [["a/child.rs", "a.rs"]]);
}

#[test]
fn re_exports_and_test_modules_are_no_circle() {
    let found = circles_of(&[
        ("lib.rs", "mod a; pub use a::{A, Child};"),
        ("a/mod.rs", "mod child; mod other; pub use child::Child; pub use other::A;"),
        ("a/child.rs", "use super::A; pub struct Child; fn f(_: std::path::Path) {}"),
        (
            "a/other.rs",
            "pub struct A; #[cfg(test)] mod tests { use super::super::child::Child; }",
        ),
    ]);
    assert_eq!(found, Vec::<Vec<String>>::new());
}
