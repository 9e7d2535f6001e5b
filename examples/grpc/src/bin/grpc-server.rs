//! The server by itself, for clients in other languages.
//!
//! ```text
//! cargo run -p grpc --bin grpc-server 127.0.0.1:50051
//! ```

use std::error::Error;

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1);
    let listener = TcpListener::bind(listen.as_deref().unwrap_or("127.0.0.1:50051")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    grpc::serve(listener, grpc::limit()?).await?;
    Ok(())
}
