use promptfed_eval::report::render;

use crate::{assert_sound, sample, section};

const ATTACK: &str = "\"'><script src=//evil.example>alert(1)</script><img src=x onerror=alert(2)>";

#[test]
fn text_from_outside_stays_text() {
    let mut comparison = sample::comparison();
    comparison.title = ATTACK.into();
    comparison.version = ATTACK.into();
    comparison.settings.push((ATTACK.into(), ATTACK.into()));
    comparison.provenance.push((ATTACK.into(), ATTACK.into()));
    comparison.data.classes[0] = ATTACK.into();
    comparison.data.partition = ATTACK.into();
    comparison.data.clients[0].name = ATTACK.into();
    comparison.methods[0].name = ATTACK.into();
    comparison.methods[0].description = ATTACK.into();
    for run in &mut comparison.methods[1].runs {
        run.evaluation.per_domain.insert(ATTACK.into(), 0.5);
    }
    comparison.pairs[0].second = ATTACK.into();
    comparison.prompts[0].client = ATTACK.into();
    comparison.prompts[0].document = ATTACK.into();
    comparison.prompts[0].rendered[0] = (ATTACK.into(), ATTACK.into());
    comparison.gallery[0].class = ATTACK.into();
    comparison.gallery[0].domain = Some(ATTACK.into());
    let html = render(&comparison);
    assert_sound(&html);
    assert!(!html.contains("<img src=x"));
    assert!(!html.contains("\"'>"), "an attribute was left");
    for id in [
        "results",
        "differences",
        "ranks",
        "cost",
        "curves",
        "confusion",
        "domains",
        "prompts",
        "gallery",
        "data",
        "provenance",
    ] {
        assert!(
            section(&html, id).contains("&lt;script src=//evil.example&gt;"),
            "{id} does not show the text"
        );
    }
}

#[test]
fn the_page_forbids_scripts_and_fetching() {
    let html = render(&sample::comparison());
    assert!(
        html.contains("content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"")
    );
}
