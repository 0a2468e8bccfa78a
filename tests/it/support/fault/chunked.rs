//! The chunk framing that HTTP's transfer coding and S3's aws-chunked share, fed as the bytes come.

const MAX_LINE: usize = 8 * 1024;
/// The least size of an aws-chunked chunk but the last, in bytes.
const MIN_CHUNK: u64 = 8 * 1024;

/// Takes the framing off.
#[derive(Default)]
pub struct Chunked {
    state: State,
    line: Vec<u8>,
    /// Whether a chunk before the last is shorter than S3's aws-chunked allows.
    pub short: bool,
    /// The size of the chunk before.
    before: Option<u64>,
    /// The fields after the last chunk, names in lower case.
    pub trailers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

impl Chunked {
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what it can of `input`, hands the payload to `sink`, and returns how much was taken: all of it unless
    /// the body ended inside. `None` is a broken frame.
    pub fn feed(&mut self, input: &[u8], mut sink: impl FnMut(&[u8])) -> Option<usize> {
        let mut at = 0;
        while at < input.len() && !self.is_done() {
            if let State::Data(left) = self.state {
                let n = usize::try_from(left).map_or(input.len() - at, |l| l.min(input.len() - at));
                sink(&input[at..at + n]);
                at += n;
                self.state = match left - n as u64 {
                    0 => State::DataEnd,
                    left => State::Data(left),
                };
                continue;
            }
            let byte = input[at];
            at += 1;
            if byte != b'\n' {
                self.line.push(byte);
                if self.line.len() > MAX_LINE {
                    return None;
                }
                continue;
            }
            let line = String::from_utf8(std::mem::take(&mut self.line)).ok()?;
            self.end_line(line.strip_suffix('\r')?)?;
        }
        Some(at)
    }

    fn end_line(&mut self, line: &str) -> Option<()> {
        self.state = match self.state {
            State::Size => {
                let size = line.split(';').next()?.trim();
                match u64::from_str_radix(size, 16).ok()? {
                    0 => State::Trailer,
                    size => {
                        self.short |= self.before.replace(size).is_some_and(|before| before < MIN_CHUNK);
                        State::Data(size)
                    }
                }
            }
            State::DataEnd if line.is_empty() => State::Size,
            State::Trailer if line.is_empty() => State::Done,
            State::Trailer => {
                let (name, value) = line.split_once(':')?;
                self.trailers.push((name.trim().to_lowercase(), value.trim().to_owned()));
                State::Trailer
            }
            _ => return None,
        };
        Some(())
    }
}
