//! Generates the messages and their JSON from `proto/`, without `protoc`.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

/// Types of ours that stand for well-known ones, because their JSON has a form of its own.
const EXTERN: [(&str, &str); 4] = [
    (".google.protobuf.Timestamp", "crate::timestamp::Timestamp"),
    (".google.protobuf.FieldMask", "crate::mask::FieldMask"),
    (".google.protobuf.Empty", "crate::empty::Empty"),
    (".google.protobuf.FloatValue", "f32"),
];

const FILES: [&str; 13] = [
    "google/type/color.proto",
    "memos/api/v1/common.proto",
    "memos/api/v1/attachment_service.proto",
    "memos/api/v1/auth_service.proto",
    "memos/api/v1/user_service.proto",
    "memos/api/v1/instance_service.proto",
    "memos/api/v1/memo_service.proto",
    "memos/api/v1/shortcut_service.proto",
    "memos/api/v1/memo_view_service.proto",
    "memos/api/v1/idp_service.proto",
    "memos/api/v1/ai_service.proto",
    "grpc/health/v1/health.proto",
    "grpc/reflection/v1/reflection.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    #[allow(clippy::disallowed_methods, reason = "cargo tells a build script where to write through the environment")]
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo gave no OUT_DIR")?);
    println!("cargo:rerun-if-changed=proto");
    let set = protox::compile(FILES, ["proto"])?;
    let bytes = set.encode_to_vec();
    std::fs::write(out.join("descriptors.bin"), &bytes)?;

    let mut prost = prost_build::Config::new();
    prost.compile_well_known_types();
    prost.btree_map(["."]);
    let mut json = pbjson_build::Builder::new();
    json.register_descriptors(&bytes)?.btree_map(["."]).emit_fields();
    json.ignore_unknown_fields().ignore_unknown_enum_variants();
    for (proto, rust) in EXTERN {
        prost.extern_path(proto, rust);
        json.extern_path(proto, rust);
    }
    prost.compile_fds(set)?;
    json.build(&[".memos.api.v1", ".google.type"])?;
    Ok(())
}
