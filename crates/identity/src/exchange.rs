//! A code becomes a token, a token tells who it is: what OAuth2 and OpenID Connect have in common.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Error;
use crate::error::{Refusal, Why};
use crate::oidc::Code;
use crate::outbound::{Answer, Failure, Outbound};

/// What a provider gives for a code.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) id_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Where codes are exchanged, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) token_url: String,
    pub(crate) client_id: &'a str,
    pub(crate) client_secret: &'a str,
    /// Whether the secret goes into the header; none: found out.
    pub(crate) basic: Option<bool>,
    pub(crate) ca_pem: &'a str,
}

/// Exchanges a code. `title` is what people call the provider.
pub(crate) async fn tokens(
    outbound: &Outbound,
    exchange: Exchange<'_>,
    code: &Code<'_>,
    title: &str,
) -> Result<Tokens, Error> {
    let basic = exchange.basic.unwrap_or(true) && !exchange.client_secret.is_empty();
    let mut answer = ask(outbound, &exchange, code, basic).await.map_err(|failure| silent(title, &failure))?;
    if exchange.basic.is_none() && basic && matches!(answer.status, 400 | 401) && !is_about_the_code(&answer) {
        answer = ask(outbound, &exchange, code, false).await.map_err(|failure| silent(title, &failure))?;
    }
    read(&answer, title)
}

async fn ask(outbound: &Outbound, exchange: &Exchange<'_>, code: &Code<'_>, basic: bool) -> Result<Answer, Failure> {
    outbound.send(exchange.ca_pem, request(exchange, code, basic)?).await
}

fn request(exchange: &Exchange<'_>, code: &Code<'_>, basic: bool) -> Result<http::Request<Vec<u8>>, Failure> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code").append_pair("code", code.code);
    form.append_pair("redirect_uri", code.redirect_uri);
    if !code.verifier.is_empty() {
        form.append_pair("code_verifier", code.verifier);
    }
    if !basic {
        form.append_pair("client_id", exchange.client_id);
        if !exchange.client_secret.is_empty() {
            form.append_pair("client_secret", exchange.client_secret);
        }
    }
    let mut request = http::Request::post(&exchange.token_url)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json");
    if basic {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pair = format!("{}:{}", encoded(exchange.client_id), encoded(exchange.client_secret));
        request = request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
    }
    request.body(form.finish().into_bytes()).map_err(|error| Failure::Unfit(error.to_string()))
}

fn is_about_the_code(answer: &Answer) -> bool {
    parse(answer).and_then(|tokens| tokens.error).is_some_and(|error| error != "invalid_client")
}

/// JSON, or a form, as some old providers answer.
fn parse(answer: &Answer) -> Option<Tokens> {
    if let Ok(tokens) = serde_json::from_slice::<Tokens>(&answer.body) {
        return Some(tokens);
    }
    if !answer.content_type.contains("form-urlencoded") && !answer.content_type.contains("text/plain") {
        return None;
    }
    let mut tokens = Tokens::default();
    for (name, value) in url::form_urlencoded::parse(&answer.body) {
        match name.as_ref() {
            "access_token" => tokens.access_token = value.into_owned(),
            "id_token" => tokens.id_token = Some(value.into_owned()),
            "error" => tokens.error = Some(value.into_owned()),
            _ => {}
        }
    }
    Some(tokens)
}

fn read(answer: &Answer, title: &str) -> Result<Tokens, Error> {
    let tokens = parse(answer);
    if let Some(error) = tokens.as_ref().and_then(|tokens| tokens.error.clone()).filter(|error| !error.is_empty()) {
        let described = tokens.and_then(|tokens| tokens.error_description).unwrap_or_default();
        let message = match error.as_str() {
            "invalid_grant" => format!("{title} does not take this sign-in any more; begin again"),
            "invalid_client" | "unauthorized_client" => {
                format!("{title} does not know this workspace; tell an owner of it")
            }
            _ => format!("{title} refused the sign-in; begin again"),
        };
        return Err(Refusal::new(Why::Invalid, message).because(format!("token endpoint: {error} {described}")).into());
    }
    match tokens {
        Some(tokens) if (200..300).contains(&answer.status) && !tokens.access_token.is_empty() => Ok(tokens),
        _ => Err(garbage(title, &format!("token endpoint: status {}, no access token", answer.status))),
    }
}

/// Who a token is about.
pub(crate) async fn user_info(
    outbound: &Outbound,
    url: &str,
    access_token: &str,
    ca_pem: &str,
    title: &str,
) -> Result<Map<String, Value>, Error> {
    let request = http::Request::get(url)
        .header(AUTHORIZATION, format!("Bearer {access_token}"))
        .header(ACCEPT, "application/json")
        .body(Vec::new())
        .map_err(|error| garbage(title, &error.to_string()))?;
    let answer = outbound.send(ca_pem, request).await.map_err(|failure| silent(title, &failure))?;
    if answer.status != 200 {
        return Err(garbage(title, &format!("user info: status {}", answer.status)));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| garbage(title, &format!("user info is no JSON object: {error}")))
}

/// The provider cannot be asked. A state that the request meets and no fault of this server: no 5xx.
pub(crate) fn silent(title: &str, failure: &Failure) -> Error {
    let message = match failure {
        Failure::TooLong(_) => format!("{title} answered more than can be right; tell an owner of this workspace"),
        Failure::Unfit(_) | Failure::Forbidden(_) => {
            format!("{title} is not set up rightly; tell an owner of this workspace")
        }
        Failure::Silent { .. } => format!("{title} does not answer at present; try again, or sign in another way"),
    };
    Refusal::new(Why::Precondition, message).because(failure).into()
}

fn garbage(title: &str, reason: &str) -> Error {
    let message = format!("{title} answered what cannot be understood; try again, or tell an owner of this workspace");
    Refusal::new(Why::Precondition, message).because(reason).into()
}
