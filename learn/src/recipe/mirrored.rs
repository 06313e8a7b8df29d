//! Classes that differ by a mirror.

/// Two classes of which one is named as the mirror image of the other: "keep left" and "keep right".
pub(super) fn mirrored_pair(class_names: &[String]) -> Option<(&str, &str)> {
    let folded: Vec<String> = class_names.iter().map(|n| n.to_lowercase()).collect();
    folded.iter().enumerate().find_map(|(left, name)| {
        let mirrored = name
            .contains("left")
            .then(|| name.replace("left", "right"))?;
        let right = folded.iter().position(|other| *other == mirrored)?;
        Some((class_names[left].as_str(), class_names[right].as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pairs_are_found() {
        let find = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            mirrored_pair(&names).map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(
            find(&["stop", "keep right", "keep left"]),
            pair("keep left", "keep right")
        );
        assert_eq!(
            find(&["TurnLeft", "turnRight"]),
            pair("TurnLeft", "turnRight")
        );
        assert_eq!(find(&["right whale", "left-over"]), None);
        assert_eq!(find(&[]), None);
    }
}
