//! House rules that no compiler knows: licences, which crate may use which, headers, names, sizes. Reads the sources and
//! `cargo metadata`; starts nothing else.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::process::run;
use tests::programs::root;

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let finished = run(Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", &platform])
        .current_dir(root()))
    .success();
    serde_json::from_str(&finished.stdout).expect("cargo metadata is JSON")
}

/// Names and direct dependencies (normal, build and dev) of the workspace's packages.
fn packages(metadata: &Value) -> BTreeMap<String, (PathBuf, Vec<Dependency>)> {
    let members: Vec<_> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let all = metadata["packages"].as_array().unwrap();
    let ours = all
        .iter()
        .filter(|package| members.contains(&&package["id"]));
    ours.map(|package| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let dependencies = package["dependencies"].as_array().unwrap();
        let dependencies = dependencies
            .iter()
            .map(|d| Dependency {
                name: text(&d["name"]),
                dev: d["kind"] == "dev",
            })
            .collect();
        let folder = Path::new(package["manifest_path"].as_str().unwrap())
            .parent()
            .unwrap();
        (text(&package["name"]), (folder.to_owned(), dependencies))
    })
    .collect()
}

#[derive(Debug)]
struct Dependency {
    name: String,
    dev: bool,
}

/// Whether an SPDX expression can be satisfied by permissive licences alone.
fn permissive(expression: &str) -> bool {
    const ALLOWED: [&str; 14] = [
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CDLA-Permissive-2.0",
        "ISC",
        "MIT",
        "MIT-0",
        "Unicode-3.0",
        "Unicode-DFS-2016",
        "Unlicense",
        "Zlib",
    ];
    // An exception only gives further rights; `/` is how old manifests say OR.
    let words = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = words.split_whitespace().collect();
    fn either(words: &[&str], at: &mut usize) -> bool {
        let mut holds = both(words, at);
        while words.get(*at) == Some(&"OR") {
            *at += 1;
            holds |= both(words, at);
        }
        holds
    }
    fn both(words: &[&str], at: &mut usize) -> bool {
        let mut holds = one(words, at);
        while words.get(*at) == Some(&"AND") {
            *at += 1;
            holds &= one(words, at);
        }
        holds
    }
    fn one(words: &[&str], at: &mut usize) -> bool {
        let word = words.get(*at).copied().unwrap_or("");
        *at += 1;
        if word == "(" {
            let holds = either(words, at);
            *at += 1;
            return holds;
        }
        if words.get(*at) == Some(&"WITH") {
            *at += 2;
        }
        ALLOWED.contains(&word)
    }
    let mut at = 0;
    either(&words, &mut at) && at == words.len()
}

#[test]
fn licence_expressions_are_understood() {
    for good in [
        "MIT",
        "MIT OR Apache-2.0",
        "MIT/Apache-2.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
        "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
        "GPL-3.0 OR (ISC AND (MIT OR AGPL-3.0))",
    ] {
        assert!(permissive(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "AGPL-3.0-only",
        "MPL-2.0",
        "MIT AND GPL-2.0",
        "MIT AND",
        "Frobnicate-1.0",
    ] {
        assert!(!permissive(bad), "{bad}");
    }
}

#[test]
fn every_dependency_has_a_permissive_licence() {
    let metadata = metadata();
    let all = metadata["packages"].as_array().unwrap();
    let bad: Vec<_> = all
        .iter()
        .filter(|package| !permissive(package["license"].as_str().unwrap_or_default()))
        .map(|package| {
            format!(
                "{} {}: {}",
                package["name"], package["version"], package["license"]
            )
        })
        .collect();
    assert!(
        bad.is_empty(),
        "not permissive, or unknown:\n{}",
        bad.join("\n")
    );
}

/// Which of our crates each may use; the arrows of ARCHITECTURE.md.
const ARROWS: [(&str, &[&str]); 10] = [
    ("load", &["metainfo"]),
    ("media", &[]),
    ("metainfo", &[]),
    ("store", &["metainfo"]),
    ("wire", &["metainfo"]),
    ("swarm", &["metainfo", "wire"]),
    ("seeder", &["metainfo", "store", "swarm", "wire"]),
    ("publisher", &["media", "metainfo", "seeder", "store"]),
    ("tests", &["media", "metainfo", "swarm", "wire"]),
    (
        "fuzz",
        &[
            "media",
            "metainfo",
            "publisher",
            "seeder",
            "store",
            "swarm",
            "wire",
        ],
    ),
];

#[test]
fn crates_use_each_other_along_the_arrows_only() {
    let arrows: BTreeMap<_, _> = ARROWS.into_iter().collect();
    let packages = packages(&metadata());
    let names: BTreeSet<_> = packages.keys().cloned().collect();
    for (package, (_, dependencies)) in &packages {
        let allowed = arrows.get(package.as_str()).unwrap_or_else(|| {
            panic!("{package} is a new crate: give it its arrows here and in ARCHITECTURE.md")
        });
        for dependency in dependencies.iter().filter(|d| names.contains(&d.name)) {
            assert!(
                allowed.contains(&dependency.name.as_str()),
                "{package} must not use {}",
                dependency.name
            );
        }
    }
}

const PURE: [&str; 4] = ["media", "metainfo", "wire", "swarm"];

#[test]
fn pure_crates_are_guarded() {
    let packages = packages(&metadata());
    for pure in PURE {
        let (folder, dependencies) = &packages[pure];
        let path = folder.join("clippy.toml");
        let guard =
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for method in [
            "std::time::Instant::now",
            "std::time::SystemTime::now",
            "std::fs::File",
            "std::net::TcpStream",
        ] {
            assert!(
                guard.contains(method),
                "{} must disallow {method}",
                path.display()
            );
        }
        let worldly = [
            "tokio",
            "hyper",
            "axum",
            "socket2",
            "rustix",
            "notify",
            "tempfile",
            "walkdir",
            "tracing-subscriber",
        ];
        for dependency in dependencies.iter().filter(|d| !d.dev) {
            assert!(
                !worldly.contains(&dependency.name.as_str()),
                "{pure} is pure and uses {dependency:?}"
            );
        }
    }
}

#[test]
fn publisher_meets_the_seeder_in_up_alone() {
    for file in sources(&["rs"]) {
        let Ok(below) = file.strip_prefix(root().join("publisher/src")) else {
            continue;
        };
        let name = below.to_string_lossy();
        let text = std::fs::read_to_string(&file).unwrap();
        let uses = text
            .lines()
            .any(|line| !line.trim_start().starts_with("//") && line.contains("seeder::"));
        assert!(
            !uses || name == "up.rs" || name.starts_with("up/"),
            "publisher/src/{name} uses the seeder"
        );
    }
}

/// Our own files with one of these extensions.
fn sources(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                let not_ours = ["target", "node_modules", "corpus", "artifacts"];
                if !name.starts_with('.') && !not_ours.contains(&name.as_str()) {
                    waiting.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|e| extensions.iter().any(|x| e == *x))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[track_caller]
fn none(offenders: Vec<String>) {
    assert!(offenders.is_empty(), "\n{}", offenders.join("\n"));
}

/// Path below the root, for messages.
fn below(file: &Path) -> String {
    let below = file.strip_prefix(root()).expect("found below the root");
    below.display().to_string()
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let mut offenders = Vec::new();
    for (extension, marks) in [
        ("rs", &["//!"][..]),
        ("js", &["//", "/*"]),
        ("mjs", &["//"]),
    ] {
        for file in sources(&[extension]) {
            let text = std::fs::read_to_string(&file).unwrap();
            // A JavaScript test is named after what it tests.
            let is_js_test = below(&file).ends_with(".test.js");
            if !is_js_test && !marks.iter().any(|mark| text.starts_with(mark)) {
                offenders.push(format!("{} has no header ({} …)", below(&file), marks[0]));
            }
        }
    }
    none(offenders);
}

#[test]
fn no_file_is_nobodys() {
    let nobodys = [
        "util", "utils", "common", "manager", "helper", "helpers", "misc", "stuff",
    ];
    let mut offenders = Vec::new();
    for file in sources(&["rs", "js", "mjs", "py"]) {
        let path = below(&file).to_lowercase();
        let path = path
            .rsplit_once('.')
            .map_or(path.as_str(), |(stem, _)| stem);
        if path.split('/').any(|part| nobodys.contains(&part)) {
            offenders.push(format!("{path}: name it by what it is for"));
        }
    }
    none(offenders);
}

#[test]
fn no_source_file_is_too_long() {
    let mut offenders = Vec::new();
    for file in sources(&["rs", "js", "mjs", "py", "css", "html"]) {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        if lines > 600 {
            offenders.push(format!(
                "{} has {lines} lines: split it by concern",
                below(&file)
            ));
        } else if lines > 450 {
            eprintln!("{} has {lines} lines", below(&file));
        }
    }
    none(offenders);
}

#[test]
fn nothing_points_at_one_persons_machine() {
    let places = [
        concat!("/wo", "rk/"),
        concat!("/home", "/"),
        concat!("/tmp/te", "am"),
    ];
    let mut offenders = Vec::new();
    for file in sources(&[
        "rs", "js", "mjs", "py", "md", "toml", "json", "sh", "html", "css",
    ]) {
        let text = std::fs::read_to_string(&file).unwrap();
        for place in places.iter().filter(|place| text.contains(**place)) {
            offenders.push(format!("{} names {place}", below(&file)));
        }
    }
    none(offenders);
}

#[test]
fn npm_locks_name_no_registry() {
    let mut locks = sources(&["json"]);
    locks.retain(|file| file.ends_with("package-lock.json"));
    assert!(!locks.is_empty(), "the browser's tests have a lock file");
    for lock in locks {
        let text = std::fs::read_to_string(&lock).unwrap();
        // A package of our own beside the lock is "resolved" to its folder.
        assert!(
            !text.contains("\"resolved\": \"http"),
            "{}: write it with `npm install --omit-lockfile-registry-resolved`",
            lock.display()
        );
    }
}
