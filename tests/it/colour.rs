//! Colour: on a terminal alone, and never where it is not wanted.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::command::{run, s3chunk};

const RED: &str = "\u{1b}[1m\u{1b}[31ms3chunk:\u{1b}[0m ";

/// Runs a command whose standard output and error are a terminal, and returns what that shows.
fn on_a_terminal(command: &mut Command) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let path = std::ffi::OsStr::from_bytes(name.as_bytes());
    let theirs = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut child = command.stdout(theirs.try_clone().unwrap()).stderr(theirs).spawn().unwrap();
    // Or the terminal would never be at its end: the command holds what is to be the child's.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let (mut screen, mut some) = (Vec::new(), [0; 4096]);
    let mut ours = File::from(ours);
    // A terminal that nobody else has open any more ends in an error on Linux.
    while let Ok(len @ 1..) = ours.read(&mut some) {
        screen.extend_from_slice(&some[..len]);
    }
    child.wait().unwrap();
    String::from_utf8(screen).unwrap()
}

/// An upload of what is not there, in such an environment.
fn failing(variables: &[(&str, &str)]) -> Command {
    let mut command = s3chunk();
    command.envs(variables.iter().copied()).args(["put", "absent", "bucket/key", "--no-sign-request"]);
    command
}

#[test]
fn an_error_is_red_on_a_terminal_unless_that_is_not_wanted() {
    let colours = ("TERM", "xterm-256color");
    let screen = on_a_terminal(&mut failing(&[colours]));
    assert!(screen.contains(&format!("{RED}cannot open absent: No such file")), "{screen:?}");
    let screen = on_a_terminal(&mut failing(&[colours, ("NO_COLOR", "")]));
    assert!(screen.contains(RED), "an empty NO_COLOR is none: {screen:?}");
    for plain in [&[colours, ("NO_COLOR", "1")][..], &[("TERM", "dumb")], &[]] {
        let screen = on_a_terminal(&mut failing(plain));
        assert!(screen.contains("s3chunk: cannot open absent: No such file"), "{plain:?}: {screen:?}");
        assert!(!screen.contains('\u{1b}'), "{plain:?}: {screen:?}");
    }
}

#[test]
fn wrong_usage_is_red_and_help_is_coloured_by_the_same_rules() {
    let (wrong, help) = (["put", "--nonsense"].as_slice(), ["put", "--help"].as_slice());
    let shown = |args: &[&str], no_color: &str| {
        on_a_terminal(s3chunk().env("TERM", "xterm").env("NO_COLOR", no_color).args(args))
    };
    assert!(shown(wrong, "").starts_with(RED));
    assert!(shown(help, "").contains('\u{1b}'));
    for args in [wrong, help] {
        assert!(!shown(args, "1").contains('\u{1b}'));
    }
}

#[test]
fn a_pipe_gets_no_colour_unless_it_is_forced() {
    assert!(!run(&mut failing(&[("TERM", "xterm")])).exits(3).stderr.contains('\u{1b}'));
    assert!(run(&mut failing(&[("CLICOLOR_FORCE", "1")])).exits(3).stderr.starts_with(RED));
    let both = [("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")];
    assert!(!run(&mut failing(&both)).exits(3).stderr.contains('\u{1b}'));
}
