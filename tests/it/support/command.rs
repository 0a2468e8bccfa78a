//! The command, as a user runs it.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::fault::FaultServer;
use super::file;

/// What a run of the command left.
pub(crate) struct Ran {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let signal = output.status.signal().map(|signal| 128 + signal);
        Ran {
            exit: output.status.code().or(signal).unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// The JSON record on standard output.
    pub(crate) fn record(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self}"))
    }

    /// The first line of standard error that is the command's word on a failure.
    pub(crate) fn error(&self) -> &str {
        self.stderr.lines().find(|line| line.starts_with("s3chunk: ")).unwrap_or_default()
    }

    /// Checks the exit code, showing all that was said where it is another.
    pub(crate) fn exits(self, exit: i32) -> Self {
        assert_eq!(self.exit, exit, "{self}");
        self
    }

    /// Checks that standard error says this.
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not said: {self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\nstdout: {}\nstderr: {}", self.exit, self.stdout, self.stderr)
    }
}

/// The command with nothing of this machine's in its environment.
pub(crate) fn s3chunk() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3chunk"));
    command.env_clear().stdin(Stdio::null());
    for name in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        command.env(name, "/dev/null");
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// The command with the fault server's keys and address in its environment.
pub(crate) fn s3chunk_at(server: &FaultServer) -> Command {
    let personality = server.personality();
    let mut command = s3chunk();
    command
        .env("AWS_ACCESS_KEY_ID", &personality.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &personality.secret_key)
        .env("AWS_REGION", &personality.region)
        .env("AWS_ENDPOINT_URL", server.endpoint());
    command
}

/// `s3chunk put FILE TARGET` at the fault server, with further options.
pub(crate) fn put(server: &FaultServer, file: &Path, target: &str, options: &[&str]) -> Ran {
    run(s3chunk_at(server).arg("put").arg(file).arg(target).args(options))
}

/// Uploads a file in chunks of 5 MiB to `bucket/key`, over whatever object is there. Whatever comes of it, no upload is
/// left, and success means our bytes.
pub(crate) fn upload(server: &FaultServer, size: u64, options: &[&str]) -> Ran {
    let file = file(size);
    let ran = put(server, &file.path, "bucket/key", &[&["--json", "--chunk-size", "5MiB"], options].concat());
    assert!(server.uploads().is_empty(), "an upload is left: {ran}");
    if ran.exit == 0 {
        let object = server.object("key").unwrap_or_else(|| panic!("no object: {ran}"));
        assert!(object.bytes.is_some_and(|bytes| bytes == file.bytes), "another object: {ran}");
    }
    ran
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    command.output().unwrap().into()
}

/// Starts a command and lets it run.
pub(crate) fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal by its number, say 2 for SIGINT.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(sent.unwrap().success());
}
