//! `promptfed round images`: looking through a round's images, and dropping some.

use super::round::{EndArgs, show};
use super::round_view;
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_client::{AdminClient, ImagesAsked};
use promptfed_files::{FolderKind, OwnFolder, read_text_or_pipe};
use promptfed_prompts::protocol::{DropRequest, ImagePage, RoundId};
use promptfed_synth::job::contact_sheet;
use std::path::{Path, PathBuf};

#[derive(ClapArgs)]
pub(super) struct ImagesArgs {
    #[command(flatten)]
    end: EndArgs,
    /// Only images of this class
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Only images whose prompts have this domain
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Only images that are dropped
    #[arg(long)]
    dropped: bool,
    /// At most so many, the first ones
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Download them into this folder, as HASH.png, with images.jsonl, which tells what each is, and a contact sheet
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Drop these images, by their hashes or the first digits of them, at least 8; then nothing is listed
    #[arg(long, value_name = "HASH", num_args = 1.., conflicts_with_all = ["class", "domain", "dropped", "out"])]
    drop: Vec<String>,
    /// Drop the images that a file names, one hash a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["class", "domain", "dropped", "out"])]
    drop_from: Option<PathBuf>,
    /// Take the images of --drop and --drop-from back in
    #[arg(long)]
    undo: bool,
}

/// Longest file of hashes in bytes.
const LONGEST: u64 = 8 << 20;

/// The file that tells what the images of a folder are.
const LIST: &str = "images.jsonl";

/// How such a folder is known.
const IMAGES_FOLDER: FolderKind = FolderKind {
    what: "a folder of a round's images",
    mark: LIST,
    lock: ".promptfed/images.lock",
};

pub(super) fn run(args: &ImagesArgs, context: &Context) -> Result<()> {
    let named = args.named()?;
    if args.undo && named.is_empty() {
        let text =
            "--undo has no effect without --drop or --drop-from; name the images to take back in";
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    let admin = args.end.connect()?;
    let round = args.end.round;
    if !named.is_empty() {
        let request = DropRequest {
            images: named,
            undo: args.undo,
        };
        let changed = admin.drop_images(round, &request)?;
        return show(context, &changed, &round_view::drops(&changed, args.undo));
    }
    let asked = ImagesAsked {
        class: args.class.clone(),
        domain: args.domain.clone(),
        dropped: args.dropped.then_some(true),
        limit: Some(args.limit),
    };
    let page = admin.images(round, &asked)?;
    let mut text = round_view::images(&page);
    if let Some(folder) = &args.out {
        download(&admin, round, &page, folder)?;
        text += &format!("\n{} images in {}", page.images.len(), folder.display());
    }
    show(context, &page, &text)
}

impl ImagesArgs {
    /// The images that are named to be dropped.
    fn named(&self) -> Result<Vec<String>> {
        let mut named = self.drop.clone();
        if let Some(file) = &self.drop_from {
            let text = read_text_or_pipe(file, LONGEST)?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            named.extend(lines.map(str::to_owned));
            if named.is_empty() {
                let text = format!("{}: no hash is in it; write one a line", file.display());
                return Err(anyhow::Error::msg(text).context(BadInput));
            }
        }
        Ok(named)
    }
}

/// Writes what tells of the images, by which the folder is known, and then the images: a run that was killed is done again, and goes on.
fn download(admin: &AdminClient, round: RoundId, page: &ImagePage, out: &Path) -> Result<()> {
    let folder = OwnFolder::claim(out, IMAGES_FOLDER)?;
    let mut list = String::new();
    for image in &page.images {
        list += &serde_json::to_string(image)?;
        list.push('\n');
    }
    folder.write(&out.join(LIST), list.as_bytes())?;
    let mut shown = Vec::new();
    for image in &page.images {
        let file = format!("{}.png", image.hash);
        let place = out.join(&file);
        if !place.is_file() {
            folder.write(&place, &admin.image(round, image.hash)?)?;
        }
        shown.push((image.class.clone(), file));
    }
    if let Some(sheet) = contact_sheet(&shown, out)? {
        folder.write(&out.join("contact-sheet.png"), &sheet)?;
    }
    Ok(())
}
