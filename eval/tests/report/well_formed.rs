use std::collections::BTreeSet;

/// Elements that have no end tag.
const VOID: [&str; 2] = ["meta", "img"];

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
        if !VOID.contains(&name) && !name.starts_with('!') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}
