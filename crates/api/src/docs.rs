//! Readable pages of the description and the codes: server-rendered, without scripts or foreign assets.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use invoice::violation::RULES;
use serde_json::{Map, Value};

use crate::catalogue;
use crate::openapi::openapi;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}\
h2{margin-top:2.5rem;border-bottom:1px solid #ddd}h3{margin-bottom:.2rem}code{background:#f3f3f3;padding:.1rem .25rem;\
border-radius:3px;font-size:.92em}table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}td,th{text-align:left;\
vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #eee}.m{display:inline-block;min-width:4rem;\
font-weight:600}nav a{margin-right:1rem}";

static DESCRIPTION: LazyLock<String> =
    LazyLock::new(|| openapi().to_pretty_json().expect("a description made of strings and numbers always serialises"));
static PAGE: LazyLock<String> = LazyLock::new(render_page);
static ERRORS: LazyLock<String> = LazyLock::new(render_errors);

/// The OpenAPI description.
pub(crate) async fn openapi_json() -> Response {
    std::future::ready(([(CONTENT_TYPE, "application/json")], DESCRIPTION.as_str()).into_response()).await
}

/// The description as a page.
pub(crate) async fn page() -> Response {
    std::future::ready(html(&PAGE)).await
}

/// The codes as a page.
pub(crate) async fn errors_page() -> Response {
    std::future::ready(html(&ERRORS)).await
}

fn html(page: &'static str) -> Response {
    let mut response = ([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response();
    let policy =
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// Text as HTML, with `code` between backquotes.
fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut inside = false;
    for character in raw.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '`' => {
                out.push_str(if inside { "</code>" } else { "<code>" });
                inside = !inside;
            }
            other => out.push(other),
        }
    }
    if inside {
        out.push_str("</code>");
    }
    out
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1><nav><a href=\"/docs\">Routes</a>\
         <a href=\"/docs/errors\">Codes</a><a href=\"/openapi.json\">OpenAPI</a></nav>{body}</html>"
    )
}

/// Appends to a page.
macro_rules! put {
    ($page:expr, $($format:tt)*) => {
        write!($page, $($format)*).expect("writing to a string cannot fail")
    };
}

fn member<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn members<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value.pointer(pointer).and_then(Value::as_object).into_iter().flatten()
}

fn elements<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn render_page() -> String {
    let description: Value = serde_json::from_str(&DESCRIPTION).unwrap_or_default();
    let mut page = format!("<p>{}</p>", text(member(&description["info"], "description")));
    for tag in elements(&description, "tags") {
        let name = member(tag, "name");
        put!(page, "<h2 id=\"{name}\">{name}</h2><p>{}</p>", text(member(tag, "description")));
        for (path, item) in members(&description, "/paths") {
            for (method, operation) in item.as_object().into_iter().flatten() {
                if elements(operation, "tags").any(|tag| tag.as_str() == Some(name)) {
                    render_operation(&mut page, method, path, operation);
                }
            }
        }
    }
    put!(page, "<h2 id=\"schemas\">Shapes</h2>");
    for (name, schema) in members(&description, "/components/schemas") {
        put!(page, "<h3 id=\"{name}\">{name}</h3><p>{}</p>", text(member(schema, "description")));
        render_fields(&mut page, schema);
        for variant in elements(schema, "oneOf") {
            render_fields(&mut page, variant);
            if variant.get("properties").is_none() {
                put!(page, "<p>{} {}</p>", kind(variant), text(member(variant, "description")));
            }
        }
    }
    frame("E-invoice ledger: REST", &page)
}

fn render_operation(page: &mut String, method: &str, path: &str, operation: &Value) {
    let login = match operation.get("security").and_then(Value::as_array) {
        Some(schemes) if schemes.iter().any(|scheme| scheme.as_object().is_some_and(Map::is_empty)) => {
            "Login optional."
        }
        Some(_) => "Needs a login.",
        None => "Public.",
    };
    let method = method.to_uppercase();
    put!(
        page,
        "<h3 id=\"{}\"><span class=\"m\">{method}</span> <code>{}</code></h3>",
        member(operation, "operationId"),
        text(path)
    );
    put!(
        page,
        "<p><b>{}</b><br>{} <i>{login}</i></p><table>",
        text(member(operation, "summary")),
        text(member(operation, "description"))
    );
    for parameter in elements(operation, "parameters") {
        let (name, place) = (text(member(parameter, "name")), member(parameter, "in"));
        put!(page, "<tr><td><code>{name}</code><td>{place}<td>{}</tr>", text(member(parameter, "description")));
    }
    for (media_type, content) in members(operation, "/requestBody/content") {
        put!(page, "<tr><td>body<td>{}<td>{}</tr>", text(media_type), kind(&content["schema"]));
    }
    for (status, response) in members(operation, "/responses") {
        let body =
            members(response, "/content").map(|(_, content)| kind(&content["schema"])).next().unwrap_or_default();
        put!(page, "<tr><td>{status}<td>{body}<td>{}</tr>", text(member(response, "description")));
    }
    put!(page, "</table>");
}

fn render_fields(page: &mut String, schema: &Value) {
    let required: Vec<&str> = elements(schema, "required").filter_map(Value::as_str).collect();
    let mut rows = String::new();
    for (name, field) in members(schema, "/properties") {
        let optional = if required.contains(&name.as_str()) { "" } else { ", optional" };
        put!(
            rows,
            "<tr><td><code>{}</code><td>{}{optional}<td>{}</tr>",
            text(name),
            kind(field),
            text(member(field, "description"))
        );
    }
    if !rows.is_empty() {
        put!(page, "<table>{rows}</table>");
    }
}

/// The type of a schema in words, with links to shapes.
fn kind(schema: &Value) -> String {
    if let Some(name) = member(schema, "$ref").rsplit('/').next().filter(|name| !name.is_empty()) {
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    let choices: Vec<String> = elements(schema, "oneOf").chain(elements(schema, "anyOf")).map(kind).collect();
    if !choices.is_empty() {
        return choices.join(" or ");
    }
    if let Some(items) = schema.get("items") {
        return format!("list of {}", kind(items));
    }
    let values: Vec<String> = elements(schema, "enum")
        .filter_map(Value::as_str)
        .map(|value| format!("<code>{}</code>", text(value)))
        .collect();
    if !values.is_empty() {
        return values.join(", ");
    }
    match schema.get("type") {
        Some(Value::String(name)) => text(name),
        Some(Value::Array(names)) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            text(&names.join(" or "))
        }
        Some(_) | None => String::new(),
    }
}

fn render_errors() -> String {
    let mut page = "<p>Every code the node answers with, its HTTP and gRPC status, and what to do about it. A code never changes its \
                    meaning. Refusals by state (409, 403, 404) of a statement that was submitted are on the ledger too; what \
                    is rejected at the door is not, and leaves the nonce free.</p><table>"
        .to_owned();
    for entry in catalogue::entries() {
        let (code, status) = (entry.code, catalogue::status(entry.code, entry.kind).as_u16());
        let grpc = catalogue::grpc_name(catalogue::grpc_status(entry.code, entry.kind));
        let (rule, cause, cure) = (entry.kind.rule(), text(entry.summary), text(entry.cure));
        put!(
            page,
            "<tr id=\"{code}\"><td><code>{code}</code><td>{status}<br>{grpc}<td><i>{rule}</i><br>{cause}<br>{cure}</tr>"
        );
    }
    put!(
        page,
        "</table><h2 id=\"rules\">Rules of documents</h2><p>Violations are listed in a problem with the code \
                <code>document.invalid</code>, all at once.</p><table>"
    );
    for rule in RULES {
        let (code, summary, cure) = (rule.code, text(rule.summary), text(rule.cure));
        put!(page, "<tr id=\"{code}\"><td><code>{code}</code><td>{summary}<br>{cure}</tr>");
    }
    put!(page, "</table>");
    frame("E-invoice ledger: codes", &page)
}
