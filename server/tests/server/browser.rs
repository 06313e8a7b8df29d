//! The dashboard in a headless Chromium, driven by `tests/dashboard/check.mjs`: progress that comes by itself, a server that is killed and comes back,
//! captions with markup, what axe finds, a phone, a keyboard, no scripts.
//!
//! It needs `npm ci` in `server/tests/dashboard`, node, and a Chromium (`PROMPTFED_CHROMIUM`, or `chromium` of the path), and says so where one is
//! missing. The server is that of the tests of kills.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use promptfed_prompts::protocol::{ImageBudget, SourcePlan};

use crate::crash::{Process, free_address};
use crate::fusion::until;
use crate::support::{captioned_prompts, class_prompts, client, round_spec};

/// A caption that says so where a page has run it.
const CAPTION: &str =
    "<img src=x onerror=\"window.captionRan=1\"><script>window.captionRan=1</script>";

/// Where the script and what it needs are, and the browser; nothing where one is missing.
fn tools() -> Option<(PathBuf, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dashboard");
    let missing = |what: &str| println!("skipped: {what} is missing");
    if !folder.join("node_modules/playwright-core").is_dir() {
        missing("what `npm ci` in server/tests/dashboard fetches");
        return None;
    }
    let runs = |program: &Path| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !runs(Path::new("node")) {
        missing("node");
        return None;
    }
    let browser = std::env::var_os("PROMPTFED_CHROMIUM");
    let browser = browser.map_or_else(|| PathBuf::from("chromium"), PathBuf::from);
    if !runs(&browser) {
        missing("a Chromium");
        return None;
    }
    // Playwright takes no name, only a path.
    let found = match browser.is_absolute() {
        true => Some(browser),
        false => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join(&browser))
            .find(|file| file.is_file()),
    };
    Some((folder, found?))
}

#[test]
fn a_browser_shows_everything_live_and_runs_no_caption() {
    let Some((tools, chromium)) = tools() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let url = format!("http://{address}");
    let mut process = Process::start(folder.path(), address);
    let admin = process.admin(folder.path());
    let engine = match std::env::var_os("PROMPTFED_BIN") {
        Some(_) => "pocket",
        None => "noise",
    };
    let mut spec = round_spec();
    spec.synthesis.sources = vec![SourcePlan::new(engine)];
    spec.synthesis.images = ImageBudget::Total(240);
    let done = admin.open_round(&spec).unwrap().round_id;
    let live = admin.open_round(&spec).unwrap().round_id;
    let a = client(&admin, &url, "a");
    let captions = [CAPTION, "on a mat", "in a box"];
    a.submit(done, &captioned_prompts(&captions)).unwrap();
    admin.close(done).unwrap();
    until(&admin, done, |_| false);
    a.submit(live, &class_prompts(&[0, 1, 2])).unwrap();

    let mut script = Command::new("node")
        .arg(tools.join("check.mjs"))
        .env("DASHBOARD_URL", &url)
        .env(
            "DASHBOARD_TOKEN",
            std::fs::read_to_string(folder.path().join("admin.token"))
                .unwrap()
                .trim(),
        )
        .env("DASHBOARD_CHROMIUM", chromium)
        .env("DASHBOARD_ENGINE", engine)
        .env("DASHBOARD_DONE", done.to_string())
        .env("DASHBOARD_LIVE", live.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = script.stdin.take().unwrap();
    let submit = |name: &str| {
        let prompts = class_prompts(&[0, 1, 2]);
        client(&admin, &url, name).submit(live, &prompts).unwrap();
    };
    for line in BufReader::new(script.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some(wanted) = line.strip_prefix("do ") else {
            println!("{line}");
            continue;
        };
        match wanted {
            "submit b" => submit("b"),
            "restart and submit c and d" => {
                process.kill();
                process = Process::start(folder.path(), address);
                admin.health().unwrap();
                ["c", "d"].into_iter().for_each(submit);
            }
            "close" => {
                admin.close(live).unwrap();
            }
            other => panic!("{other}"),
        }
        writeln!(answers, "done").unwrap();
    }
    assert!(script.wait().unwrap().success());
}
