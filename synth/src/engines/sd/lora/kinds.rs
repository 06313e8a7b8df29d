//! Files of other kinds of adapters than LoRA, by the names of their tensors.

use crate::engines::sd::few::few;

/// What a name has in it, and the kind.
const KINDS: [(&str, &str); 9] = [
    (".hada_w", "LoHa"),
    (".lokr_", "LoKr"),
    (".oft_", "OFT"),
    (".boft_", "BOFT"),
    (".lora_mid", "LoCon with a Tucker core"),
    (".on_input", "IA3"),
    (".diff", "whole differences"),
    ("lora_controlnet", "Control-LoRA"),
    ("lora_embedding_", "LoRA of embeddings"),
];

/// What is wrong with a file of which these tensors, of so many in all, are no part of a low-rank pair.
pub(super) fn kind_fault(unknown: &[String], all: usize) -> String {
    let kind = KINDS
        .iter()
        .find(|(part, _)| unknown.iter().any(|name| name.contains(part)));
    let names = few(unknown);
    match kind {
        Some((_, kind)) => format!(
            "it holds {kind}, which is not offered: {names} are no low-rank pairs; merge it into the model in the program that trained it, or extract a LoRA from it"
        ),
        None => format!(
            "{} of its {all} tensors are no low-rank pairs: {names}; give a LoRA file",
            unknown.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_named_in_a_short_line() {
        for (part, kind) in [
            ("hada_w1_a", "LoHa"),
            ("lokr_w1", "LoKr"),
            ("lora_mid.weight", "Tucker"),
        ] {
            let names: Vec<String> = (0..2000)
                .map(|i| format!("lora_unet_down_blocks_{i}_attn1_to_q.{part}"))
                .collect();
            let fault = kind_fault(&names, 3000);
            assert!(fault.len() < 500, "{fault}");
            for wanted in [kind, "and 1997 more", "no low-rank pairs"] {
                assert!(fault.contains(wanted), "{fault}");
            }
        }
        let fault = kind_fault(&["decoder.layers.0.weight".to_owned()], 7);
        assert!(fault.starts_with("1 of its 7 tensors"), "{fault}");
    }
}
