//! An example at the end of each command's help.

use clap::Command;

/// The commands, those below others with a blank between, and what to type. What stands here is parsed by a test.
const EXAMPLES: &[(&str, &str)] = &[
    ("demo", "promptfed demo --quick --out look"),
    (
        "extract",
        "promptfed extract photos/ --label-space imagenette --level domain --min-group 5",
    ),
    (
        "label-space",
        "promptfed label-space from photos/ --out classes.toml",
    ),
    (
        "label-space from",
        "promptfed label-space from photos/ --out classes.toml",
    ),
    ("label-space list", "promptfed label-space list"),
    ("label-space show", "promptfed label-space show imagenette"),
    ("enrol", "promptfed enrol hospital-a.enrol"),
    ("submit", "promptfed submit prompts.json --round 1"),
    (
        "receipt",
        "promptfed receipt prompts.round-1.receipt.json --check",
    ),
    ("withdraw", "promptfed withdraw --round 1"),
    (
        "serve",
        "promptfed serve --addr 0.0.0.0:7878 --tls self-signed --data-dir federation --engine pocket --engine sd:models/sd15",
    ),
    (
        "backup",
        "promptfed backup copies/monday --data-dir federation",
    ),
    (
        "restore",
        "promptfed restore copies/monday --data-dir federation-again",
    ),
    (
        "client",
        "promptfed client add hospital-a --address https://server:7878 --admin-token-file federation/admin.token > hospital-a.enrol",
    ),
    (
        "client add",
        "promptfed client add hospital-a --address https://server:7878 --admin-token-file federation/admin.token > hospital-a.enrol",
    ),
    (
        "client list",
        "promptfed client list --admin-token-file federation/admin.token",
    ),
    (
        "client revoke",
        "promptfed client revoke hospital-a --admin-token-file federation/admin.token",
    ),
    (
        "client rotate",
        "promptfed client rotate hospital-a --address https://server:7878 --admin-token-file federation/admin.token > hospital-a.enrol",
    ),
    ("round", "promptfed round status 1 --wait"),
    (
        "round open",
        "promptfed round open classes.toml --level domain --expected-clients 5 --images 5000 --admin-token-file federation/admin.token",
    ),
    ("round spec", "promptfed round spec 1 --out round.json"),
    ("round show", "promptfed round show 1"),
    ("round list", "promptfed round list"),
    (
        "round status",
        "promptfed round status 1 --wait --timeout 3600",
    ),
    (
        "round close",
        "promptfed round close 1 --admin-token-file federation/admin.token",
    ),
    (
        "round cancel",
        "promptfed round cancel 1 --admin-token-file federation/admin.token",
    ),
    (
        "round submissions",
        "promptfed round submissions 1 --admin-token-file federation/admin.token",
    ),
    (
        "round log",
        "promptfed round log 1 --admin-token-file federation/admin.token",
    ),
    (
        "round retry",
        "promptfed round retry 1 --admin-token-file federation/admin.token",
    ),
    (
        "round exclude",
        "promptfed round exclude 1 hospital-a --admin-token-file federation/admin.token",
    ),
    (
        "round delete",
        "promptfed round delete 1 --force --admin-token-file federation/admin.token",
    ),
    (
        "round images",
        "promptfed round images 1 --class cat --out look --admin-token-file federation/admin.token",
    ),
    (
        "round train",
        "promptfed round train 1 --epochs 40 --learning-rate 0.02 --wait --admin-token-file federation/admin.token",
    ),
    (
        "round redraw",
        "promptfed round redraw 1 --class cat --wait --publish --admin-token-file federation/admin.token",
    ),
    (
        "round trainings",
        "promptfed round trainings 1 --admin-token-file federation/admin.token",
    ),
    (
        "round publish",
        "promptfed round publish 1 2 --admin-token-file federation/admin.token",
    ),
    ("round results", "promptfed round results 1 --json"),
    (
        "round model",
        "promptfed round model 1 --out model.safetensors",
    ),
    (
        "write",
        "promptfed write prompts.json --per-prompt 20 --seed 1 --out written.jsonl",
    ),
    (
        "synth",
        "promptfed synth --prompts prompts.json --engine pocket --images 3000 --out synthetic",
    ),
    (
        "worker",
        "promptfed worker synthetic --engine sd:models/sd15 --precision bf16",
    ),
    ("run", "promptfed run list synthetic"),
    ("run list", "promptfed run list synthetic"),
    ("run show", "promptfed run show synthetic"),
    ("run pause", "promptfed run pause synthetic"),
    ("run resume", "promptfed run resume synthetic"),
    ("run cancel", "promptfed run cancel synthetic"),
    ("run retry", "promptfed run retry synthetic"),
    (
        "synth serve",
        "promptfed synth serve --engine pocket --addr 0.0.0.0:7979 --allow-plain-http --token-file images.token",
    ),
    (
        "synth show",
        "promptfed synth show synthetic/images/cat/00000000.png",
    ),
    (
        "synth remake",
        "promptfed synth remake synthetic/images/cat/00000000.png --out again.png",
    ),
    (
        "fuse",
        "promptfed fuse sets/photo sets/draw --select random --keep 1000 --out fused",
    ),
    (
        "export",
        "promptfed export model.safetensors --out model.onnx",
    ),
    (
        "feedback",
        "promptfed feedback private/ --models fused/task-models --out feedback.json",
    ),
    (
        "train",
        "promptfed train synthetic --epochs 30 --out model.safetensors",
    ),
    ("evaluate", "promptfed evaluate model.safetensors test/"),
    (
        "predict",
        "promptfed predict model.safetensors pictures/ --top 3 --csv predictions.csv",
    ),
    (
        "quality",
        "promptfed quality synthetic/ test/ --seen public/",
    ),
    (
        "partition",
        "promptfed partition photos/ --partition dirichlet:5:0.5",
    ),
    (
        "compare",
        "promptfed compare --private train/ --test test/ --partition dirichlet:5:0.5 --methods fgl,fedavg,centralised,chance",
    ),
    (
        "results",
        "promptfed results grid-results --out docs/results.md",
    ),
    ("methods", "promptfed methods --json"),
    ("doctor", "promptfed doctor --server https://server:7878"),
    ("schema", "promptfed schema round status"),
    (
        "completions",
        "promptfed completions bash > ~/.local/share/bash-completion/completions/promptfed",
    ),
    ("man", "promptfed man | man -l -"),
];

/// The command line with an example in each command's help.
pub(crate) fn added(mut root: Command) -> Command {
    for (path, example) in EXAMPLES {
        let mut names = path.split(' ');
        let place = names.try_fold(&mut root, |above, name| above.find_subcommand_mut(name));
        if let Some(command) = place {
            *command = std::mem::take(command).after_help(format!("Example:\n  {example}"));
        }
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    /// The paths of all commands below one, but for clap's own `help`.
    fn paths(command: &Command, above: &[&str]) -> Vec<Vec<String>> {
        let own = |c: &&Command| c.get_name() != "help";
        let each = command.get_subcommands().filter(own).map(|sub| {
            let path = [above, &[sub.get_name()]].concat();
            let mut all = vec![path.iter().map(ToString::to_string).collect()];
            all.extend(paths(sub, &path));
            all
        });
        each.flatten().collect()
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        let mut root = crate::command();
        root.build();
        let all = paths(&root, &[]);
        assert!(all.len() > 30, "{all:?}");
        for path in &all {
            let mut args = vec!["promptfed"];
            args.extend(path.iter().map(String::as_str));
            args.push("--help");
            let told = root.clone().try_get_matches_from(args).unwrap_err();
            let name = path.join(" ");
            assert_eq!(told.kind(), ErrorKind::DisplayHelp, "{name}");
            assert_eq!(told.exit_code(), 0, "{name}");
            let example = format!("Example:\n  promptfed {}", path[0]);
            let help = told.to_string();
            assert!(help.contains(&example), "{name} has no example: {help}");
        }
    }

    #[test]
    fn examples_are_of_commands_that_there_are_and_parse() {
        let mut root = crate::command();
        root.build();
        let all: Vec<String> = paths(&root, &[]).iter().map(|p| p.join(" ")).collect();
        let mut seen = std::collections::BTreeSet::new();
        for (command, example) in EXAMPLES {
            assert!(all.iter().any(|path| path == command), "{command}");
            assert!(seen.insert(command), "{command} stands twice");
            crate::documentation::parse(&root, example).unwrap();
        }
    }
}
