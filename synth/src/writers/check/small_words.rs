//! Articles, prepositions and the like: they say nothing by themselves, and which language it is.

/// Small words by language. A word of several languages stands with each of them.
pub(super) const SMALL_WORDS: [(&str, &str); 7] = [
    (
        "English",
        "a an the of and or with is are at to for from its by this that there his her on in under near",
    ),
    (
        "German",
        "der die das und mit von ein eine einem einer einen auf ist im am vor unter bei den dem",
    ),
    (
        "French",
        "le la les des une un dans avec sur et du est au aux en sous devant qui",
    ),
    (
        "Spanish",
        "el la los las una un con del en y por sobre es al de bajo que",
    ),
    (
        "Italian",
        "il lo la gli le della di nel nella con una un e su sotto che del al",
    ),
    (
        "Portuguese",
        "o os as uma um com da do em na no e sob que ao de",
    ),
    ("Dutch", "het een van met en op de in is onder bij aan voor"),
];

/// Whether a word is small in any language.
pub(super) fn is_small(word: &str) -> bool {
    SMALL_WORDS
        .iter()
        .any(|(_, small)| small.split(' ').any(|other| other == word))
}
