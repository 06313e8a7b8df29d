//! How texts with rules of their own stand in the OpenAPI document.

use std::borrow::Cow;

use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::RoundState;
use crate::ClassEntry;

/// An ordered list of classes with distinct names.
#[derive(ToSchema)]
#[schema(as = LabelSpace)]
#[allow(dead_code)] // read by the derive only
pub(crate) struct LabelSpaceSchema {
    /// The list's name.
    name: String,
    /// The classes, 1 to 65,536.
    classes: Vec<ClassEntry>,
}

/// Texts around class, domain and caption.
#[derive(ToSchema)]
#[schema(as = TemplateSet)]
#[allow(dead_code)] // read by the derive only
pub(crate) struct TemplateSetSchema {
    /// The set's name.
    name: String,
    /// The templates, each for prompts of one level with or without a domain.
    templates: Vec<TemplateSchema>,
}

/// A text with placeholders.
#[derive(ToSchema)]
#[schema(as = Template)]
#[allow(dead_code)] // read by the derive only
pub(crate) struct TemplateSchema {
    /// `class`, `domain` or `instance`.
    level: String,
    /// The domains it serves.
    domains: Option<Vec<String>>,
    /// Whether it serves every domain that has no template of its own.
    any_domain: Option<bool>,
    /// What to draw.
    positive: String,
    /// What to keep away from.
    negative: Option<String>,
}

/// A state, and what belongs to it: one object, since it lies flat in the statuses, where few generators of clients take a choice.
#[derive(ToSchema)]
#[schema(as = RoundState)]
#[allow(dead_code)] // read by the derive only
struct RoundStateSchema {
    /// `open`, `queued`, `synthesising`, `fusing`, `training`, `paused`, `done`, `failed` or `cancelled`; later servers may have others.
    state: String,
    /// Images, or steps of the stage, that are finished: of `synthesising` and `fusing`.
    done: Option<u64>,
    /// Images, or steps of the stage, in all: of `synthesising` and `fusing`.
    total: Option<u64>,
    /// What is being done, in words: of `fusing`.
    stage: Option<String>,
    /// Epochs finished: of `training`.
    epoch: Option<u32>,
    /// Epochs planned: of `training`.
    epochs: Option<u32>,
    /// What happened, and what to do, in one sentence: of `paused` and `failed`.
    reason: Option<String>,
}

impl PartialSchema for RoundState {
    fn schema() -> RefOr<Schema> {
        RoundStateSchema::schema()
    }
}

impl ToSchema for RoundState {
    fn name() -> Cow<'static, str> {
        "RoundState".into()
    }
}
