//! Describes the service in Rust instead of a `.proto` file, so that the example needs no `protoc`.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let say_hello = Method::builder()
        .name("say_hello")
        .route_name("SayHello")
        .input_type("crate::HelloRequest")
        .output_type("crate::HelloReply")
        .codec_path("tonic_prost::ProstCodec")
        .build();
    let greeter = Service::builder()
        .name("Greeter")
        .package("hello")
        .method(say_hello)
        .build();
    Builder::new().compile(&[greeter]);
}
