//! A command whose output is uploaded.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::Mutex;

use super::SourceError;
use super::stdin::widen;

/// A running command. Killed when dropped.
pub(super) struct Child {
    name: String,
    running: Mutex<tokio::process::Child>,
}

impl Child {
    /// Starts a command, and returns it with its standard output.
    pub(super) fn start<'a>(
        program: &'a OsStr,
        args: impl IntoIterator<Item = &'a OsStr>,
    ) -> Result<(Self, File), SourceError> {
        let name = program.to_string_lossy().into_owned();
        let failed = |source| SourceError::Start { command: name.clone(), source };
        let mut command = Command::new(program);
        command.args(args).stdout(Stdio::piped()).kill_on_drop(true);
        let mut running = command.spawn().map_err(failed)?;
        let output = running.stdout.take().ok_or_else(|| io::Error::other("it has no output"));
        #[cfg(unix)]
        let output = output.and_then(|output| output.into_owned_fd());
        #[cfg(windows)]
        let output = output.and_then(|output| output.into_owned_handle());
        let output = File::from(output.map_err(failed)?);
        widen(&output);
        Ok((Child { name, running: Mutex::new(running) }, output))
    }

    /// The program's name, without its arguments: they may hold a password.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it failed.
    pub(super) async fn finish(&self) -> Result<(), SourceError> {
        match self.running.lock().await.wait().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(SourceError::Command { command: self.name.clone(), status }),
            Err(source) => Err(SourceError::Stream { name: self.name.clone(), source }),
        }
    }
}
