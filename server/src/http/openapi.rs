//! The OpenAPI document, except what each route says about itself.

use std::sync::LazyLock;

use promptfed_prompts::protocol::Problem;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components as Named, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Schema,
};
use utoipa::{IntoResponses, OpenApi as _};

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Problem)))]
struct Components;

/// Title, version, schemes of access.
pub(super) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("promptfed")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Federated generative learning: clients submit text prompts, the server makes images of them and trains a model.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0 OR MIT").build()))
        .build();
    let mut document = OpenApiBuilder::from(Components::openapi())
        .info(info)
        .build();
    let components = document.components.get_or_insert_default();
    for (name, what) in [
        (
            "admin",
            "The administrator's token; the server writes it to admin.token in its data folder.",
        ),
        ("client", "A client's token, which it has enrolled with."),
    ] {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(what))
            .build();
        components.add_security_scheme(name, SecurityScheme::Http(scheme));
    }
    document
}

/// The finished document as JSON.
pub(super) static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let (_, mut document) = super::documented().split_for_parts();
    name_contents(document.components.get_or_insert_default());
    document.to_json().unwrap_or_default()
});

/// Gives a name to what stands in the variants of enums. Generators of clients make names of their own for objects without one, and the public one
/// for Python makes those twice and leaves the enum out.
fn name_contents(components: &mut Named) {
    let mut named = Vec::new();
    for (name, schema) in &mut components.schemas {
        let RefOr::T(Schema::OneOf(choice)) = schema else {
            continue;
        };
        for variant in &mut choice.items {
            let RefOr::T(Schema::Object(variant)) = variant else {
                continue;
            };
            for (field, content) in &mut variant.properties {
                if !is_inline_object(content) {
                    continue;
                }
                let own = format!("{name}{}", capitalised(field));
                let reference = RefOr::Ref(Ref::from_schema_name(&own));
                named.push((own, std::mem::replace(content, reference)));
            }
        }
    }
    components.schemas.extend(named);
}

fn is_inline_object(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if !object.properties.is_empty())
}

/// `some_words` as `SomeWords`.
fn capitalised(words: &str) -> String {
    let each = words.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    each.collect()
}

/// Bytes as they are.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code)] // read by the derive only
pub(super) struct Bytes(Vec<u8>);

/// Problems that any route can end in.
#[derive(IntoResponses)]
#[allow(dead_code)] // read by the derive only
pub(super) enum Anywhere {
    /// The request was not finished in time.
    #[response(status = 408, content_type = "application/problem+json")]
    Timeout(#[to_schema] Problem),
    /// This client has as many requests in work as it may; try again after Retry-After seconds.
    #[response(status = 429, content_type = "application/problem+json")]
    Client(#[to_schema] Problem),
    /// The server failed; its log says why.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(#[to_schema] Problem),
    /// The server's disk is full.
    #[response(status = 507, content_type = "application/problem+json")]
    StorageFull(#[to_schema] Problem),
    /// Too many requests at once; try again after Retry-After seconds.
    #[response(status = 503, content_type = "application/problem+json")]
    Busy(#[to_schema] Problem),
}

/// Problems of routes that need a token.
#[derive(IntoResponses)]
#[allow(dead_code)] // read by the derive only
pub(super) enum Access {
    /// No bearer token, or one that the server does not know.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(#[to_schema] Problem),
    /// The token is known but may not do this.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] Problem),
}

/// Problems of routes that take a JSON message.
#[derive(IntoResponses)]
#[allow(dead_code)] // read by the derive only
pub(super) enum Body {
    /// The message cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(#[to_schema] Problem),
    /// The body is larger than the limit.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(#[to_schema] Problem),
    /// The content type is not the one this path takes.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(#[to_schema] Problem),
    /// The message can be read but a value is not acceptable.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(#[to_schema] Problem),
}

/// Problems of routes that spend a code.
#[derive(IntoResponses)]
#[allow(dead_code)] // read by the derive only
pub(super) enum OfCode {
    /// The code is not known here.
    #[response(status = 403, content_type = "application/problem+json")]
    Unknown(#[to_schema] Problem),
    /// The code was used already, or has expired.
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(#[to_schema] Problem),
}

/// Problems of routes that name a round.
#[derive(IntoResponses)]
#[allow(dead_code)] // read by the derive only
pub(super) enum OfRound {
    /// The round is not a number.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(#[to_schema] Problem),
    /// There is no such round.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(#[to_schema] Problem),
}

/// Problems of routes that depend on a round's state.
#[derive(IntoResponses)]
#[allow(dead_code)] // read by the derive only
pub(super) enum OfState {
    /// The round's state does not allow this.
    #[response(status = 409, content_type = "application/problem+json")]
    WrongState(#[to_schema] Problem),
}
