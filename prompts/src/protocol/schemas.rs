//! How texts with rules of their own stand in the OpenAPI document.

use utoipa::ToSchema;

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
