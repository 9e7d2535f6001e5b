//! Asks a server that refuses, until it does not.
//!
//! ```text
//! cargo run -p rude-server                                                            # in one terminal
//! cargo run -p reqwest-client -- 'http://127.0.0.1:4290/openai?refuse=2&wait=3s'      # in another
//! ```

use std::error::Error;

use buttress::retry::Report;
use reqwest_client::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1).ok_or("usage: reqwest-client URI")?;
    let client = Client::new()?;
    let request = client.reqwest().get(uri).build()?;
    let response = client.execute(request).await?;
    println!("{}", response.status());
    // It is there where there was more than one attempt, or something else to tell.
    if let Some(report) = response.extensions().get::<Report>() {
        println!("{report}");
    }
    println!("{}", response.text().await?);
    Ok(())
}
