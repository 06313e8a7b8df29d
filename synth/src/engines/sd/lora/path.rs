//! What can be wrong with the path of an adapter before it is read.

use std::path::Path;

use crate::engines::sd::few::few;

/// Endings of files that PyTorch pickles.
const PICKLED: [&str; 6] = ["bin", "ckpt", "pickle", "pkl", "pt", "pth"];

/// Why a path is no adapter, and what to give instead; `None` where it may be one or reading it tells.
pub(super) fn path_fault(path: &Path) -> Option<String> {
    if path.is_dir() {
        let inside = files(path);
        return Some(if inside.is_empty() {
            "it is a folder without safetensors files; give the file of an adapter".into()
        } else {
            format!("it is a folder; give the file in it: {}", few(inside))
        });
    }
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    if !path.exists() {
        return is_hub_id(path).then(|| {
            "there is no such file, and adapters of the hub are not downloaded; download its safetensors file and give that".into()
        });
    }
    PICKLED.contains(&ending.to_lowercase().as_str()).then(|| {
        format!(
            "it is pickled (.{ending}) and may run code; convert it in Python: \
             safetensors.torch.save_file(torch.load({:?}, weights_only=True), {:?})",
            path.display().to_string(),
            path.with_extension("safetensors").display().to_string()
        )
    })
}

/// The safetensors files in a folder, by name.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|n| n.ends_with(".safetensors")).collect();
    names.sort();
    names
}

/// Whether a path that does not exist reads like OWNER/NAME of the hub.
fn is_hub_id(path: &Path) -> bool {
    let text = path.to_string_lossy();
    path.is_relative()
        && text.split('/').count() == 2
        && !text.starts_with('.')
        && !text.ends_with(".safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_has_its_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let fault = |path: &Path| path_fault(path).unwrap();
        assert!(fault(dir.path()).contains("folder without safetensors"));
        for name in ["b.safetensors", "a.safetensors", "c.bin"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        assert!(fault(dir.path()).ends_with("a.safetensors, b.safetensors"));
        let pickled = fault(&dir.path().join("c.bin"));
        for part in ["pickled (.bin)", "weights_only=True", "c.safetensors"] {
            assert!(pickled.contains(part), "{pickled}");
        }
        assert!(fault(Path::new("owner/some-lora")).contains("not downloaded"));
        assert_eq!(path_fault(&dir.path().join("a.safetensors")), None);
        assert_eq!(path_fault(Path::new("folder/missing.safetensors")), None);
    }
}
