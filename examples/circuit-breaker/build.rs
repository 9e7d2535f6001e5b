//! Describes the gRPC service in Rust instead of a `.proto` file, so that the example needs no `protoc`.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let count = Method::builder()
        .name("count")
        .route_name("Count")
        .input_type("crate::grpc::CountRequest")
        .output_type("crate::grpc::Number")
        .codec_path("tonic_prost::ProstCodec")
        .server_streaming()
        .build();
    let counter = Service::builder()
        .name("Counter")
        .package("count")
        .method(count)
        .build();
    Builder::new().compile(&[counter]);
}
