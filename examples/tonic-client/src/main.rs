//! Says something to a server that refuses to listen, until it does.
//!
//! ```text
//! cargo run -p rude-server                                                            # in one terminal
//! cargo run -p tonic-client -- http://127.0.0.1:4290 'grpc?refuse=2&wait=3s'          # in another
//! ```

use std::error::Error;

use tonic::{Request, transport::Endpoint};
use tonic_client::{Said, client};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().ok_or("usage: tonic-client URI [MANNER]")?;
    let mut client = client(Endpoint::new(server)?.connect_lazy())?;

    let mut request = Request::new(Said {
        words: "hello".to_owned(),
    });
    if let Some(manner) = arguments.next() {
        // What the rude server is to do; another one takes no notice.
        request.metadata_mut().insert("rude", manner.parse()?);
    }
    match client.say(request).await {
        Ok(response) => println!("{}", response.into_inner().words),
        Err(status) => println!("{status}"),
    }
    Ok(())
}
