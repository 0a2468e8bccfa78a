//! What GitHub Actions shows of a run: errors as annotations, and a table in the step's summary.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::text::printable;

/// The table's head. A file that ends in this and rows of it is gone on with.
const HEAD: &str =
    "| Source | Object | Size | Parts | Time | Status |\n| --- | --- | ---: | ---: | ---: | --- |\n";

/// The row that stands for those that there is no room for.
const MORE: &str = "| … | … | | | | more objects than a summary takes |\n";

/// Bytes of a summary at the most. GitHub refuses the whole of one above 1 MiB.
const LIMIT: u64 = 1_000_000;

/// What the environment asks for; nothing, where this is no step of GitHub Actions.
pub(super) struct GitHub {
    annotates: bool,
    summary: Option<Mutex<Summary>>,
}

struct Summary {
    path: PathBuf,
    /// The file's size when a row of ours was its last: as long as it is that, there is no need to look.
    end: Option<u64>,
    /// Whether there is no more room for rows, or no way to write them.
    closed: bool,
}

/// What the summary says of an object.
pub(super) struct Row<'a> {
    pub(super) source: &'a str,
    /// `s3://bucket/key`.
    pub(super) object: String,
    pub(super) size: String,
    pub(super) parts: String,
    pub(super) time: String,
    pub(super) status: &'a str,
}

impl GitHub {
    /// Looks at the environment.
    pub(super) fn detect() -> Self {
        let annotates = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        let path = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
        let summary = path.map(|path| Mutex::new(Summary { path: path.into(), end: None, closed: false }));
        GitHub { annotates, summary }
    }

    /// Makes an error an annotation of the run. Its lines stay lines.
    ///
    /// On standard error, where the runner looks for commands as it does on standard output, which is the
    /// result's alone.
    pub(super) fn annotate(&self, error: &str) {
        if self.annotates {
            let lines: Vec<String> = error.trim_end().lines().map(printable).collect();
            let _ = writeln!(io::stderr(), "::error title=s3chunk::{}", escaped(&lines.join("\n")));
        }
    }

    /// Adds a row to the step's summary. A summary that can't be written costs a warning and no more.
    pub(super) fn add(&self, row: &Row<'_>) {
        let Some(summary) = &self.summary else { return };
        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        if summary.closed {
            return;
        }
        match append(&summary.path, &row.line(), summary.end) {
            Ok(Some(end)) => summary.end = Some(end),
            Ok(None) => summary.closed = true,
            Err(error) => {
                summary.closed = true;
                let path = summary.path.display();
                let line = format!("warning: cannot write the summary {path}: {error}");
                let _ = writeln!(io::stderr(), "{}", printable(&line));
            }
        }
    }
}

impl Row<'_> {
    fn line(&self) -> String {
        let cells = [self.source, &self.object, &self.size, &self.parts, &self.time, self.status];
        format!("| {} |\n", cells.map(cell).join(" | "))
    }
}

/// Appends a row to the table at a file's end, which is begun where there is none; at size `ours` there is
/// one. Returns the file's size, where there is room for more.
fn append(path: &Path, row: &str, ours: Option<u64>) -> io::Result<Option<u64>> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let size = file.seek(io::SeekFrom::End(0))?;
    if size + (HEAD.len() + row.len() + MORE.len()) as u64 > LIMIT {
        if size + ((HEAD.len() + MORE.len()) as u64) <= LIMIT {
            file.write_all(MORE.as_bytes())?;
        }
        return Ok(None);
    }
    let begin = match size {
        0 => HEAD,
        size if ours == Some(size) || ends_in_table(&mut file)? => "",
        // A table stands by itself between empty lines.
        _ => &format!("\n\n{HEAD}"),
    };
    // In one piece: other commands of the step may write at the same time.
    file.write_all(format!("{begin}{row}").as_bytes())?;
    Ok(Some(size + (begin.len() + row.len()) as u64))
}

/// Whether a file's last lines are a table of ours.
fn ends_in_table(file: &mut File) -> io::Result<bool> {
    file.rewind()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let rows = text.rsplit_once(HEAD).map(|(_, rows)| rows);
    Ok(rows.is_some_and(|rows| rows.ends_with('\n') && rows.lines().all(|row| row.starts_with("| "))))
}

/// Returns the text of a workflow command as the runner reads it.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Returns a text as a table's cell that shows it letter for letter.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => cell.push_str("&amp;"),
            '<' => cell.push_str("&lt;"),
            '|' | '`' | '\\' | '*' | '_' | '~' | '[' | ']' | '$' => cell.extend(['\\', c]),
            _ => cell.push(c),
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_ends_where_its_text_ends() {
        assert_eq!(cell("a|b `c` <d> e_f\n"), "a\\|b \\`c\\` &lt;d> e\\_f\\\\n");
        assert_eq!(cell("50 % of x.tar"), "50 % of x.tar");
    }

    #[test]
    fn a_command_is_one_line_and_its_text_the_same_again() {
        assert_eq!(escaped("50 %: a, b\r\nc%0A"), "50 %25: a, b%0D%0Ac%250A");
    }

    #[test]
    fn a_full_summary_says_that_there_is_more_and_takes_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary");
        let row = format!("| {} |\n", "x".repeat(99_990));
        let mut end = None;
        let mut written = 0;
        while let Some(now) = append(&path, &row, end).unwrap() {
            assert_eq!(now, std::fs::metadata(&path).unwrap().len());
            (end, written) = (Some(now), written + 1);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(written == 9 && text.len() as u64 <= LIMIT && text.ends_with(MORE), "{written}");
        assert!(text.starts_with(HEAD));
    }
}
