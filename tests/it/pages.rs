//! `s3chunk completions` and `s3chunk man`: what shells and readers make of them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::command::{Ran, run, s3chunk, start};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

fn completions(shell: &str) -> String {
    run(s3chunk().args(["completions", shell])).exits(0).stdout
}

/// The names in the first column of a help text's lines: `--long` options, or commands.
fn names(help: &str, indent: &str) -> Vec<String> {
    let of = |line: &str| {
        let word = line.strip_prefix(indent)?.split([' ', ',']).next()?;
        let name = word.trim_start_matches("--").trim_end_matches("...");
        (!name.is_empty() && !name.starts_with(['-', '['])).then(|| name.to_owned())
    };
    help.lines().filter_map(of).collect()
}

fn options_of(command: &str) -> Vec<String> {
    let help = run(s3chunk().args([command, "--help"])).exits(0).stdout;
    let long = |line: &str| line.find("--").map(|at| format!("  {}", &line[at..]));
    let lines: Vec<String> =
        help.lines().filter(|line| line.trim_start().starts_with('-')).filter_map(long).collect();
    names(&lines.join("\n"), "  ")
}

fn commands() -> Vec<String> {
    let help = run(s3chunk().arg("--help")).exits(0).stdout;
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    names(list, "  ").into_iter().filter(|name| name != "help").collect()
}

/// Whether a program is here to be tried.
fn is_here(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        eprintln!("skipped: no {program} here");
    }
    found.is_ok()
}

/// Gives a program a text on its standard input, and returns what it makes of it.
fn feed(program: &mut Command, text: &str) -> Ran {
    let mut child =
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = text.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let ran = child.wait_with_output().unwrap().into();
    writer.join().unwrap().unwrap();
    ran
}

#[test]
fn every_shell_learns_every_command_and_option() {
    let (commands, options) = (commands(), options_of("put"));
    assert!(commands.contains(&"put".to_owned()) && commands.contains(&"completions".to_owned()));
    assert!(options.contains(&"chunk-size".to_owned()) && options.contains(&"quiet".to_owned()));
    for shell in SHELLS {
        let script = completions(shell);
        for command in &commands {
            assert!(script.contains(command.as_str()), "{shell}: {command}");
        }
        for option in &options {
            let written = match shell {
                "fish" => format!("-l {option}"),
                _ => format!("--{option}"),
            };
            assert!(script.contains(&written), "{shell}: {written}");
        }
    }
}

#[test]
fn the_scripts_are_programs_of_their_shells() {
    for (shell, check) in [("bash", &["-n"][..]), ("zsh", &["-n"]), ("fish", &["--no-execute"])] {
        if is_here(shell) {
            let ran = feed(Command::new(shell).args(check), &completions(shell)).exits(0);
            assert_eq!(ran.stderr, "", "{shell}");
        }
    }
}

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
    let quoted = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let at = words.len() - 1;
    let script = format!(
        "{}\nCOMP_WORDS=({quoted}); COMP_CWORD={at}; _s3chunk s3chunk '{last}' '{before}'; echo \"${{COMPREPLY[@]}}\"\n",
        completions("bash")
    );
    let ran = feed(Command::new("bash").args(["--norc", "-s"]), &script).exits(0);
    ran.stdout.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_values_and_files() {
    if !is_here("bash") {
        return;
    }
    assert_eq!(offered(&["s3chunk", "comp"]), ["completions"]);
    assert_eq!(offered(&["s3chunk", "put", "--chunk"]), ["--chunk-size"]);
    let mut values = offered(&["s3chunk", "put", "--addressing", ""]);
    values.sort();
    assert_eq!(values, ["auto", "path", "virtual"]);
    assert!(offered(&["s3chunk", "completions", "z"]).contains(&"zsh".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.pem");
    std::fs::write(&file, "").unwrap();
    let begun = folder.path().join("ow");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    assert_eq!(offered(&["s3chunk", "put", "--ca-bundle", &path(&begun)]), [path(&file)]);
}

#[test]
fn zsh_and_fish_complete_files_where_a_file_is_meant() {
    let zsh = completions("zsh");
    for argument in ["source -- The file:_files", ":FILE:_files"] {
        assert!(zsh.contains(argument), "{argument}");
    }
    assert!(completions("fish").lines().any(|line| line.contains("-l ca-bundle") && line.ends_with("-r -F")));
}

#[test]
fn the_man_page_has_each_command_and_option_once_and_no_secret() {
    let page = run(s3chunk().env("S3CHUNK_PROFILE", "s3cr3t").arg("man")).exits(0).stdout;
    assert!(page.is_ascii() && page.lines().any(|line| line.starts_with(".TH s3chunk 1 ")));
    assert!(!page.contains("s3cr3t"));
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
    assert_eq!(sections[..3], ["NAME", "SYNOPSIS", "DESCRIPTION"]);
    let ways = page.lines().filter(|line| line.starts_with("\\fBs3chunk put\\fR ")).count();
    assert_eq!(ways, 2, "of calling put");
    for command in commands() {
        assert!(sections.contains(&format!("\"S3CHUNK {}\"", command.to_uppercase()).as_str()), "{command}");
    }
    for section in ["STORE", "OUTPUT", "ENVIRONMENT", "\"EXIT STATUS\"", "EXAMPLES", "\"SEE ALSO\""] {
        assert_eq!(sections.iter().filter(|it| **it == section).count(), 1, "{section} in {sections:?}");
    }
    for option in options_of("put").iter().filter(|option| !matches!(option.as_str(), "help" | "version")) {
        let written = format!("\\fB\\-\\-{}\\fR", option.replace('-', "\\-"));
        assert!(page.lines().any(|line| line.contains(&written)), "{option}");
    }
    for code in ["0", "2", "75", "130"] {
        assert!(page.contains(&format!(".TP\n\\fB{code}\\fR\n")), "{code}");
    }
}

#[test]
fn groff_and_man_find_nothing_wrong_with_the_man_page() {
    let page = run(s3chunk().arg("man")).exits(0).stdout;
    for (program, args) in
        [("groff", &["-man", "-Tutf8", "-ww", "-z"][..]), ("man", &["--warnings=w", "-l", "-"])]
    {
        if is_here(program) {
            let ran = feed(Command::new(program).args(args), &page).exits(0);
            assert_eq!(ran.stderr, "", "{program}");
        }
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    for args in [&["man"][..], &["completions", "zsh"]] {
        let mut child = start(s3chunk().args(args));
        let mut line = String::new();
        BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!(ran.exits(0).stderr, "");
        assert!(!line.is_empty());
    }
}

#[test]
fn a_shell_that_is_unknown_is_named_with_those_that_are_known() {
    let ran =
        run(s3chunk().args(["completions", "ksh"])).exits(2).says("possible values: bash, elvish, fish");
    assert!(ran.error().starts_with("s3chunk: "), "{ran}");
    run(s3chunk().arg("completions")).exits(2).says("<SHELL>");
}
