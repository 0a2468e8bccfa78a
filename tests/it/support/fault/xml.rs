//! As much XML as S3 speaks: escaped elements out, a strict little tree in.

/// Returns `value` as element or attribute text.
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if (c as u32) < 0x20 => out.push_str(&format!("&#x{:x};", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// Returns `<name>value</name>`, the value escaped.
pub fn element(name: &str, value: impl ToString) -> String {
    format!("<{name}>{}</{name}>", escape(&value.to_string()))
}

/// Returns a whole document: declaration, root in S3's namespace, `inner` as it is.
pub fn document(root: &str, inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</{root}>"
    )
}

/// An element read: attributes and namespaces are dropped.
#[derive(Debug, Default)]
pub struct Element {
    pub name: String,
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// Returns the text of the first child of that name.
    pub fn child(&self, name: &str) -> Option<&str> {
        let child = self.children.iter().find(|child| child.name == name)?;
        Some(child.text.as_str())
    }
}

/// Reads one document; `None` if it is not well formed (comments and CDATA are not known here).
pub fn parse(text: &str) -> Option<Element> {
    let mut rest = text.trim_start();
    if let Some(declaration) = rest.strip_prefix("<?xml") {
        rest = declaration.split_once("?>")?.1.trim_start();
    }
    let (root, rest) = parse_element(rest)?;
    rest.trim().is_empty().then_some(root)
}

fn parse_element(text: &str) -> Option<(Element, &str)> {
    let (tag, mut rest) = text.strip_prefix('<')?.split_once('>')?;
    let (tag, empty) = match tag.strip_suffix('/') {
        Some(tag) => (tag, true),
        None => (tag, false),
    };
    let name = tag.split_whitespace().next()?;
    if !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let mut element = Element { name: name.to_owned(), ..Element::default() };
    if empty {
        return Some((element, rest));
    }
    loop {
        let (before, _) = rest.split_once('<')?;
        element.text.push_str(&unescape(before)?);
        rest = &rest[before.len()..];
        if let Some(end) = rest.strip_prefix("</") {
            let (end, after) = end.split_once('>')?;
            let blank = element.text.trim().is_empty();
            let mixed = !element.children.is_empty() && !blank;
            return (end.trim_end() == name && !mixed).then_some((element, after));
        }
        let (child, after) = parse_element(rest)?;
        element.children.push(child);
        rest = after;
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut pieces = text.split('&');
    let mut out = pieces.next()?.to_owned();
    for piece in pieces {
        let (entity, after) = piece.split_once(';')?;
        out.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = entity.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        out.push_str(after);
    }
    Some(out)
}
