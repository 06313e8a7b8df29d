use std::collections::BTreeSet;

/// Elements that have no end tag.
const VOID: [&str; 3] = ["meta", "img", "wbr"];

/// Panics unless every element is closed in order and no element has an attribute twice (browsers drop the second).
///
/// Enough for these documents, whose texts and attributes have every `<` and `"` escaped.
pub(crate) fn assert_well_formed(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in html.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closes out of order");
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut seen = BTreeSet::new();
        for (i, piece) in attributes
            .split('"')
            .enumerate()
            .filter(|(i, _)| i % 2 == 0)
        {
            if let Some(attribute) = piece.trim().strip_suffix('=') {
                assert!(
                    seen.insert(attribute),
                    "<{name}> has {attribute} twice (piece {i})"
                );
            }
        }
        if !VOID.contains(&name) && !name.starts_with(['!', '?']) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

/// Panics unless a document is XML that programs other than browsers read too: an SVG figure with its own name space, styles in plain
/// colours, nothing but characters of XML 1.0, and no entity that XML does not know by itself.
pub(crate) fn assert_figure(svg: &str) {
    assert!(svg.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg "));
    assert!(svg.ends_with("</svg>\n"));
    assert_well_formed(svg);
    assert_eq!(svg.matches("<svg ").count(), 1, "one root");
    assert!(svg.contains(" xmlns=\"http://www.w3.org/2000/svg\""));
    let is_xml = |c: char| {
        let is_control = c < ' ' && !['\t', '\n', '\r'].contains(&c);
        !is_control && !['\u{fffe}', '\u{ffff}'].contains(&c)
    };
    let other = svg.chars().find(|c| !is_xml(*c));
    assert_eq!(other, None, "no character of XML");
    for part in svg.split('&').skip(1) {
        let (entity, _) = part.split_once(';').unwrap();
        assert!(["amp", "lt", "gt", "quot"].contains(&entity), "&{entity};");
    }
    for never in ["var(", "url(", "<script", "<image", "href=", "@import"] {
        assert!(!svg.contains(never), "{never}");
    }
}
