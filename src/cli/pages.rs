//! `s3chunk completions` and `s3chunk man`: pages made of the very definitions that the command line is
//! read by.

mod man;

use std::io::{self, Write};

use clap::CommandFactory;

use super::args::{Arguments, Page};
use super::report::{Exit, unwritten};

/// Prints a page on standard output.
pub(super) fn print(page: &Page) -> Exit {
    let text = match page {
        Page::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Arguments::command(), "s3chunk", &mut script);
            script
        }
        Page::Man(_) => match man::page() {
            Ok(page) => page,
            Err(_) => return unwritten(),
        },
    };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(&text).and_then(|()| stdout.flush()) {
        // A reader that has left has what it wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => unwritten(),
        _ => Exit::Success,
    }
}
