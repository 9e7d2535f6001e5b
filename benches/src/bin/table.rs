//! Prints the table of results: `table TARGET/criterion`.

use std::{env, error::Error, path::Path};

use buttress_benches::report;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os()
        .nth(1)
        .ok_or("which folder is criterion's?")?;
    print!("{}", report::table(Path::new(&folder))?);
    Ok(())
}
