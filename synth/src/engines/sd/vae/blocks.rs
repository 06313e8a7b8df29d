//! What encoder and decoder share.

use candle_core::Tensor;
use promptfed_nn::attention::{Mask, attention};
use promptfed_nn::group_norm::GroupNorm;
use promptfed_nn::linear::{Bias, Linear};
use promptfed_nn::load::Loader;
use promptfed_nn::{Activation, Result};

use super::config::VaeConfig;
use crate::engines::sd::resnet::{ResnetBlock, ResnetShape};

pub(super) const EPS: f32 = 1e-6;

pub(super) fn load_resnet(
    loader: &mut Loader,
    config: &VaeConfig,
    name: &str,
    channels_in: usize,
    channels_out: usize,
) -> Result<ResnetBlock> {
    let shape = ResnetShape {
        channels_in,
        channels_out,
        groups: config.norm_num_groups,
        eps: EPS,
        time_width: None,
    };
    ResnetBlock::load(loader, name, shape)
}

/// A residual block, attention with one head among all positions, a residual block.
pub(super) struct MidBlock {
    first: ResnetBlock,
    attention: Option<SelfAttention>,
    second: ResnetBlock,
}

impl MidBlock {
    pub(super) fn load(
        loader: &mut Loader,
        config: &VaeConfig,
        name: &str,
        d: usize,
    ) -> Result<Self> {
        let attention = config
            .mid_block_add_attention
            .then(|| SelfAttention::load(loader, config, &format!("{name}.attentions.0"), d))
            .transpose()?;
        Ok(Self {
            first: load_resnet(loader, config, &format!("{name}.resnets.0"), d, d)?,
            attention,
            second: load_resnet(loader, config, &format!("{name}.resnets.1"), d, d)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = self.first.forward(x, None)?;
        if let Some(attention) = &self.attention {
            x = attention.forward(&x)?;
        }
        self.second.forward(&x, None)
    }
}

struct SelfAttention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

impl SelfAttention {
    fn load(loader: &mut Loader, config: &VaeConfig, name: &str, d: usize) -> Result<Self> {
        let at = |part: &str| format!("{name}.{part}");
        let norm = GroupNorm::load(loader, &at("group_norm"), config.norm_num_groups, d, EPS)?;
        let mut linear = |part: &str| Linear::load(loader, &at(part), d, d, Bias::Present);
        Ok(Self {
            norm,
            query: linear("to_q")?,
            key: linear("to_k")?,
            value: linear("to_v")?,
            out: linear("to_out.0")?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        let tokens = x.reshape((n, h * w, c))?;
        let operand = self.query.operand();
        let normed = self.norm.forward_as(&tokens, Activation::None, operand)?;
        let project = |layer: &Linear| layer.forward_as(&normed, Activation::None, operand);
        let mixed = attention(
            &project(&self.query)?,
            &project(&self.key)?,
            &project(&self.value)?,
            1,
            Mask::None,
            self.query.precision(),
        )?;
        let out = self.out.forward_added(&mixed, &tokens)?;
        Ok(out.reshape((n, h, w, c))?)
    }
}

/// The present name of a tensor of an attention layer in files from before diffusers 0.17.
pub(super) fn present_name(name: &str) -> Option<String> {
    [
        (".query.", ".to_q."),
        (".key.", ".to_k."),
        (".value.", ".to_v."),
        (".proj_attn.", ".to_out.0."),
    ]
    .into_iter()
    .find(|(old, _)| name.contains(".attentions.") && name.contains(old))
    .map(|(old, new)| name.replace(old, new))
}
