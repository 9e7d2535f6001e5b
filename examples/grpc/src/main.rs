//! A tonic server that limits its callers, and a client that hears for how long.
//!
//! ```text
//! cargo run -p grpc
//! ```
//!
//! The client calls until it is refused, reads from the refusal when to come back, waits that long and is
//! admitted.

use std::error::Error;

use grpc::{HelloRequest, hello::greeter_client::GreeterClient};
use tokio::net::TcpListener;
use tonic::Code;
use tonic_types::StatusExt as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    println!("listening on {address}");
    tokio::spawn(grpc::serve(listener, grpc::limit()?));

    let mut client = GreeterClient::connect(address).await?;
    loop {
        let request = HelloRequest {
            name: "buttress".to_owned(),
        };
        match client.say_hello(request).await {
            Ok(reply) => println!("{}", reply.into_inner().message),
            Err(status) if status.code() == Code::ResourceExhausted => {
                let wait = status
                    .get_details_retry_info()
                    .and_then(|info| info.retry_delay);
                let wait = wait.ok_or("the refusal does not say for how long")?;
                println!("{}: back in {wait:.1?}", status.message());
                tokio::time::sleep(wait).await;
                let reply = client
                    .say_hello(HelloRequest {
                        name: "again".to_owned(),
                    })
                    .await?;
                println!("{}", reply.into_inner().message);
                return Ok(());
            }
            Err(status) => return Err(status.into()),
        }
    }
}
