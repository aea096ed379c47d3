//! The workspace as it stands keeps the import rules, and the check finds every way to break one.

use serde_json::{Value, json};
use std::process::Command;
use tsm2_layering::{ALLOWED_DEPENDENCIES, Metadata, violations};

#[test]
fn the_workspace_keeps_the_import_rules() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--all-features", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Metadata = serde_json::from_slice(&output.stdout).expect("cargo metadata prints the format asked for");
    let found = violations(&metadata);
    assert!(found.is_empty(), "import rules broken:\n{}", found.join("\n"));
}

#[test]
fn daemon_and_trainer_have_tract_only_with_the_feature_onnx() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = |package: &str, features: &[&str]| {
        let arguments = [
            "tree",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--locked",
        ];
        let output = Command::new(&cargo).args(arguments).args(features).output().expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for package in ["tsm2-edge", "tsm2-train"] {
        let default = tree(package, &[]);
        assert!(!default.contains("tract"), "{default}");
        assert!(tree(package, &["--features", "onnx"]).contains("tract-onnx"));
    }
}

#[test]
fn a_valid_workspace_has_no_violations() {
    assert_eq!(found_in(&Workspace::valid()), Vec::<String>::new());
}

#[test]
fn an_import_against_the_direction_is_found() {
    let workspace = Workspace::valid().import("tsm2-stream", "tsm2-mqtt", None);
    assert_only(&workspace, &["tsm2-stream", "tsm2-mqtt"]);
    let workspace = Workspace::valid().import("tsm2-bundle", "tsm2-stream", Some("build"));
    assert_only(&workspace, &["tsm2-bundle", "tsm2-stream"]);
}

#[test]
fn dev_dependencies_and_the_crates_under_tests_are_free() {
    let workspace = Workspace::valid()
        .member("tests", "tsm2-e2e")
        .import("tsm2-e2e", "tsm2-edge", None)
        .import("tsm2-e2e", "tsm2-train", None)
        .import("tsm2-core", "tsm2-bundle", Some("dev"))
        .import("tsm2-stream", "rumqttc", Some("dev"))
        .import("tsm2-stream", "candle-core", Some("dev"))
        .import("tsm2-stream", "ndarray", Some("dev"));
    assert_eq!(found_in(&workspace), Vec::<String>::new());
}

#[test]
fn the_mqtt_client_belongs_to_one_crate() {
    let workspace = Workspace::valid().import("tsm2-edge", "rumqttc", None);
    assert_only(&workspace, &["tsm2-edge", "rumqttc"]);
    let workspace = Workspace::valid().import("tsm2-train", "rumqttc-v4-next", None);
    assert_only(&workspace, &["tsm2-train", "rumqttc-v4-next"]);
    assert_eq!(
        found_in(&Workspace::valid().import("tsm2-mqtt", "rumqttc-v4-next", None)),
        Vec::<String>::new()
    );
}

#[test]
fn the_core_imports_libm_and_optional_serde_only() {
    let workspace = Workspace::valid().import("tsm2-core", "heapless", None);
    assert_only(&workspace, &["tsm2-core", "heapless"]);
    let workspace = Workspace::valid().import("tsm2-core", "serde", None);
    assert_only(&workspace, &["tsm2-core", "serde", "optional"]);
}

#[test]
fn candle_is_found_at_any_distance_from_a_device_crate() {
    let workspace = Workspace::valid()
        .import("tsm2-edge", "quick-net", None)
        .import("quick-net", "candle-nn", None);
    assert_only(&workspace, &["tsm2-edge", "tsm2-edge -> quick-net -> candle-nn"]);
}

#[test]
fn ndarray_is_no_direct_dependency_of_a_device_crate() {
    assert_only(
        &Workspace::valid().import("tsm2-bundle", "ndarray", None),
        &["tsm2-bundle", "ndarray"],
    );
    let behind_another = Workspace::valid()
        .import("tsm2-edge", "statistics", None)
        .import("statistics", "ndarray", None);
    assert_eq!(found_in(&behind_another), Vec::<String>::new());
}

#[test]
fn rules_and_members_are_the_same_set() {
    assert_only(
        &Workspace::valid().member("crates", "tsm2-cellar"),
        &["tsm2-cellar", "without an import rule"],
    );
    let mut workspace = Workspace::valid();
    workspace.members.retain(|(_, name)| *name != "tsm2-mqtt");
    assert_only(&workspace, &["tsm2-mqtt", "no member"]);
}

/// A workspace as data, from which `cargo metadata`'s JSON is made.
struct Workspace {
    members: Vec<(&'static str, &'static str)>,
    imports: Vec<(&'static str, &'static str, Option<&'static str>)>,
}

impl Workspace {
    fn valid() -> Self {
        let folder = |name| {
            if matches!(name, "tsm2-train" | "tsm2-lab") {
                "training"
            } else {
                "crates"
            }
        };
        let workspace = Self {
            members: ALLOWED_DEPENDENCIES.iter().map(|(name, _)| (folder(*name), *name)).collect(),
            imports: Vec::new(),
        };
        workspace
            .import("tsm2-core", "libm", None)
            .import("tsm2-train", "candle-core", None)
            .import("tsm2-train", "ndarray", None)
    }

    fn member(mut self, folder: &'static str, name: &'static str) -> Self {
        self.members.push((folder, name));
        self
    }

    fn import(mut self, from: &'static str, to: &'static str, kind: Option<&'static str>) -> Self {
        self.imports.push((from, to, kind));
        self
    }

    /// Member or not, every package named anywhere.
    fn names(&self) -> std::collections::BTreeSet<&'static str> {
        self.imports
            .iter()
            .flat_map(|(from, to, _)| [*from, *to])
            .chain(self.members.iter().map(|(_, name)| *name))
            .collect()
    }

    fn metadata(&self) -> Value {
        let imports_of = |name: &str| self.imports.iter().filter(|(from, ..)| *from == name).collect::<Vec<_>>();
        let folder_of = |name: &str| {
            self.members
                .iter()
                .find(|(_, member)| *member == name)
                .map_or("elsewhere", |(folder, _)| folder)
        };
        let package = |name: &str| {
            let dependencies: Vec<Value> = imports_of(name)
                .iter()
                .map(|(_, to, kind)| json!({"name": to, "kind": kind, "optional": false}))
                .collect();
            let manifest = format!("/workspace/{}/{name}/Cargo.toml", folder_of(name));
            json!({"id": name, "name": name, "manifest_path": manifest, "dependencies": dependencies})
        };
        let node = |name: &str| {
            let deps: Vec<Value> = imports_of(name)
                .iter()
                .map(|(_, to, kind)| json!({"pkg": to, "dep_kinds": [{"kind": kind}]}))
                .collect();
            json!({"id": name, "deps": deps})
        };
        json!({
            "packages": self.names().into_iter().map(package).collect::<Vec<_>>(),
            "workspace_members": self.members.iter().map(|(_, name)| name).collect::<Vec<_>>(),
            "workspace_root": "/workspace",
            "resolve": {"nodes": self.names().into_iter().map(node).collect::<Vec<_>>()},
        })
    }
}

fn found_in(workspace: &Workspace) -> Vec<String> {
    violations(&serde_json::from_value(workspace.metadata()).expect("synthetic metadata is well formed"))
}

/// Exactly one violation, and its sentence holds every one of `parts`.
fn assert_only(workspace: &Workspace, parts: &[&str]) {
    let found = found_in(workspace);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(parts.iter().all(|part| found[0].contains(part)), "{found:?} lacks one of {parts:?}");
}
