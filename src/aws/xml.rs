//! As much of XML as the answers of S3 and of the services with a query protocol need: the texts of elements by name.

/// The content of every element of this name that is not inside another of the same name, in order.
pub(super) fn all<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let (start, end) = (format!("<{name}"), format!("</{name}>"));
    let mut rest = xml;
    while let Some(at) = rest.find(&start) {
        let after = &rest[at + start.len()..];
        let Some(close) = after.find('>') else { break };
        // `<Name` also begins `<NameOfAnother>`.
        if !after.starts_with(['>', ' ', '/', '\n', '\r', '\t']) || after[..close].ends_with('/') {
            rest = after;
            continue;
        }
        let content = &after[close + 1..];
        let Some(stop) = content.find(&end) else { break };
        found.push(&content[..stop]);
        rest = &content[stop + end.len()..];
    }
    found
}

/// The text of the first element of this name.
pub(super) fn text(xml: &str, name: &str) -> Option<String> {
    all(xml, name).first().map(|content| unescape(content))
}

/// The texts of every element of this name.
pub(super) fn texts(xml: &str, name: &str) -> Vec<String> {
    all(xml, name).into_iter().map(unescape).collect()
}

/// Text as it may stand between tags.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    let text = text.trim();
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"), ("&#39;", "'")];
    // The ampersand last: what it brings out is text.
    named.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)).replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_by_name() {
        let xml = r#"<R xmlns="x"><Name>a</Name><Names>no</Names><Name>b &amp;lt; c</Name><Name/><Empty></Empty></R>"#;
        assert_eq!(texts(xml, "Name"), ["a", "b &lt; c"]);
        assert_eq!(text(xml, "Names").as_deref(), Some("no"));
        assert_eq!(text(xml, "Empty").as_deref(), Some(""));
        assert_eq!(text(xml, "Missing"), None);
        assert_eq!(all("<A><B>1</B></A><A><B>2</B></A>", "A"), ["<B>1</B>", "<B>2</B>"]);
        assert_eq!(all("<A>cut off", "A"), Vec::<&str>::new());
    }

    #[test]
    fn what_is_escaped_comes_back() {
        let text = "a<b>&\"c\" &lt;";
        assert_eq!(unescape(&escape(text)), text);
    }
}
