//! Asks a server that refuses, until it does not.
//!
//! ```text
//! cargo run -p rude-server                                                            # in one terminal
//! cargo run -p hyper-client -- 'http://127.0.0.1:4290/github?refuse=2&wait=3s'        # in another
//! ```

use std::error::Error;

use buttress::retry::Report;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use tower::ServiceExt as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1).ok_or("usage: hyper-client URI")?;
    let client = hyper_client::client(|event| println!("{:?}", event.happening))?;

    let request = Request::get(uri).body(Full::default())?;
    let response = client.oneshot(request).await?;
    println!("{}", response.status());
    // It is there where there was more than one attempt, or something else to tell.
    if let Some(report) = response.extensions().get::<Report>() {
        println!("{report}");
    }
    let body = response.into_body().collect().await?;
    println!("{}", String::from_utf8_lossy(&body.to_bytes()));
    Ok(())
}
