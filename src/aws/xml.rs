//! The part of XML that the responses of S3 and of services with a query protocol need: the text of elements by name.

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

/// The text of the first element of this name as it is, with spaces at its ends.
pub(super) fn verbatim(xml: &str, name: &str) -> Option<String> {
    all(xml, name).first().map(|content| decoded(content))
}

/// Tags: key and value of every element of this name.
pub(super) fn tags(xml: &str, name: &str) -> Vec<(String, String)> {
    let pair = |tag| Some((verbatim(tag, "Key")?, verbatim(tag, "Value")?));
    all(xml, name).into_iter().filter_map(pair).collect()
}

fn unescape(text: &str) -> String {
    decoded(text.trim())
}

/// Text between tags with the characters that its entities stand for; what is no entity stays.
fn decoded(content: &str) -> String {
    let mut parts = content.split('&');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let known = part.split_once(';').and_then(|(entity, rest)| Some((character(entity)?, rest)));
        match known {
            Some((character, rest)) => text.extend([character.to_string().as_str(), rest]),
            None => text.extend(["&", part]),
        }
    }
    text
}

/// What stands for a character between `&` and `;`.
fn character(entity: &str) -> Option<char> {
    let number = |digits: &str, base| char::from_u32(u32::from_str_radix(digits, base).ok()?);
    match entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        entity => {
            let entity = entity.strip_prefix('#')?;
            entity.strip_prefix('x').map_or_else(|| number(entity, 10), |digits| number(digits, 16))
        }
    }
}

/// Text as it may stand between tags.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
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
    fn keys_are_taken_as_they_are() {
        let xml = "<Key> a&amp;b &#xe9;&#10;&lt;&apos;&nbsp; </Key>";
        assert_eq!(verbatim(xml, "Key").as_deref(), Some(" a&b \u{e9}\n<'&nbsp; "));
    }

    #[test]
    fn what_is_escaped_comes_back() {
        let text = "a<b>&\"c\" &lt;";
        assert_eq!(unescape(&escape(text)), text);
    }
}
