//! Classifiers as ONNX models, for other programs.
//!
//! Field numbers are those of `onnx.proto` (ONNX 1.12, IR version 8); operators are of version 17.

mod message;

use promptfed_nn::batch_norm::EPSILON;

use crate::{Classifier, Result, Weights};
use message::Message;

/// The version of the file format.
const IR_VERSION: u64 = 8;
/// The version of the operators.
const OPERATORS: u64 = 17;

/// Element types.
const FLOAT: u64 = 1;
const UINT8: u64 = 2;

/// Kinds of attributes.
const OF_FLOAT: u64 = 1;
const OF_INT: u64 = 2;
const OF_INTS: u64 = 7;

/// The graph's input: `[n, size, size, 3]`, RGB in 0..=255.
const PIXELS: &str = "pixels";
/// The graph's output: `[n, classes]`.
const PROBABILITIES: &str = "probabilities";

impl Classifier {
    /// The classifier as an ONNX model: from `pixels` (uint8 `[n, size, size, 3]`, RGB, as large as the classifier's images) to `probabilities`
    /// (float `[n, classes]`). Scaling of the pixels is in the graph; class names, size and the way in which pictures become square are in
    /// the model's metadata, as JSON. The same classifier gives the same bytes.
    ///
    /// # Errors
    /// If the weights cannot be read.
    pub fn to_onnx(&self) -> Result<Vec<u8>> {
        let weights = self.weights()?;
        let mut graph = Graph {
            weights: &weights,
            nodes: Vec::new(),
            initialisers: Vec::new(),
        };
        graph.network(self);
        let config = self.config();
        let sides = [
            "n".to_owned(),
            config.image_size.to_string(),
            config.image_size.to_string(),
            "3".to_owned(),
        ];
        let rows = ["n".to_owned(), config.classes.to_string()];
        let body = Message::default()
            .each(1, &graph.nodes)
            .text(2, "promptfed-classifier")
            .each(5, &graph.initialisers)
            .message(11, &value(PIXELS, UINT8, &sides))
            .message(12, &value(PROBABILITIES, FLOAT, &rows));
        let fit = self.recipe().map(|recipe| recipe.fit.to_string());
        let metadata = [
            ("class_names", serde_json::to_string(self.class_names())),
            ("image_size", serde_json::to_string(&config.image_size)),
            ("fit", serde_json::to_string(&fit)),
        ];
        let mut model = Message::default()
            .int(1, IR_VERSION)
            .text(2, "promptfed")
            .text(3, env!("CARGO_PKG_VERSION"))
            .message(7, &body)
            .message(8, &Message::default().text(1, "").int(2, OPERATORS));
        for (key, value) in metadata {
            let value = value.map_err(|e| crate::Error::File {
                reason: e.to_string(),
            })?;
            model = model.message(14, &Message::default().text(1, key).text(2, &value));
        }
        Ok(model.into_bytes())
    }
}

/// Nodes and constants so far.
struct Graph<'a> {
    weights: &'a Weights,
    nodes: Vec<Message>,
    initialisers: Vec<Message>,
}

impl Graph<'_> {
    fn network(&mut self, classifier: &Classifier) {
        self.scalar("scale", 1.0 / 127.5);
        self.scalar("one", 1.0);
        self.node("Cast", &[PIXELS], "levels", &[int("to", FLOAT)]);
        self.node("Mul", &["levels", "scale"], "scaled", &[]);
        self.node("Sub", &["scaled", "one"], "centred", &[]);
        self.node(
            "Transpose",
            &["centred"],
            "images",
            &[ints("perm", &[0, 3, 1, 2])],
        );
        self.normalised("images", ["stem.0", "stem.1"], 1, "stem.sum");
        self.node("Relu", &["stem.sum"], "stem.maps", &[]);
        let mut maps = "stem.maps".to_owned();
        for (index, (_, stride)) in classifier.config().architecture.blocks().iter().enumerate() {
            maps = self.block(&format!("blocks.{index}"), &maps, *stride);
        }
        self.node("GlobalAveragePool", &[&maps], "pooled", &[]);
        self.node("Flatten", &["pooled"], "features", &[int("axis", 1)]);
        self.constant("head.weight");
        self.constant("head.bias");
        let inputs = ["features", "head.weight", "head.bias"];
        self.node("Gemm", &inputs, "logits", &[int("transB", 1)]);
        self.node("Softmax", &["logits"], PROBABILITIES, &[int("axis", 1)]);
    }

    /// `relu(norm(conv(relu(norm(conv(x))))) + skip(x))`; the name of its result.
    fn block(&mut self, name: &str, input: &str, stride: usize) -> String {
        let of = |part: &str| format!("{name}.{part}");
        self.normalised(input, [&of("a"), &of("na")], stride, &of("inner.sum"));
        self.node("Relu", &[&of("inner.sum")], &of("inner"), &[]);
        self.normalised(&of("inner"), [&of("b"), &of("nb")], 1, &of("outer"));
        let skip = self.weights.contains_key(&of("s.weight"));
        let residual = if skip {
            of("skipped")
        } else {
            input.to_owned()
        };
        if skip {
            self.convolution(input, &of("s"), 1, stride, &residual);
        }
        self.node("Add", &[&of("outer"), &residual], &of("sum"), &[]);
        self.node("Relu", &[&of("sum")], &of("maps"), &[]);
        of("maps")
    }

    fn normalised(&mut self, input: &str, [conv, norm]: [&str; 2], stride: usize, output: &str) {
        let convolved = format!("{conv}.maps");
        self.convolution(input, conv, 3, stride, &convolved);
        let parts = ["weight", "bias", "running_mean", "running_var"];
        let parts = parts.map(|part| format!("{norm}.{part}"));
        parts.iter().for_each(|part| self.constant(part));
        let [gamma, beta, mean, variance] = &parts;
        let inputs = [&convolved, gamma, beta, mean, variance].map(String::as_str);
        self.node(
            "BatchNormalization",
            &inputs,
            output,
            &[float("epsilon", EPSILON)],
        );
    }

    fn convolution(&mut self, input: &str, name: &str, kernel: usize, stride: usize, output: &str) {
        let weight = format!("{name}.weight");
        self.constant(&weight);
        let attributes = [
            ints("kernel_shape", &[kernel; 2]),
            ints("pads", &[kernel / 2; 4]),
            ints("strides", &[stride; 2]),
        ];
        self.node("Conv", &[input, &weight], output, &attributes);
    }

    fn node(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: &[Message]) {
        let node = Message::default()
            .texts(1, inputs)
            .text(2, output)
            .text(3, output)
            .text(4, operator)
            .each(5, attributes);
        self.nodes.push(node);
    }

    /// A tensor of the classifier; of one that it lacks nothing, which the file's reader tells.
    fn constant(&mut self, name: &str) {
        if let Some(tensor) = self.weights.get(name) {
            self.tensor(name, &tensor.shape, &tensor.values);
        }
    }

    fn scalar(&mut self, name: &str, value: f32) {
        self.tensor(name, &[], &[value]);
    }

    fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensor = Message::default()
            .ints(1, shape)
            .int(2, FLOAT)
            .text(8, name)
            .bytes(9, &bytes);
        self.initialisers.push(tensor);
    }
}

fn float(name: &str, value: f32) -> Message {
    Message::default()
        .text(1, name)
        .float(2, value)
        .int(20, OF_FLOAT)
}

fn int(name: &str, value: u64) -> Message {
    Message::default()
        .text(1, name)
        .int(3, value)
        .int(20, OF_INT)
}

fn ints(name: &str, values: &[usize]) -> Message {
    Message::default()
        .text(1, name)
        .ints(8, values)
        .int(20, OF_INTS)
}

/// An input or output of the graph, with its element type and its dimensions: numbers, or names of those that are not fixed.
fn value(name: &str, element: u64, dimensions: &[String]) -> Message {
    let dimension = |told: &String| match told.parse() {
        Ok(size) => Message::default().int(1, size),
        Err(_) => Message::default().text(2, told),
    };
    let dimensions: Vec<Message> = dimensions.iter().map(dimension).collect();
    let shape = Message::default().each(1, &dimensions);
    let tensor = Message::default().int(1, element).message(2, &shape);
    let kind = Message::default().message(1, &tensor);
    Message::default().text(1, name).message(2, &kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClassifierConfig;

    #[test]
    fn every_tensor_is_in_it_once_and_the_bytes_are_the_same() {
        for config in [
            ClassifierConfig::new(3, 16).with_width(4),
            ClassifierConfig::resnet18(3, 16).with_width(4),
        ] {
            let classifier = Classifier::new(config, 1).unwrap();
            let weights = classifier.weights().unwrap();
            let mut graph = Graph {
                weights: &weights,
                nodes: Vec::new(),
                initialisers: Vec::new(),
            };
            graph.network(&classifier);
            // And the two numbers that scale pixels.
            assert_eq!(graph.initialisers.len(), weights.len() + 2);
            assert_eq!(classifier.to_onnx().unwrap(), classifier.to_onnx().unwrap());
        }
    }
}
