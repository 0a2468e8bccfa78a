//! RECIPES.md as a reader would try it: each block in a shell, in a folder that has what it speaks of.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::MIB5;
use crate::support::bytes;
use crate::support::command::{Ran, run, s3chunk_at};
use crate::support::fault::{FaultServer, Op, Personality};

const RECIPES: &str = include_str!("../../RECIPES.md");

/// The blocks under a heading.
fn recipes(heading: &str) -> Vec<&'static str> {
    let section = RECIPES.split("\n## ").find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("there is no recipe {heading:?}"));
    section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

/// A folder with what the recipes speak of, and a server.
struct Kitchen {
    server: FaultServer,
    folder: TempDir,
}

impl Kitchen {
    fn new() -> Self {
        let buckets = vec!["backups".to_owned(), "artifacts".to_owned()];
        let server = FaultServer::start_with(Personality { buckets, ..Personality::default() });
        let kitchen = Kitchen { server, folder: tempfile::tempdir().unwrap() };
        for file in ["documents/a.txt", "dist/app.js", "dist/app.js.map", "site/index.html", "site/css/a.css"]
        {
            kitchen.write(file, file.as_bytes());
        }
        kitchen.write("disk.img", &bytes(3 * MIB5));
        kitchen.program("sleep", "exit 0");
        kitchen.program("pg_dump", "head -c 5000 /dev/zero");
        kitchen
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, file: &str, bytes: &[u8]) {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Puts a program of this name in the way of the system's.
    fn program(&self, name: &str, script: &str) {
        let file = format!("bin/{name}");
        self.write(&file, format!("#!/bin/sh\n{script}\n").as_bytes());
        fs::set_permissions(self.path().join(file), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn cook(&self, recipe: &str) -> Ran {
        self.cook_with(recipe, &[])
    }

    fn cook_with(&self, recipe: &str, variables: &[(&str, &str)]) -> Ran {
        let s3chunk = Path::new(env!("CARGO_BIN_EXE_s3chunk")).parent().unwrap();
        let path = format!("{}:{}:/usr/bin:/bin", self.path().join("bin").display(), s3chunk.display());
        let mut shell = Command::new("bash");
        shell.args(["-euc", recipe]).current_dir(self.path()).env_clear().env("PATH", path);
        for (name, value) in s3chunk_at(&self.server).get_envs() {
            value.map(|value| shell.env(name, value));
        }
        shell.env("GITHUB_SHA", "0123abc").env("S3CHUNK_CHUNK_SIZE", "5MiB");
        run(shell.envs(variables.iter().copied()))
    }

    fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.server.object(key).map(|object| object.bytes.unwrap().to_vec())
    }
}

#[test]
fn back_up_a_folder() {
    for recipe in recipes("Back up a folder") {
        let kitchen = Kitchen::new();
        kitchen.cook(recipe).exits(0);
        let archive = kitchen.object("documents.tar.gz").unwrap();
        assert_eq!(archive[..2], [0x1f, 0x8b], "it is no gzip");
    }
    let kitchen = Kitchen::new();
    fs::remove_dir_all(kitchen.path().join("documents")).unwrap();
    kitchen.cook(recipes("Back up a folder")[1]).exits(3).says("tar failed");
    assert_eq!(kitchen.object("documents.tar.gz"), None);
}

#[test]
fn back_up_a_database() {
    let [recipe] = recipes("Back up a database")[..] else { panic!("one block") };
    let kitchen = Kitchen::new();
    kitchen.cook(recipe).exits(0);
    let keys: Vec<_> =
        kitchen.server.requests_of(Op::PutObject).iter().map(|put| put.key.clone().unwrap()).collect();
    assert!(keys.len() == 1 && keys[0].starts_with("shop-20"), "{keys:?}");
    kitchen.program("pg_dump", "echo nothing");
    kitchen.cook(recipe).exits(3).says("at least 1024");
    kitchen.program("pg_dump", "head -c 5000 /dev/zero; exit 1");
    kitchen.cook(recipe).exits(3).says("pg_dump failed: exit status: 1");
    assert_eq!(kitchen.server.count(Op::PutObject), 1);
}

#[test]
fn publish_what_a_ci_job_has_built() {
    let [publish, changed] = recipes("Publish what a CI job has built")[..] else { panic!("two blocks") };
    let kitchen = Kitchen::new();
    kitchen.cook(publish).exits(0);
    assert_eq!(kitchen.object("app/1.4.2/app.js").unwrap(), b"dist/app.js");
    assert_eq!(kitchen.object("app/1.4.2/app.js.map"), None);
    kitchen.cook(publish).exits(7);

    kitchen.cook(changed).exits(0);
    kitchen.write("site/index.html", b"new");
    kitchen.cook(changed).exits(0);
    let receipts = fs::read_to_string(kitchen.path().join("receipts.jsonl")).unwrap();
    let statuses = ["unchanged", "uploaded"].map(|status| receipts.matches(&format!("\"{status}\"")).count());
    assert_eq!(statuses, [1, 1], "{receipts}");
    assert_eq!(kitchen.object("site/index.html").unwrap(), b"new");
}

#[test]
fn publish_only_what_was_signed_off() {
    let [recipe] = recipes("Publish only what was signed off")[..] else { panic!("one block") };
    let kitchen = Kitchen::new();
    kitchen.write("app.tar.gz", b"app");
    let sum = s3chunk::checksum::hex(&s3chunk::checksum::sha256(b"app"));
    kitchen.write("app.tar.gz.sha256", format!("{sum}  app.tar.gz\n").as_bytes());
    kitchen.cook(recipe).exits(0);
    kitchen.write("app.tar.gz", b"another app");
    kitchen.cook(recipe).exits(6);
    assert_eq!(kitchen.object("app.tar.gz").unwrap(), b"app");
}

#[test]
fn go_on_after_a_crash() {
    let [recipe] = recipes("Go on after a crash")[..] else { panic!("one block") };
    let kitchen = Kitchen::new();
    kitchen.server.on(Op::UploadPart).part(3).first(2).answer(503, "ServiceUnavailable");
    let once = [("S3CHUNK_MAX_ATTEMPTS", "1"), ("S3CHUNK_CONCURRENCY", "1")];
    kitchen.cook_with(recipe, &once).exits(0).says("2 parts, 10.0 MiB, are there");
    assert_eq!(kitchen.object("disk.img").unwrap(), bytes(3 * MIB5));
    assert_eq!(kitchen.server.count(Op::Create), 1);
    let kitchen = Kitchen::new();
    kitchen.server.on(Op::UploadPart).answer(403, "AccessDenied");
    kitchen.cook(recipe).exits(1);
}

#[test]
fn look_after_what_others_left() {
    let [clean, lifecycle] = recipes("Look after what others left")[..] else { panic!("two blocks") };
    let kitchen = Kitchen::new();
    kitchen.cook(clean).exits(0);
    kitchen.program("aws", "cp \"${6#file://}\" seen.json");
    kitchen.cook(lifecycle).exits(0);
    let rules = fs::read_to_string(kitchen.path().join("seen.json")).unwrap();
    let rules: serde_json::Value = serde_json::from_str(&rules).unwrap();
    assert_eq!(rules["Rules"][0]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"], 7);
}

#[test]
fn check_a_backup_without_downloading_it() {
    let [recipe] = recipes("Check a backup without downloading it")[..] else { panic!("one block") };
    let kitchen = Kitchen::new();
    kitchen.cook(recipe).exits(0);
    assert!(!kitchen.path().join("disk.img").exists());
}

#[test]
fn other_stores() {
    let [recipe] = recipes("Other stores")[..] else { panic!("one block") };
    let kitchen = Kitchen::new();
    let ran = kitchen.cook_with(recipe, &[("S3CHUNK_DRY_RUN", "1")]).exits(0);
    assert_eq!(ran.stdout.matches("would upload disk.img to s3://backups/disk.img").count(), 5, "{ran}");
}
