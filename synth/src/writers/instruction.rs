//! What a language model is told.

use super::Ask;

/// Most examples of each kind that are shown.
const MOST_EXAMPLES: usize = 8;

/// The longest example that is shown, in characters.
const LONGEST_EXAMPLE: usize = 300;

/// Who the model is to be.
pub(super) const SYSTEM: &str = "You write prompts for a text-to-image model. A prompt is one line that says what a picture shows. \
You write nothing but prompts.";

/// What prompts look like, where no examples were given.
const FORM: &str = "Such lines look like these:
- a photo of an apple, on a wooden table, in soft light
- a sketch of a boat, in a harbour at dawn, seen from above
";

/// The task, with good and bad examples as in-context contrast (WASP, ICML 2025).
pub(super) fn task(ask: &Ask<'_>) -> String {
    let mut text = format!(
        "Write {} of a picture of: {}.\nBegin with these words: {}\nGo on with where it is and how it looks, in at most {} characters of \
         the same language.\n",
        match ask.wanted {
            1 => "a prompt".to_owned(),
            wanted => format!("{wanted} different prompts"),
        },
        ask.class,
        ask.topic.opening,
        ask.longest
    );
    if ask.good.is_empty() {
        text.push_str(FORM);
    }
    if !ask.others.is_empty() {
        text.push_str(&format!("Do not name: {}.\n", ask.others.join(", ")));
    }
    for (examples, told) in [
        (
            ask.good,
            "These prompts gave useful pictures; write like them:\n",
        ),
        (ask.bad, "These did not; write nothing like them:\n"),
    ] {
        if !examples.is_empty() {
            text.push_str(told);
            for example in examples.iter().take(MOST_EXAMPLES) {
                text.push_str(&format!("- {}\n", line(example)));
            }
        }
    }
    text
}

/// A text in one line of bounded length.
fn line(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    line.join(" ").chars().take(LONGEST_EXAMPLE).collect()
}

#[cfg(test)]
mod tests {
    use promptfed_prompts::ClassIndex;

    use super::*;
    use crate::writers::Topic;

    #[test]
    fn both_kinds_of_examples_are_shown_and_bounded() {
        let topic = Topic {
            class: ClassIndex::new(0),
            domain: None,
            opening: "a sketch of a dog".to_owned(),
            negative: String::new(),
        };
        let good: Vec<String> = (0..20)
            .map(|i| format!("good\n{i} {}", "x".repeat(999)))
            .collect();
        let bad = ["bad one".to_owned()];
        let told = task(&Ask {
            topic: &topic,
            class: "dog",
            others: &["cat".to_owned(), "horse".to_owned()],
            good: &good,
            bad: &bad,
            longest: 99,
            first: 0,
            wanted: 3,
            seed: 0,
            cancel: &std::sync::atomic::AtomicBool::new(false),
        });
        for part in [
            "3 different prompts",
            "a sketch of a dog",
            "99 characters",
            "cat, horse",
            "- good 0 xxx",
            "- bad one",
        ] {
            assert!(told.contains(part), "{told}");
        }
        assert!(
            !told.contains("good 8") && !told.contains(FORM) && told.len() < 4000,
            "{told}"
        );
        assert!(told.find("- good 0") < told.find("- bad one"));
    }
}
