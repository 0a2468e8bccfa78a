//! An S3 server in this very process, to try everything with no account:
//!
//! ```sh
//! cargo run --release --example local_s3 -- put Cargo.lock demo/Cargo.lock
//! ```
//!
//! starts the server, runs that command line of s3chunk against it, and says where the bytes lie.
//! Without a command it serves until Ctrl-C, for any S3 client. `--dir FOLDER`, first of all, keeps the
//! objects there and not in a new temporary folder. There is one bucket, `demo`, and each other folder
//! in FOLDER is one too.

mod server;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use s3chunk::cli;
use s3chunk::store::rusoto::{Connection, CredentialSource, Credentials};
use server::Server;

fn main() -> io::Result<ExitCode> {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let folder = match args.get(1).is_some_and(|arg| arg == "--dir") {
        true => PathBuf::from(
            args.drain(1..args.len().min(3))
                .nth(1)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "--dir wants a folder"))?,
        ),
        false => tempfile::Builder::new().prefix("local_s3-").tempdir()?.keep(),
    };
    std::fs::create_dir_all(&folder)?;
    let server = Server::start(&folder)?;
    server.make_bucket("demo")?;
    if args.len() < 2 {
        return serve(&server, folder);
    }
    let connection = Connection {
        endpoint_url: Some(server.endpoint()),
        region: Some("us-east-1".to_owned()),
        credentials: CredentialSource::Static(Credentials::new(
            &server.access_key,
            &server.secret_key,
            None,
            None,
            "local_s3",
        )),
        ..Connection::default()
    };
    let exit = cli::run(args, connection);
    eprintln!("local_s3: the objects are files below {}", folder.display());
    Ok(exit)
}

fn serve(server: &Server, folder: PathBuf) -> io::Result<ExitCode> {
    println!("export AWS_ENDPOINT_URL={}", server.endpoint());
    println!("export AWS_ACCESS_KEY_ID={}", server.access_key);
    println!("export AWS_SECRET_ACCESS_KEY={}", server.secret_key);
    println!("export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1");
    eprintln!("local_s3: the bucket is demo; objects are files below {}", folder.display());
    eprintln!("local_s3: serving until Ctrl-C");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::signal::ctrl_c())?;
    Ok(ExitCode::SUCCESS)
}
