//! What the example calls: kill it, and start it again.
//!
//! ```text
//! cargo run -p circuit-breaker --bin upstream 127.0.0.1:4000
//! ```

use std::error::Error;

use axum::{Router, routing::get};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1);
    let listener = TcpListener::bind(listen.as_deref().unwrap_or("127.0.0.1:4000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = Router::new().route("/", get(|| async { "hello from the upstream\n" }));
    axum::serve(listener, app).await?;
    Ok(())
}
