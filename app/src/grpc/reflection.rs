//! gRPC's server reflection: what services there are and what their messages look like.

use std::collections::BTreeSet;

use http::{Request, Response};
use hyper::body::Incoming;
use wire::grpc::reflection::server_reflection_request::MessageRequest;
use wire::grpc::reflection::server_reflection_response::MessageResponse;
use wire::grpc::reflection::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest,
    ServerReflectionResponse, ServiceResponse,
};

use super::stream::Inlet;
use super::{Body, stream};
use crate::error::Code;

/// Answers question after question of one client.
pub(super) fn answer(request: Request<Incoming>) -> Response<Body> {
    let mut inlet = Inlet::new(request.into_body());
    stream::answer(move |outlet| async move {
        loop {
            match inlet.next::<ServerReflectionRequest>().await {
                Ok(Some(asked)) => {
                    if !outlet.send(&answered(asked)).await {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    outlet.fail(error).await;
                    break;
                }
            }
        }
    })
}

fn answered(asked: ServerReflectionRequest) -> ServerReflectionResponse {
    let response = match &asked.message_request {
        Some(MessageRequest::ListServices(_)) => {
            let service = wire::pool().services().map(|found| ServiceResponse { name: found.full_name().to_owned() });
            MessageResponse::ListServicesResponse(ListServiceResponse { service: service.collect() })
        }
        Some(MessageRequest::FileByFilename(name)) => files(name),
        Some(MessageRequest::FileContainingSymbol(symbol)) => match file_of(symbol) {
            Some(name) => files(&name),
            None => missing(&format!("symbol {symbol:?} not found")),
        },
        Some(MessageRequest::FileContainingExtension(asked)) => {
            missing(&format!("{} has no extensions", asked.containing_type))
        }
        Some(MessageRequest::AllExtensionNumbersOfType(kind)) if wire::pool().get_message_by_name(kind).is_some() => {
            MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                base_type_name: kind.clone(),
                extension_number: Vec::new(),
            })
        }
        Some(MessageRequest::AllExtensionNumbersOfType(kind)) => missing(&format!("type {kind:?} not found")),
        None => failure(Code::InvalidArgument, "the request asks nothing"),
    };
    ServerReflectionResponse {
        valid_host: asked.host.clone(),
        original_request: Some(asked),
        message_response: Some(response),
    }
}

fn failure(code: Code, message: &str) -> MessageResponse {
    MessageResponse::ErrorResponse(ErrorResponse { error_code: code.number(), error_message: message.to_owned() })
}

fn missing(message: &str) -> MessageResponse {
    failure(Code::NotFound, message)
}

/// The file that declares a service, method, message, field or enum.
fn file_of(symbol: &str) -> Option<String> {
    let pool = wire::pool();
    let mut name = symbol.trim_start_matches('.');
    loop {
        let file = pool
            .get_service_by_name(name)
            .map(|found| found.parent_file())
            .or_else(|| pool.get_message_by_name(name).map(|found| found.parent_file()))
            .or_else(|| pool.get_enum_by_name(name).map(|found| found.parent_file()));
        if let Some(file) = file {
            return Some(file.name().to_owned());
        }
        // A method or field: its service or message.
        (name, _) = name.rsplit_once('.')?;
    }
}

/// A file and everything it imports, each once.
fn files(name: &str) -> MessageResponse {
    let Some(file) = wire::pool().get_file_by_name(name) else {
        return missing(&format!("file {name:?} not found"));
    };
    let (mut seen, mut waiting, mut out) = (BTreeSet::from([file.name().to_owned()]), vec![file], Vec::new());
    while let Some(file) = waiting.pop() {
        waiting.extend(file.dependencies().filter(|other| seen.insert(other.name().to_owned())));
        out.push(file.encode_to_vec());
    }
    MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto: out })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(message: MessageRequest) -> MessageResponse {
        let asked = ServerReflectionRequest { host: String::new(), message_request: Some(message) };
        answered(asked).message_response.expect("an answer")
    }

    #[test]
    fn every_service_is_listed_and_described_with_what_it_imports() {
        let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())) else {
            panic!("no list");
        };
        let names: Vec<&str> = list.service.iter().map(|found| found.name.as_str()).collect();
        assert!(names.contains(&"memos.api.v1.MemoService") && names.contains(&"grpc.health.v1.Health"), "{names:?}");
        for name in names {
            let found = ask(MessageRequest::FileContainingSymbol(name.to_owned()));
            let MessageResponse::FileDescriptorResponse(found) = found else { panic!("{name}: {found:?}") };
            assert!(!found.file_descriptor_proto.is_empty());
        }
        let memo = ask(MessageRequest::FileContainingSymbol("memos.api.v1.MemoService.GetMemo".to_owned()));
        assert!(
            matches!(memo, MessageResponse::FileDescriptorResponse(files) if files.file_descriptor_proto.len() >= 4)
        );
        assert!(matches!(ask(MessageRequest::FileByFilename("nope".into())), MessageResponse::ErrorResponse(_)));
    }
}
