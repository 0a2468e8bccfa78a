//! The commands that print a page about s3chunk itself, and need no store.

use clap::{Args, Subcommand};
use clap_complete::Shell;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Page {
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Prints a script that lets a shell complete s3chunk's commands and options.
///
/// For bash: s3chunk completions bash > ~/.local/share/bash-completion/completions/s3chunk
///
/// For zsh, into a folder of $fpath: s3chunk completions zsh > _s3chunk
///
/// For fish: s3chunk completions fish > ~/.config/fish/completions/s3chunk.fish
#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionsArgs {
    /// The shell to write the script for
    #[arg(value_enum)]
    pub(in crate::cli) shell: Shell,
}

/// Prints the man page: every command and option, the environment, the exit codes.
///
/// To read it: s3chunk man | man -l -
///
/// To install it: s3chunk man > /usr/local/share/man/man1/s3chunk.1
#[derive(Debug, Args)]
pub(in crate::cli) struct ManArgs {}
