//! Names of files that tell of methods.

use std::collections::BTreeSet;

use crate::comparison::Comparison;

/// Longest name.
const MAX_CHARACTERS: usize = 60;

/// A name for the files of each method, in the order of the methods: letters, digits, points and dashes, no two alike on any disk.
pub(super) fn stems(comparison: &Comparison) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let methods = comparison.methods.iter();
    methods
        .map(|method| {
            let stem = stem(&method.name);
            let numbered = (2..).map(|n| format!("{stem}-{n}"));
            let mut candidates = std::iter::once(stem.clone()).chain(numbered);
            let free = candidates.find(|candidate| !taken.contains(candidate));
            let free = free.unwrap_or(stem);
            taken.insert(free.clone());
            free
        })
        .collect()
}

/// `fedprox:mu=0.1` as `fedprox-mu-0.1`.
fn stem(name: &str) -> String {
    let mut stem = String::new();
    for c in name.chars().take(MAX_CHARACTERS) {
        if c.is_ascii_alphanumeric() || c == '.' && !stem.is_empty() {
            stem.push(c.to_ascii_lowercase());
        } else if !stem.ends_with('-') {
            stem.push('-');
        }
    }
    let stem = stem.trim_matches(['-', '.']);
    if stem.is_empty() {
        "method".to_owned()
    } else {
        stem.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_files_everywhere() {
        assert_eq!(stem("fedprox:mu=0.1"), "fedprox-mu-0.1");
        assert_eq!(stem("../../etc/passwd"), "etc-passwd");
        assert_eq!(stem("\"'><script>"), "script");
        assert_eq!(stem("=:"), "method");
        assert!(stem(&"m".repeat(2000)).len() <= MAX_CHARACTERS);
    }
}
