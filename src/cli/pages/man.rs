//! The man page: one for the whole of a single program, with a section for each command.

use std::io;

use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::super::args::{Arguments, EXIT_CODES};

/// Headings of options that many commands have, told once.
const SHARED: [&str; 2] = ["Store", "Output"];

/// What the environment changes, beside the variables of the options.
const ENVIRONMENT: [(&str, &str); 8] = [
    (
        "S3CHUNK_…",
        "Every option has a variable, named with it; the command line goes before it, and an empty one is none.",
    ),
    (
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
        "Credentials. Where they are not set, the AWS config and credentials files, SSO, a credential process, web identity, and the container's or the instance's service are asked, as by every AWS tool.",
    ),
    ("AWS_PROFILE, AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE", "The profile, and the files it is in."),
    ("AWS_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL", "The region, and the store's URL."),
    ("AWS_CA_BUNDLE", "A PEM file of further certificate authorities to trust."),
    (
        "HTTPS_PROXY, HTTP_PROXY, NO_PROXY",
        "The proxy to go through, and the hosts that are reached without one.",
    ),
    (
        "GITHUB_ACTIONS, GITHUB_STEP_SUMMARY",
        "In a step of GitHub Actions errors become annotations, and each object a row of the step's summary.",
    ),
    ("NO_COLOR, CLICOLOR_FORCE", "No colours, or colours also where no terminal is."),
];

const EXAMPLES: [(&str, &str); 3] = [
    ("s3chunk put backup.tar my-bucket/backups/", "Upload a file under its own name."),
    ("s3chunk put backup.tar my-bucket/backups/ --resume", "Go on with an upload that was cut off."),
    ("s3chunk clean my-bucket --older-than 7d", "Drop what unfinished uploads have left in a bucket."),
];

/// Returns the whole page, in roff and ASCII.
///
/// # Errors
/// None in practice: it is written to memory.
pub(super) fn page() -> io::Result<Vec<u8>> {
    let mut program = Arguments::command().disable_help_subcommand(true);
    program.build();
    let commands: Vec<&Command> = program.get_subcommands().collect();
    let man = Man::new(program.clone());

    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    for way in commands.iter().flat_map(|command| synopses(command)) {
        roff.text(way).control("br", []);
    }
    roff.to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    for command in &commands {
        section(command, &mut page)?;
    }
    for heading in SHARED {
        shared_section(heading, &commands, &mut page)?;
    }

    let mut roff = Roff::new();
    list(&mut roff, "ENVIRONMENT", ENVIRONMENT);
    list(
        &mut roff,
        "EXIT STATUS",
        EXIT_CODES.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(' ')),
    );
    list(&mut roff, "EXAMPLES", EXAMPLES);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("aws"), roman("(1), "), bold("curl"), roman("(1)")]);
    roff.control("PP", []);
    roff.text([roman(
        "Multipart uploads: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html",
    )]);
    roff.to_writer(&mut page)?;
    Ok(ascii(&String::from_utf8_lossy(&page)).into_bytes())
}

/// The ways to call a command: what it must be given, and that there are options.
fn synopses(command: &Command) -> Vec<Vec<Inline>> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let usage = command.clone().render_usage().to_string();
    let ways = usage.trim_start_matches("Usage: ").lines().map(|way| way.trim().trim_start_matches(name));
    ways.map(|words| vec![bold(name), roman(words)]).collect()
}

/// Writes a command's section: what it does, and the options that are its own.
fn section(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut roff = Roff::new();
    roff.control("SH", [name.to_uppercase().as_str()]);
    roff.to_writer(page)?;
    let shares = command.get_arguments().any(is_shared);
    let own = command.clone().mut_args(|arg| match is_shared(&arg) || is_help(&arg) {
        true => arg.hide(true),
        false => told(arg),
    });
    let man = Man::new(own);
    let mut parts = Vec::new();
    man.render_description_section(&mut parts)?;
    man.render_options_section(&mut parts)?;
    let parts = String::from_utf8_lossy(&parts).into_owned();
    // The description follows the section's own heading; the rest is one level below it.
    let parts = parts.replacen(".SH DESCRIPTION\n", "", 1).replace(".SH ", ".SS ");
    page.extend_from_slice(parts.as_bytes());
    if shares {
        let mut roff = Roff::new();
        roff.control("PP", []);
        roff.text([roman(format!(
            "And the options of {}, told below.",
            SHARED.map(str::to_lowercase).join(" and ")
        ))]);
        roff.to_writer(page)?;
    }
    Ok(())
}

/// Writes the options of a heading that many commands have.
fn shared_section(heading: &str, commands: &[&Command], page: &mut Vec<u8>) -> io::Result<()> {
    let mut all = Command::new("all");
    for arg in commands.iter().flat_map(|command| command.get_arguments()) {
        let known = all.get_arguments().any(|known| known.get_id() == arg.get_id());
        if arg.get_help_heading() == Some(heading) && !known {
            all = all.arg(told(arg.clone()));
        }
    }
    let all = all.disable_help_flag(true).disable_version_flag(true);
    let mut parts = Vec::new();
    Man::new(all).render_options_section(&mut parts)?;
    page.extend_from_slice(&parts);
    Ok(())
}

/// Returns an option with all that is to be said of it in its text, which is shorter than a paragraph for
/// its values and another for its variable.
fn told(arg: Arg) -> Arg {
    let takes_values = arg.get_action().takes_values();
    let values = arg.get_possible_values();
    let values: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if !values.is_empty() && takes_values {
        text.push_str(&format!(". Values: {}", values.join(", ")));
    }
    if let Some(variable) = arg.get_env() {
        text.push_str(&format!(". Variable: {}", variable.to_string_lossy()));
    }
    let heading = if arg.is_positional() { "Arguments" } else { "Options" };
    let arg = if arg.get_help_heading().is_some() { arg } else { arg.help_heading(heading) };
    arg.help(text).hide_possible_values(takes_values).hide_env(true)
}

fn is_shared(arg: &Arg) -> bool {
    arg.get_help_heading().is_some_and(|heading| SHARED.contains(&heading))
}

fn is_help(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

/// Writes a section that is a list of terms and what they mean.
fn list<'a>(roff: &mut Roff, heading: &str, terms: impl IntoIterator<Item = (&'a str, &'a str)>) {
    roff.control("SH", [heading]);
    for (term, meaning) in terms {
        roff.control("TP", []);
        roff.text([bold(term)]);
        roff.text([roman(meaning.trim())]);
    }
}

/// Returns a page with what is not ASCII in roff's own words, so that it can be read whatever encoding a
/// reader takes it for.
fn ascii(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    for c in page.chars() {
        match c.is_ascii() {
            true => text.push(c),
            false => text.push_str(&format!("\\[u{:04X}]", u32::from(c))),
        }
    }
    text
}
