//! Which files are uploaded, and where to: the sources of the command line, and what lies in folders.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use walkdir::{DirEntry, WalkDir};

use super::progress::Screen;
use super::report::Usage;
use crate::Target;
use crate::source::SourceError;

/// Files that are found ahead of those that are uploaded.
const AHEAD: usize = 1024;

/// A rule of `--include` or `--exclude`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    glob: Gitignore,
    takes: bool,
}

impl Rule {
    /// Returns the rule that takes what matches.
    ///
    /// # Errors
    /// Says what is wrong with the glob.
    pub(super) fn include(glob: &str) -> Result<Self, String> {
        Rule::new(glob, true)
    }

    /// Returns the rule that leaves out what matches.
    ///
    /// # Errors
    /// Says what is wrong with the glob.
    pub(super) fn exclude(glob: &str) -> Result<Self, String> {
        Rule::new(glob, false)
    }

    fn new(glob: &str, takes: bool) -> Result<Self, String> {
        if glob.starts_with('!') {
            return Err(
                "a glob that begins with ! says the contrary; use the other of --include and --exclude"
                    .to_owned(),
            );
        }
        let mut builder = GitignoreBuilder::new("");
        builder.add_line(None, glob).map_err(|e| e.to_string())?;
        let glob = builder.build().map_err(|e| e.to_string())?;
        match glob.is_empty() {
            true => Err("it matches nothing".to_owned()),
            false => Ok(Rule { glob, takes }),
        }
    }

    fn matches(&self, path: &Path, folder: bool) -> bool {
        !self.glob.matched_path_or_any_parents(path, folder).is_none()
    }
}

/// Whether a file, or a folder that can't be looked into, is taken, by its path relative to where was begun:
/// the last rule that matches decides.
fn taken(rules: &[Rule], path: &Path, folder: bool) -> bool {
    rules.iter().rev().find(|rule| rule.matches(path, folder)).is_none_or(|rule| rule.takes)
}

/// What was found.
pub(super) enum Found {
    /// A file, and the object that it becomes.
    File(PathBuf, Target),
    /// What can't be uploaded, though it should be.
    Failed(PathBuf, anyhow::Error),
    /// What is no file and no folder.
    Special(PathBuf),
}

/// Looks for the files of `sources`, in the order of their names, while they are taken out of what is returned.
///
/// # Errors
/// When two sources would become the same object.
pub(super) fn find(
    sources: &[OsString],
    target: &Target,
    recursive: bool,
    rules: &[Rule],
    screen: Arc<Screen>,
) -> Result<Receiver<Found>, Usage> {
    let several = sources.len() > 1;
    let mut names = HashSet::new();
    let mut roots = Vec::new();
    for source in sources.iter().map(PathBuf::from) {
        let target = match several || !(recursive && source.is_dir()) {
            true => object(&source, target)?,
            false => target.clone(),
        };
        if !names.insert(target.key().to_owned()) {
            return Err(Usage(format!("two sources would both become {target}")));
        }
        roots.push((source, target));
    }
    let (sender, receiver) = channel(AHEAD);
    let rules = rules.to_vec();
    tokio::task::spawn_blocking(move || {
        for (source, target) in roots {
            let found = match source.is_dir() {
                true if recursive => walk(&source, &target, &rules, &sender, &screen),
                true => {
                    screen.found(0);
                    let error = SourceError::Folder(source.clone()).into();
                    sender.blocking_send(Found::Failed(source, error)).ok()
                }
                false => {
                    screen.found(std::fs::metadata(&source).map_or(0, |metadata| metadata.len()));
                    sender.blocking_send(Found::File(source, target)).ok()
                }
            };
            if found.is_none() {
                return;
            }
        }
        screen.all_found();
    });
    Ok(receiver)
}

/// Sends what is in a folder; `None` when nobody wants more.
fn walk(
    folder: &Path,
    target: &Target,
    rules: &[Rule],
    sender: &Sender<Found>,
    screen: &Screen,
) -> Option<()> {
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let found = match entry {
            Ok(entry) if entry.file_type().is_dir() => continue,
            Ok(entry) => {
                let found = below(&entry, folder, target, rules);
                if matches!(found, Some(Found::File(..))) {
                    screen.found(entry.metadata().map_or(0, |metadata| metadata.len()));
                }
                found
            }
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                let relative = path.strip_prefix(folder).unwrap_or(&path);
                if !taken(rules, relative, path.is_dir()) {
                    continue;
                }
                // Of a loop the system says nothing.
                let text = error.to_string();
                let source = error.into_io_error().unwrap_or_else(|| io::Error::other(text));
                Some(Found::Failed(path.clone(), SourceError::Open { path, source }.into()))
            }
        };
        if let Some(found) = found {
            if matches!(found, Found::Failed(..)) {
                screen.found(0);
            }
            sender.blocking_send(found).ok()?;
        }
    }
    Some(())
}

/// Returns what is uploaded of a folder's entry; `None` where it is left out.
fn below(entry: &DirEntry, folder: &Path, target: &Target, rules: &[Rule]) -> Option<Found> {
    let path = entry.path().to_owned();
    let relative = path.strip_prefix(folder).unwrap_or(&path);
    if !taken(rules, relative, false) {
        return None;
    }
    if !entry.file_type().is_file() {
        return Some(Found::Special(path));
    }
    let names = relative.iter().map(|name| name.to_str()).collect::<Option<Vec<_>>>();
    let key = names.map(|names| match target.key() {
        "" => names.join("/"),
        key if key.ends_with('/') => format!("{key}{}", names.join("/")),
        key => format!("{key}/{}", names.join("/")),
    });
    let object = match key {
        Some(key) => Target::new(target.bucket(), key).map_err(anyhow::Error::new),
        None => Err(anyhow::anyhow!("its name is no UTF-8, as keys are")),
    };
    let object = object.map_err(|error| error.context(format!("cannot upload {}", path.display())));
    Some(match object {
        Ok(object) => Found::File(path, object),
        Err(error) => Found::Failed(path, error),
    })
}

/// The object that a source becomes.
pub(super) fn object(source: &Path, target: &Target) -> Result<Target, Usage> {
    if target.is_object() {
        return Ok(target.clone());
    }
    let name = source.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Usage(format!("{} has no name that a key can be made of; write the whole key", source.display()))
    })?;
    target.for_file(name).map_err(|e| Usage(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(rules: &[(&str, bool)], path: &str) -> bool {
        let rules: Vec<_> = rules.iter().map(|(glob, takes)| Rule::new(glob, *takes).unwrap()).collect();
        taken(&rules, Path::new(path), false)
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let rules = [("*", false), ("*.js", true), ("vendor/", false)];
        assert!(takes(&rules, "a.js") && takes(&rules, "deep/er/a.js"));
        assert!(!takes(&rules, "a.css") && !takes(&rules, "deep/vendor/a.js"));
        let rules = [("vendor/", false), ("*.js", true)];
        assert!(takes(&rules, "vendor/a.js") && !takes(&rules, "vendor/a.css"));
    }

    #[test]
    fn a_glob_with_a_slash_is_of_the_folders_own_level() {
        assert!(!takes(&[("/build", false)], "build/x/y") && takes(&[("/build", false)], "src/build"));
        assert!(!takes(&[("**/tmp/*.o", false)], "a/b/tmp/x.o"));
    }

    #[test]
    fn a_glob_that_means_nothing_is_refused() {
        for glob in ["", "#x", "!x", "[z-a]", "   "] {
            assert!(Rule::exclude(glob).is_err(), "{glob:?}");
        }
    }
}
