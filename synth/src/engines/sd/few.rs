//! Long lists in messages: the first names and a count.

/// Names that a message tells one by one.
const TOLD: usize = 3;

/// The first names, and how many more there are.
pub(super) fn few<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let mut names = names.into_iter();
    let told: Vec<S> = names.by_ref().take(TOLD).collect();
    let told: Vec<&str> = told.iter().map(S::as_ref).collect();
    match names.count() {
        0 => told.join(", "),
        more => format!("{} and {more} more", told.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::few;

    #[test]
    fn the_rest_is_counted() {
        assert_eq!(few(["a", "b", "c"]), "a, b, c");
        assert_eq!(few((0..203).map(|i| i.to_string())), "0, 1, 2 and 200 more");
        assert_eq!(few([""; 0]), "");
    }
}
