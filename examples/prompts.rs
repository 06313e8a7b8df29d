//! What crosses the wire: classes, prompts about them, the bytes that travel, and the text that a generator reads of them.
//!
//! `cargo run --release --example prompts`

use promptfed::prompts::{Domain, LabelSpace, Level, PromptSet, TemplateSet};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let classes = LabelSpace::from_names("pets", ["cat", "dog", "fox"])?;
    let mut builder = PromptSet::builder(&classes, Level::Domain, &TemplateSet::builtin("pocket")?);
    // One for each image; equal prompts become one.
    for (class, domain) in [
        ("cat", "photo"),
        ("dog", "photo"),
        ("cat", "photo"),
        ("fox", "sketch"),
    ] {
        let class = classes.index_of(class).ok_or("no such class")?;
        builder.add(class, Some(Domain::try_from(domain)?), None)?;
    }
    let prompts = builder.build()?;

    let wire = prompts.to_wire();
    println!("{} prompts in {} bytes", prompts.len(), wire.len());

    let received = PromptSet::from_wire(&wire, &classes)?;
    for prompt in received.prompts() {
        println!("{}", received.render(prompt, &classes)?.positive);
    }
    Ok(())
}
