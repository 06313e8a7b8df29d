//! Folder names for classes: whatever a class is called, its images come back under its name.

use std::collections::HashSet;

use super::metadata::METADATA_FILE;

/// Name of the file beside the class folders that says which class each stands for: lines of folder, tab, class.
pub const CLASSES_FILE: &str = "classes.tsv";

/// Longest folder name in bytes, well below the 255 of most file systems.
const LONGEST: usize = 180;

/// A folder name for every class, in order: one that every file system takes, and that no other class has, also where case
/// does not count. Most names stay as they are.
pub(crate) fn folder_names(class_names: &[String]) -> Vec<String> {
    // Files of these names lie beside the folders.
    let mut taken: HashSet<String> = [CLASSES_FILE, METADATA_FILE].map(caseless).into();
    let mut names = Vec::with_capacity(class_names.len());
    for (index, class) in class_names.iter().enumerate() {
        let mut name = safe(class);
        if !taken.insert(caseless(&name)) {
            // No other name has a tilde.
            name = format!("{name}~{index}");
            taken.insert(caseless(&name));
        }
        names.push(name);
    }
    names
}

/// The lines of [`CLASSES_FILE`].
pub(crate) fn classes_file(class_names: &[String]) -> String {
    let folders = folder_names(class_names);
    let lines = folders.iter().zip(class_names);
    lines
        .map(|(folder, class)| format!("{folder}\t{class}\n"))
        .collect()
}

/// A class name as a folder name of every file system: letters, digits and `-_(),'` stay, and blanks and dots between them; every
/// other byte of ASCII is written `%xx`, so is the first letter of what Windows keeps for devices, and what is too long is cut.
fn safe(class_name: &str) -> String {
    let last = class_name.len().saturating_sub(1);
    let is_device = is_device(class_name);
    let mut name = String::with_capacity(class_name.len());
    for (i, c) in class_name.char_indices() {
        let is_inner = i > 0 && i < last;
        let stays = c.is_ascii_alphanumeric()
            || !c.is_ascii()
            || "-_(),'".contains(c)
            || is_inner && (c == ' ' || c == '.');
        if stays && !(is_device && i == 0) {
            name.push(c);
        } else {
            name.push_str(&format!("%{:02x}", u32::from(c)));
        }
        if name.len() > LONGEST {
            name.push_str("~cut");
            break;
        }
    }
    name
}

/// Whether Windows takes the name for a device, whatever its ending.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let stem = stem.to_ascii_uppercase();
    let numbered = |kind: &str| {
        stem.strip_prefix(kind).is_some_and(|rest| {
            rest.chars().count() == 1
                && rest
                    .chars()
                    .all(|c| "123456789\u{b9}\u{b2}\u{b3}".contains(c))
        })
    };
    ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str()) || numbered("COM") || numbered("LPT")
}

/// What names have in common that a file system without case takes for one.
fn caseless(name: &str) -> String {
    name.to_lowercase().to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Vec<String> {
        folder_names(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn folder_names_are_safe() {
        let cases = [
            ("french horn", "french horn"),
            ("kite, bird of prey", "kite, bird of prey"),
            ("St. Bernard", "St. Bernard"),
            ("../etc/passwd", "%2e./etc/passwd"),
            (".hidden", "%2ehidden"),
            ("etc.", "etc%2e"),
            ("..", "%2e%2e"),
            ("100%", "100%25"),
            ("T-shirt/top", "T-shirt%2ftop"),
            ("CON", "%43ON"),
            ("nul.txt", "%6eul.txt"),
            ("com1", "%63om1"),
            ("console", "console"),
            ("\u{e9}clair", "\u{e9}clair"),
        ];
        for (class, folder) in cases {
            assert_eq!(of(&[class])[0], folder.replace('/', "%2f"));
        }
    }

    #[test]
    fn folder_names_differ_also_without_case_and_cut() {
        let long = |c: char| format!("{}{c}", "/".repeat(119));
        let (one, other) = (long('a'), long('b'));
        let classes = [
            "US",
            "us",
            "Us",
            "a/b",
            "a%2fb",
            "stra\u{df}e",
            "STRASSE",
            &one,
            &other,
        ];
        let folders = of(&classes);
        let mut distinct: Vec<_> = folders.iter().map(|f| caseless(f)).collect();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), classes.len(), "{folders:?}");
        assert!(folders.iter().all(|f| f.len() <= 255));
        assert_eq!(folders[..3], ["US", "us~1", "Us~2"]);
        let text = classes_file(&classes.map(str::to_owned));
        assert!(text.starts_with("US\tUS\nus~1\tus\n"), "{text}");
    }
}
