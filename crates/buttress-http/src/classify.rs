mod grpc;
mod http;

pub use self::{grpc::GrpcClassifier, http::HttpClassifier};
