//! Allowed dependencies between crates, checked against `cargo metadata`.
//!
//! - Every crate outside `tests/` has a line in [`ALLOWED_DEPENDENCIES`] with the workspace crates that it may import.
//! - Normal and build dependencies count, on every platform and with every feature. Dev-dependencies are free.
//! - Crates under `tests/` may import anything.
//! - A few external crates have rules of their own: the MQTT client, candle, ndarray, and what the core may import.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Each crate and the workspace crates that it may import.
pub const ALLOWED_DEPENDENCIES: &[(&str, &[&str])] = &[
    ("tsm2-core", &[]),
    ("tsm2-bundle", &["tsm2-core"]),
    ("tsm2-blob", &["tsm2-core", "tsm2-bundle", "tsm2-stream"]),
    ("tsm2-stream", &["tsm2-core", "tsm2-bundle"]),
    ("tsm2-line-protocol", &[]),
    ("tsm2-data", &["tsm2-stream", "tsm2-line-protocol"]),
    ("tsm2-mqtt", &["tsm2-line-protocol"]),
    ("tsm2-onnx", &["tsm2-core", "tsm2-bundle", "tsm2-stream"]),
    (
        "tsm2-edge",
        &["tsm2-core", "tsm2-bundle", "tsm2-stream", "tsm2-mqtt", "tsm2-data", "tsm2-onnx"],
    ),
    ("tsm2-demo", &["tsm2-core", "tsm2-bundle", "tsm2-mqtt", "tsm2-edge", "tsm2-stream"]),
    (
        "tsm2-train",
        &["tsm2-core", "tsm2-bundle", "tsm2-blob", "tsm2-onnx", "tsm2-stream", "tsm2-data"],
    ),
    ("xtask", &["tsm2-edge"]),
    ("tsm2-lab", &["tsm2-core", "tsm2-bundle", "tsm2-stream", "tsm2-data", "tsm2-train"]),
];

/// All that the core may import: what compiles for a microcontroller without an allocator.
const CORE_IMPORTS: &[&str] = &["libm", "serde"];

/// The part of `cargo metadata --format-version 1` that the rules look at.
#[derive(Deserialize)]
pub struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    workspace_root: String,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    optional: bool,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

/// One sentence for every import that breaks a rule, naming the crate and the dependency; empty when all rules hold.
pub fn violations(metadata: &Metadata) -> Vec<String> {
    let members: Vec<&Package> = metadata
        .packages
        .iter()
        .filter(|package| metadata.workspace_members.contains(&package.id))
        .collect();
    let member_names: BTreeSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
    let graph = Graph::new(metadata);
    let mut found = Vec::new();
    for package in &members {
        check_mqtt_client(package, &mut found);
        if metadata.is_under(package, "tests") {
            continue;
        }
        check_workspace_imports(package, &member_names, &mut found);
        if package.name == "tsm2-core" {
            check_core(package, &mut found);
        }
        if metadata.is_under(package, "crates") {
            check_device_crate(package, &graph, &mut found);
        }
    }
    for (member, _) in ALLOWED_DEPENDENCIES.iter().filter(|(member, _)| !member_names.contains(member)) {
        found.push(format!("{member} has an import rule but is no member of the workspace"));
    }
    found
}

fn check_workspace_imports(package: &Package, member_names: &BTreeSet<&str>, found: &mut Vec<String>) {
    let name = &package.name;
    let Some((_, allowed)) = ALLOWED_DEPENDENCIES.iter().find(|(member, _)| member == name) else {
        found.push(format!("{name} is a member of the workspace without an import rule"));
        return;
    };
    for dependency in package
        .imports()
        .filter(|dependency| member_names.contains(dependency.name.as_str()))
    {
        if !allowed.contains(&dependency.name.as_str()) {
            found.push(format!(
                "{name} may not depend on {}; of the workspace it may import {allowed:?}",
                dependency.name
            ));
        }
    }
}

fn check_mqtt_client(package: &Package, found: &mut Vec<String>) {
    let is_client = |name: &str| name == "rumqttc" || name.starts_with("rumqttc-");
    for dependency in package
        .imports()
        .filter(|dependency| !["tsm2-mqtt", "tsm2-mqtt-testkit"].contains(&package.name.as_str()) && is_client(&dependency.name))
    {
        found.push(format!(
            "{} may not depend on {}; only tsm2-mqtt names the MQTT client",
            package.name, dependency.name
        ));
    }
}

fn check_core(package: &Package, found: &mut Vec<String>) {
    for dependency in package.imports() {
        if !CORE_IMPORTS.contains(&dependency.name.as_str()) {
            found.push(format!(
                "{} may not depend on {}; it may import {CORE_IMPORTS:?} only",
                package.name, dependency.name
            ));
        } else if dependency.name == "serde" && !dependency.optional {
            found.push(format!(
                "{} may depend on {} as an optional dependency only",
                package.name, dependency.name
            ));
        }
    }
}

fn check_device_crate(package: &Package, graph: &Graph, found: &mut Vec<String>) {
    if package.imports().any(|dependency| dependency.name == "ndarray") {
        found.push(format!(
            "{} may not depend on ndarray; between crates go slices and shapes",
            package.name
        ));
    }
    if let Some(path) = graph.path_to(&package.id, |name| name == "candle" || name.starts_with("candle-")) {
        let offender = path.last().copied().unwrap_or_default();
        found.push(format!(
            "{} may not reach {offender}, by {}; candle stays in training",
            package.name,
            path.join(" -> ")
        ));
    }
}

impl Metadata {
    fn is_under(&self, package: &Package, folder: &str) -> bool {
        let relative = package.manifest_path.strip_prefix(&self.workspace_root).unwrap_or_default();
        relative.trim_start_matches(['/', '\\']).split(['/', '\\']).next() == Some(folder)
    }
}

impl Package {
    /// Declared dependencies that end up in the crate itself or in its build script.
    fn imports(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies
            .iter()
            .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
    }
}

/// The resolved packages, joined by their normal and build dependencies.
struct Graph<'a> {
    names: BTreeMap<&'a str, &'a str>,
    edges: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Graph<'a> {
    fn new(metadata: &'a Metadata) -> Self {
        let follows = |edge: &&Edge| edge.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"));
        let targets = |node: &'a Node| node.deps.iter().filter(follows).map(|edge| edge.pkg.as_str()).collect();
        Self {
            names: metadata
                .packages
                .iter()
                .map(|package| (package.id.as_str(), package.name.as_str()))
                .collect(),
            edges: metadata
                .resolve
                .nodes
                .iter()
                .map(|node| (node.id.as_str(), targets(node)))
                .collect(),
        }
    }

    /// Names along a shortest way from the package `from` to one that `is_wanted` by name.
    fn path_to(&self, from: &'a str, is_wanted: impl Fn(&str) -> bool) -> Option<Vec<&'a str>> {
        let mut came_from = BTreeMap::from([(from, None)]);
        let mut queue = VecDeque::from([from]);
        while let Some(id) = queue.pop_front() {
            let name = self.names.get(id).copied().unwrap_or(id);
            if is_wanted(name) {
                let ids = std::iter::successors(Some(id), |step| came_from.get(step).copied().flatten());
                let mut path: Vec<&str> = ids.map(|step| self.names.get(step).copied().unwrap_or(step)).collect();
                path.reverse();
                return Some(path);
            }
            for next in self.edges.get(id).into_iter().flatten() {
                came_from.entry(*next).or_insert_with(|| {
                    queue.push_back(*next);
                    Some(id)
                });
            }
        }
        None
    }
}
