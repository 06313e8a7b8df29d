//! Pictures of which nobody has said what they show.

use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, ImageSource, Sample};
use crate::tree::Tree;
use crate::{DataError, DatasetWarning, Result};

/// The pictures of files and folders, in the order given; those of a folder and the folders below it by name. What folders are called is not read.
/// All samples have the label 0, and there is no class.
///
/// # Errors
/// A path that is not there, and paths without a picture.
pub fn open_unlabelled<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Result<Dataset> {
    let mut dataset = Dataset::default();
    let mut asked = Vec::new();
    for path in paths {
        asked.push(path.display().to_string());
        if !fs_err::metadata(path)?.is_dir() {
            dataset.samples.push(sample(path));
            continue;
        }
        let tree = Tree::walk(path)?;
        let pictures = tree.places.iter().flat_map(|place| &place.pictures);
        dataset
            .samples
            .extend(pictures.map(|picture| sample(picture)));
        let left_out = &mut dataset.warnings;
        let of = |paths: Vec<PathBuf>, warning: fn(PathBuf) -> DatasetWarning| {
            paths.into_iter().map(warning)
        };
        left_out.extend(of(tree.dangling, |path| DatasetWarning::DanglingLink {
            path,
        }));
        left_out.extend(of(tree.not_regular, |path| DatasetWarning::NotRegular {
            path,
        }));
        left_out.extend(of(tree.not_entered, |path| {
            DatasetWarning::FolderNotEntered { path }
        }));
    }
    if dataset.samples.is_empty() {
        return Err(DataError::NoSamples {
            path: asked.join(", ").into(),
            reason: "there is no picture in it".to_owned(),
        });
    }
    Ok(dataset)
}

fn sample(picture: &Path) -> Sample {
    Sample {
        label: 0,
        domain: None,
        caption: None,
        source: ImageSource::File(picture.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let paint = |name: &str| {
            let file = folder.path().join(name);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            image::RgbImage::new(4, 4).save(&file).unwrap();
            file
        };
        let (one, deep, flat) = (paint("z.png"), paint("many/in/a.png"), paint("many/b.png"));
        fs_err::write(folder.path().join("many/notes.txt"), "no picture").unwrap();
        let many = folder.path().join("many");
        let found = open_unlabelled([one.as_path(), &many]).unwrap();
        let sources: Vec<_> = found.samples.iter().map(|s| s.source.clone()).collect();
        assert_eq!(sources, [one, flat, deep].map(ImageSource::File));
        let empty = folder.path().join("empty");
        fs_err::create_dir(&empty).unwrap();
        let told = open_unlabelled([empty.as_path()]).unwrap_err().to_string();
        assert!(told.contains("empty"), "{told}");
        assert!(open_unlabelled([folder.path().join("gone").as_path()]).is_err());
    }

    #[test]
    fn folders_that_lie_too_deep_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("a.png");
        image::RgbImage::new(4, 4).save(&top).unwrap();
        let below = |depth| {
            let nested = (0..depth).map(|_| "in");
            nested.fold(folder.path().to_owned(), |path, name| path.join(name))
        };
        fs_err::create_dir_all(below(14)).unwrap();
        let found = open_unlabelled([folder.path()]).unwrap();
        assert_eq!(found.samples.len(), 1);
        let left_out = DatasetWarning::FolderNotEntered { path: below(13) };
        assert_eq!(found.warnings, [left_out]);
    }
}
