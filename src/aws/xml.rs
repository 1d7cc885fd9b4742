//! The part of XML that the responses of S3 and of services with a query protocol need: the text of elements by name.

use std::borrow::Cow;

use roxmltree::Document;
pub(super) use roxmltree::Node;

use super::answer::{Answer, no_answer};

/// What `find` finds in an answer; one without a body has nothing in it.
pub(super) fn read<T>(answer: &str, find: impl FnOnce(Node<'_, '_>) -> T) -> Answer<T> {
    let answer = if answer.trim().is_empty() { "<Nothing/>" } else { answer };
    let xml = with_foreign_moved(answer);
    let document = Document::parse(&xml).map_err(|error| no_answer(&error))?;
    Ok(find(document.root()))
}

/// Every element of this name inside another that is not inside one of the same name, in order.
pub(super) fn all<'a, 'xml: 'a>(within: Node<'a, 'xml>, name: &str) -> impl Iterator<Item = Node<'a, 'xml>> {
    let is_named = move |node: &Node<'_, '_>| node.tag_name().name() == name;
    let is_nested = move |node: &Node<'a, 'xml>| {
        node.ancestors().skip(1).take_while(|outer| *outer != within).any(|outer| is_named(&outer))
    };
    within.descendants().skip(1).filter(is_named).filter(move |node| !is_nested(node))
}

/// The texts of every element of this name that has one.
pub(super) fn texts(within: Node<'_, '_>, name: &str) -> impl Iterator<Item = String> {
    all(within, name).filter_map(content).map(|text| text.trim().to_owned())
}

/// The first of them.
pub(super) fn text(within: Node<'_, '_>, name: &str) -> Option<String> {
    texts(within, name).next()
}

/// The same as it is, with spaces at its ends.
pub(super) fn verbatim(within: Node<'_, '_>, name: &str) -> Option<String> {
    all(within, name).find_map(content)
}

/// Tags: key and value of every element of this name.
pub(super) fn tags(within: Node<'_, '_>, name: &str) -> Vec<(String, String)> {
    let pair = |tag| Some((verbatim(tag, "Key")?, verbatim(tag, "Value").unwrap_or_default()));
    all(within, name).filter_map(pair).collect()
}

fn content(element: Node<'_, '_>) -> Option<String> {
    let back = |c: char| char::from_u32(u32::from(c).wrapping_sub(MOVED)).filter(|c| is_foreign(*c)).unwrap_or(c);
    Some(element.text()?.chars().map(back).collect())
}

/// How far a character is moved that XML can't carry: to the end of Unicode, where nothing has a meaning.
const MOVED: u32 = 0x10_0000;

/// Keys of objects may have characters that XML has no way to write, or that it reads as another one (`\r` as `\n`). The
/// emulators write them as they are, and without them the object would not be found.
fn with_foreign_moved(xml: &str) -> Cow<'_, str> {
    if !xml.contains(is_foreign) {
        return xml.into();
    }
    let moved = |c: char| char::from_u32(u32::from(c) + MOVED).filter(|_| is_foreign(c)).unwrap_or(c);
    xml.chars().map(moved).collect()
}

fn is_foreign(c: char) -> bool {
    c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\u{7f}') || matches!(c, '\u{fffe}' | '\u{ffff}')
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
        read(xml, |xml| {
            assert_eq!(texts(xml, "Name").collect::<Vec<_>>(), ["a", "b &lt; c"]);
            assert_eq!(text(xml, "Names").as_deref(), Some("no"));
            assert_eq!(text(xml, "Empty"), None);
            assert_eq!(text(xml, "Missing"), None);
        })
        .unwrap();
        let xml = "<R><A><B>1</B><A><B>2</B></A></A><A><B>3</B></A></R>";
        read(xml, |xml| {
            let inside = all(xml, "A").map(|a| texts(a, "B").collect::<Vec<_>>());
            assert_eq!(inside.collect::<Vec<_>>(), [vec!["1", "2"], vec!["3"]]);
        })
        .unwrap();
        assert_eq!(read("", |xml| text(xml, "A")), Ok(None));
        assert!(read("<A>cut off", |_| ()).is_err());
    }

    #[test]
    fn keys_are_taken_as_they_are() {
        let key = |xml: &str| read(xml, |xml| verbatim(xml, "Key")).unwrap().unwrap();
        assert_eq!(key("<Key> a&amp;b &#xe9;&#10;&lt;&apos; </Key>"), " a&b \u{e9}\n<' ");
        assert_eq!(
            key("<?xml version='1.0'?>\n<Key>\0\u{1}\t\n\r\u{1b}\u{7f}\u{fffe}</Key>"),
            "\0\u{1}\t\n\r\u{1b}\u{7f}\u{fffe}"
        );
    }

    #[test]
    fn a_tag_may_have_no_value() {
        let xml = "<TagSet><Tag><Key>a</Key><Value/></Tag><Tag><Key>b</Key><Value>1</Value></Tag></TagSet>";
        let tags = read(xml, |xml| tags(xml, "Tag")).unwrap();
        assert_eq!(tags, [("a".into(), String::new()), ("b".into(), "1".into())]);
    }

    #[test]
    fn what_is_escaped_comes_back() {
        let once = "a<b>&\"c\" &lt;";
        let xml = format!("<A>{}</A>", escape(once));
        assert_eq!(read(&xml, |xml| text(xml, "A")), Ok(Some(once.into())));
    }
}
