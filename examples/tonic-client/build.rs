//! Describes the service in Rust instead of a `.proto` file, so that the example needs no `protoc`.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let say = Method::builder()
        .name("say")
        .route_name("Say")
        .input_type("crate::Said")
        .output_type("crate::Said")
        .codec_path("tonic_prost::ProstCodec")
        .build();
    let echo = Service::builder()
        .name("Echo")
        .package("echo")
        .method(say)
        .build();
    Builder::new().build_server(false).compile(&[echo]);
}
