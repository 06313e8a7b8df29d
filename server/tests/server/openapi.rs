//! The OpenAPI document tells the truth.

use std::collections::BTreeSet;

use promptfed_prompts::protocol::PROBLEM_MEDIA_TYPE;
use serde_json::Value;

use crate::support::Fixture;

/// Method, path, and the problems it can end in beside 408, 429, 500, 503 and 507.
const ROUTES: [(&str, &str, &[u16]); 38] = [
    ("get", "/health", &[]),
    ("get", "/openapi.json", &[]),
    ("get", "/ready", &[]),
    ("get", "/metrics", &[401, 403]),
    ("post", "/v1/clients", &[400, 401, 403, 409, 413, 415, 422]),
    ("get", "/v1/clients", &[401, 403]),
    ("delete", "/v1/clients/{client_id}", &[400, 401, 403, 404]),
    ("post", "/v1/enrolment", &[400, 403, 410, 413, 415, 422]),
    (
        "post",
        "/v1/registrations",
        &[400, 401, 403, 409, 413, 415, 422],
    ),
    (
        "delete",
        "/v1/rounds/{round_id}",
        &[400, 401, 403, 404, 409],
    ),
    ("get", "/v1/rounds/{round_id}/log", &[400, 401, 403, 404]),
    (
        "post",
        "/v1/rounds/{round_id}/retry",
        &[400, 401, 403, 404, 409],
    ),
    (
        "get",
        "/v1/rounds/{round_id}/submissions",
        &[400, 401, 403, 404],
    ),
    (
        "put",
        "/v1/rounds/{round_id}/exclusions/{client_id}",
        &[400, 401, 403, 404, 409],
    ),
    (
        "delete",
        "/v1/rounds/{round_id}/exclusions/{client_id}",
        &[400, 401, 403, 404, 409],
    ),
    ("get", "/v1/rounds", &[401, 403]),
    ("post", "/v1/rounds", &[400, 401, 403, 413, 415, 422]),
    ("get", "/v1/rounds/{round_id}", &[400, 401, 403, 404]),
    ("get", "/v1/rounds/{round_id}/status", &[400, 401, 403, 404]),
    (
        "post",
        "/v1/rounds/{round_id}/close",
        &[400, 401, 403, 404, 409],
    ),
    (
        "post",
        "/v1/rounds/{round_id}/cancel",
        &[400, 401, 403, 404, 409],
    ),
    (
        "put",
        "/v1/rounds/{round_id}/submission",
        &[400, 401, 403, 404, 409, 413, 415, 422],
    ),
    (
        "get",
        "/v1/rounds/{round_id}/submission",
        &[400, 401, 403, 404],
    ),
    (
        "get",
        "/v1/rounds/{round_id}/sealing",
        &[400, 401, 403, 404],
    ),
    (
        "delete",
        "/v1/rounds/{round_id}/submission",
        &[400, 401, 403, 404, 409],
    ),
    (
        "get",
        "/v1/rounds/{round_id}/results",
        &[400, 401, 403, 404, 409],
    ),
    (
        "get",
        "/v1/rounds/{round_id}/synthetic",
        &[400, 401, 403, 404, 409],
    ),
    (
        "get",
        "/v1/rounds/{round_id}/model",
        &[400, 401, 403, 404, 409],
    ),
    ("get", "/v1/rounds/{round_id}/images", &[400, 401, 403, 404]),
    (
        "get",
        "/v1/rounds/{round_id}/images/{hash}",
        &[400, 401, 403, 404],
    ),
    (
        "post",
        "/v1/rounds/{round_id}/drops",
        &[400, 401, 403, 404, 413, 415, 422],
    ),
    (
        "post",
        "/v1/rounds/{round_id}/trainings",
        &[400, 401, 403, 404, 409, 413, 415, 422],
    ),
    (
        "get",
        "/v1/rounds/{round_id}/trainings",
        &[400, 401, 403, 404],
    ),
    (
        "get",
        "/v1/rounds/{round_id}/trainings/{training}",
        &[400, 401, 403, 404, 409],
    ),
    (
        "get",
        "/v1/rounds/{round_id}/trainings/{training}/model",
        &[400, 401, 403, 404, 409],
    ),
    (
        "post",
        "/v1/rounds/{round_id}/trainings/{training}/publish",
        &[400, 401, 403, 404, 409],
    ),
    (
        "post",
        "/v1/rounds/{round_id}/trainings/{training}/cancel",
        &[400, 401, 403, 404, 409],
    ),
    (
        "post",
        "/v1/rounds/{round_id}/trainings/{training}/retry",
        &[400, 401, 403, 404, 409],
    ),
];

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into()
}

fn document(fixture: &Fixture) -> Value {
    let url = format!("{}/openapi.json", fixture.server.url());
    let text = agent()
        .get(&url)
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_route_and_every_problem_is_listed() {
    let fixture = Fixture::start();
    let document = document(&fixture);
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let mut listed = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            listed.insert((method.clone(), path.clone()));
        }
    }
    let expected = ROUTES.map(|(method, path, _)| (method.to_owned(), path.to_owned()));
    assert_eq!(listed, BTreeSet::from(expected));
    for (method, path, problems) in ROUTES {
        let operation = &document["paths"][path][method];
        assert!(operation["operationId"].is_string());
        let responses = operation["responses"].as_object().unwrap();
        let found: BTreeSet<u16> = responses
            .keys()
            .map(|status| status.parse().unwrap())
            .collect();
        let found: Vec<u16> = found.into_iter().filter(|status| *status >= 400).collect();
        let mut expected = [problems, &[408, 429, 500, 503, 507]].concat();
        expected.sort_unstable();
        assert_eq!(found, expected, "{method} {path}");
        for status in found {
            let response = &responses[&status.to_string()];
            assert!(
                response["content"][PROBLEM_MEDIA_TYPE].is_object(),
                "{method} {path} {status}"
            );
        }
        let open = ["/health", "/openapi.json", "/ready", "/v1/enrolment"].contains(&path);
        assert_eq!(operation["security"].is_array(), !open, "{method} {path}");
    }
}

#[test]
fn every_listed_route_exists() {
    let fixture = Fixture::start();
    for (method, path, _) in ROUTES {
        let url = format!(
            "{}{}",
            fixture.server.url(),
            path.replace("{round_id}", "1")
                .replace("{client_id}", "1")
                .replace("{training}", "1")
                .replace("{hash}", "0")
        );
        let request = ureq::http::Request::builder()
            .method(method.to_uppercase().as_str())
            .uri(url)
            .body(());
        let status = agent().run(request.unwrap()).unwrap().status().as_u16();
        let needs_token = path.starts_with("/v1") || path == "/metrics";
        let expected = match path {
            // It says that it takes a message, and of which type.
            "/v1/enrolment" => 415,
            _ if needs_token => 401,
            _ => 200,
        };
        assert_eq!(status, expected, "{method} {path}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn visit(value: &Value, root: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(root.pointer(pointer).is_some(), "{reference}");
                }
                fields.values().for_each(|field| visit(field, root));
            }
            Value::Array(items) => items.iter().for_each(|item| visit(item, root)),
            _ => {}
        }
    }
    let document = document(&Fixture::start());
    visit(&document, &document);
    let schemas = &document["components"]["schemas"];
    assert!(schemas["RoundSpec"]["properties"]["synthesis"].is_object());
    for (message, source) in [
        ("SynthesisPlan", "SourcePlan"),
        ("RoundResults", "SourceSummary"),
        ("SyntheticSummary", "SourceSummary"),
        ("FusionSummary", "FusedSource"),
    ] {
        let sources = &schemas[message]["properties"]["sources"]["items"]["$ref"];
        assert_eq!(
            sources,
            &format!("#/components/schemas/{source}"),
            "{message}"
        );
    }
    let bytes = &document["paths"]["/v1/rounds/{round_id}/submission"]["put"]["requestBody"]["content"]
        ["application/vnd.promptfed.prompts"]["schema"]["$ref"];
    assert_eq!(bytes, "#/components/schemas/Bytes");
    assert_eq!(schemas["Bytes"]["type"], "string");
    assert_eq!(schemas["Bytes"]["format"], "binary");
    let classes = &schemas["LabelSpace"]["properties"]["classes"]["items"]["$ref"];
    assert_eq!(classes, "#/components/schemas/ClassEntry");
    assert!(schemas["ClassEntry"]["properties"]["prompt_name"].is_object());
    let names = |schema: &Value| schema.to_string().contains("#/components/schemas/");
    for (message, field) in [
        ("SynthesisPlan", "fuse"),
        ("FusePlan", "quotas"),
        ("FusePlan", "task"),
        ("RoundResults", "fusion"),
    ] {
        let schema = &schemas[message]["properties"][field];
        assert!(names(schema), "{message} {field}: {schema}");
    }
}

/// Public generators of clients leave out enums whose variants hold objects without a name.
#[test]
fn what_stands_in_the_variants_of_enums_has_a_name() {
    let document = document(&Fixture::start());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let guidance = schemas["GuidancePlan"]["oneOf"].as_array().unwrap().iter();
    let uniform = guidance.filter_map(|one| one["properties"]["uniform"]["$ref"].as_str());
    let uniform: Vec<&str> = uniform.collect();
    assert_eq!(uniform, ["#/components/schemas/GuidancePlanUniform"]);
    assert!(schemas["GuidancePlanUniform"]["properties"]["low"].is_object());
    // What lies flat in a status is an object and no choice.
    assert!(schemas["RoundState"]["properties"]["reason"].is_object());
    for (name, schema) in schemas {
        for variant in schema["oneOf"].as_array().into_iter().flatten() {
            for field in variant["properties"].as_object().into_iter().flatten() {
                assert!(field.1["properties"].is_null(), "{name} {}", field.0);
            }
        }
    }
}
