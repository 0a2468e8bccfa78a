//! An S3 error: status, code, message, and what else its XML and headers say.

use super::http::Answer;
use super::xml::element;

/// What an operation refuses with.
#[derive(Clone, Debug)]
pub struct S3Error {
    pub status: u16,
    pub code: String,
    message: String,
    elements: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl S3Error {
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            elements: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Adds an element to the XML.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.elements.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a header to the answer.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Returns the XML document.
    pub fn xml(&self, resource: &str, request_id: &str) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
        xml += &element("Code", &self.code);
        xml += &element("Message", &self.message);
        for (name, value) in &self.elements {
            xml += &element(name, value);
        }
        xml += &element("Resource", resource);
        xml += &element("RequestId", request_id);
        xml += &element("HostId", "fault-server");
        xml + "</Error>"
    }

    /// Returns the answer with its own status; `resource` is the path asked for.
    pub fn answer(&self, resource: &str, request_id: &str) -> Answer {
        let mut answer = Answer::xml(self.status, self.xml(resource, request_id));
        for (name, value) in &self.headers {
            answer.set(name, value);
        }
        answer
    }

    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidRequest", message)
    }

    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidArgument", message)
    }

    pub fn not_implemented(what: &str) -> Self {
        Self::new(
            501,
            "NotImplemented",
            "A header or query you provided implies functionality that is not implemented.",
        )
        .with("Header", what)
    }
}
