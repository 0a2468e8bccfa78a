//! Standard input, and pipes.

use std::fs::File;
use std::io::{self, Read};

/// Standard input without the buffer that would copy every byte once more.
#[cfg(unix)]
pub(super) fn open() -> io::Result<impl Read + Send + 'static> {
    use std::os::fd::AsFd;
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    if is_stand_in(&input) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it is closed, or /dev/null"));
    }
    widen(&input);
    Ok(Patient(input))
}

/// Whether a file is what the standard library puts in the place of a closed standard input: /dev/null, open for
/// writing as well, as nobody else opens it there.
#[cfg(unix)]
fn is_stand_in(file: &File) -> bool {
    use rustix::fs::{OFlags, fcntl_getfl};
    use std::os::unix::fs::MetadataExt;
    let null = std::fs::metadata("/dev/null").map(|null| null.rdev());
    let same = file.metadata().is_ok_and(|input| null.is_ok_and(|null| input.rdev() == null));
    same && fcntl_getfl(file).is_ok_and(|flags| flags.contains(OFlags::RDWR))
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
