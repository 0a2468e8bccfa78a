//! A guard before rusoto's XML parser, and what that parser does not read.
//!
//! rusoto loops for ever on XML that ends early, and takes an `<Error>` or a proxy's HTML page for an
//! empty success. So every body is read whole here first, into a small tree: it must be well-formed,
//! with the root that the operation answers with.

use xml::escape::escape_str_pcdata;
use xml::reader::{EventReader, ParserConfig, XmlEvent};

use crate::store::CompletedPart;

/// How deep elements may nest; S3's answers have four levels.
const MAX_DEPTH: usize = 32;

/// An element of an answer: its name without a namespace, its text, and what it holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document. `None` where it is not well-formed, or ends early.
    pub(super) fn parse(body: &[u8]) -> Option<Element> {
        let config = ParserConfig::new().ignore_comments(true).cdata_to_characters(true);
        let mut open: Vec<Element> = Vec::new();
        let mut root = None;
        for event in EventReader::new_with_config(trimmed(body), config) {
            match event.ok()? {
                XmlEvent::StartElement { name, .. } if open.len() < MAX_DEPTH && root.is_none() => {
                    open.push(Element { name: name.local_name, ..Element::default() });
                }
                XmlEvent::StartElement { .. } => return None,
                XmlEvent::Characters(text) | XmlEvent::Whitespace(text) => {
                    if let Some(element) = open.last_mut() {
                        element.text.push_str(&text);
                    }
                }
                XmlEvent::EndElement { .. } => {
                    let element = open.pop()?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => root = Some(element),
                    }
                }
                XmlEvent::EndDocument => return root,
                _ => {}
            }
        }
        None
    }

    /// The elements of this name that it holds.
    pub(super) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first element of this name that it holds; `None` where that is blank.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let text = self.children.iter().find(|child| child.name == name)?.text.trim();
        (!text.is_empty()).then_some(text)
    }
}

/// Returns the body of CompleteMultipartUpload, with the parts' checksums.
pub(super) fn completion(parts: &[CompletedPart]) -> String {
    let element = |name: &str, text: &str| format!("<{name}>{}</{name}>", escape_str_pcdata(text));
    let part = |part: &CompletedPart| {
        let checksum = part
            .checksum
            .as_ref()
            .map(|sum| element(&format!("Checksum{}", sum.algorithm().name()), &sum.to_string()));
        let (number, etag) = (element("PartNumber", &part.number.to_string()), element("ETag", &part.etag));
        element_of("Part", &format!("{etag}{}{number}", checksum.unwrap_or_default()))
    };
    element_of("CompleteMultipartUpload", &parts.iter().map(part).collect::<String>())
}

fn element_of(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

/// Returns a body without the white space before it, which some stores send to keep a connection alive
/// and XML does not allow before its declaration.
pub(super) fn trimmed(body: &[u8]) -> &[u8] {
    body.trim_ascii_start()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Algorithm, Checksum};
    use proptest::prelude::*;

    const ANSWER: &str = "<?xml version=\"1.0\"?>\n<r:Result xmlns:r=\"x\"><ETag>&quot;e&quot;</ETag>\
        <Part><N>1</N></Part><Part><N>2</N></Part><Blank> </Blank></r:Result>";

    #[test]
    fn an_answer_becomes_a_tree() {
        let root = Element::parse(format!(" \r\n{ANSWER}").as_bytes()).unwrap();
        assert_eq!((root.name.as_str(), root.text("ETag")), ("Result", Some("\"e\"")));
        let numbers: Vec<_> = root.children("Part").filter_map(|part| part.text("N")).collect();
        assert_eq!(numbers, ["1", "2"]);
        assert_eq!((root.text("Blank"), root.text("Absent")), (None, None));
    }

    #[test]
    fn a_completion_names_the_parts_checksums() {
        let checksum = Some(Checksum::of(Algorithm::Sha1, b""));
        let part = CompletedPart { number: 1, etag: "\"a<b\"".into(), size: 0, checksum };
        let body = completion(&[part]);
        let root = Element::parse(body.as_bytes()).unwrap();
        let part = root.children("Part").next().unwrap();
        assert_eq!(part.text("ETag"), Some("\"a<b\""));
        assert_eq!(part.text("ChecksumSHA1"), Some("2jmj7l5rSw0yVb/vlWAYkK/YBwk="));
        assert_eq!(part.text("PartNumber"), Some("1"));
    }

    #[test]
    fn what_is_not_whole_is_nothing() {
        for cut in 0..ANSWER.len() {
            assert_eq!(Element::parse(&ANSWER.as_bytes()[..cut]), None, "cut at {cut}");
        }
        for body in ["", " ", "plain", "<a></b>", "<a/><b/>", "<a>&nbsp;</a>", "<html><br></html>"] {
            assert_eq!(Element::parse(body.as_bytes()), None, "{body}");
        }
        let deep = format!("{}{}", "<a>".repeat(40), "</a>".repeat(40));
        assert_eq!(Element::parse(deep.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn no_body_makes_the_guard_panic_or_hang(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Element::parse(&body);
        }

        #[test]
        fn no_broken_answer_makes_the_guard_panic_or_hang(at in 0..ANSWER.len(), byte in any::<u8>()) {
            let mut body = ANSWER.as_bytes().to_vec();
            body[at] = byte;
            let _ = Element::parse(&body);
        }
    }
}
