//! Standard input, and pipes.

use std::fs::File;
use std::io::{self, Read};

/// Standard input without the buffer that would copy every byte once more.
#[cfg(unix)]
pub(super) fn open() -> io::Result<impl Read + Send + 'static> {
    use std::os::fd::AsFd;
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    widen(&input);
    Ok(Patient(input))
}

#[cfg(not(unix))]
pub(super) fn open() -> io::Result<impl Read + Send + 'static> {
    Ok(io::stdin())
}

/// Makes a pipe as wide as anyone may: each time it runs full, writer and reader take turns.
pub(super) fn widen(pipe: &File) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20);
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}

/// Input that waits even where its writer has made it one that does not.
#[cfg(unix)]
struct Patient(File);

#[cfg(unix)]
impl Read for Patient {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, poll};
        loop {
            match self.0.read(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None)?;
                }
                read => return read,
            }
        }
    }
}
