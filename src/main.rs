//! The command `s3chunk`.

use std::process::ExitCode;

use s3chunk::cli;
use s3chunk::store::rusoto::Connection;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), Connection::default())
}
