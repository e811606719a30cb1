//! A server acts with the rights of its client: a real account, real files.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use countersign::rights::{RightsError, may_impersonate};
use countersign::{Context, Error, TcpListener, TcpStream};

use super::scenario::{Outcome, Scenario};
use super::stage::{Issuer, Stage, listen, name};
use crate::failure::Failure;

/// The client's account: one that every host has, and that owns nothing.
const ACCOUNT: &str = "nobody";

const RULE: &str = "account = [{ peer = 'alice@EXAMPLE.COM', account = 'nobody' }]";

/// What the server has found out about files.
struct Found {
    /// As the client.
    opens_the_clients: bool,
    opens_our_own: bool,
    account: String,
    /// As itself, afterwards.
    opens_our_own_again: bool,
}

/// What came of the attempt.
enum Shown {
    Found(Found),
    NotHere(RightsError),
}

pub(super) fn rights_of_the_client(stage: &Stage) -> Result<Scenario, Failure> {
    let started = Instant::now();
    let client = name("alice@EXAMPLE.COM");
    let server = stage.context_with(&stage.asked(), Issuer::Ours, RULE)?;
    let client = stage.context(&client, Issuer::Ours)?;
    let tried = "the server opens files with the rights of its client, alice@EXAMPLE.COM";
    let scenario = |outcome, seen, is_as_expected| Scenario {
        name: "rights",
        tried: tried.to_owned(),
        outcome,
        seen,
        is_as_expected,
        took: started.elapsed(),
    };
    if let Err(error) = may_impersonate() {
        let seen = vec![error.hint()];
        return Ok(scenario(Outcome::NotShown(error.to_string()), seen, true));
    }
    let listener = listen(&server)?;
    let (shown, stream) = serve_one(stage, &listener, &client)?;
    Ok(match shown {
        Shown::NotHere(error) => {
            // A host without that account; anything else is a fault.
            let is_expected = matches!(error, RightsError::NoAccount { .. });
            scenario(Outcome::NotShown(error.to_string()), vec![error.hint()], is_expected)
        }
        Shown::Found(found) => {
            let evidence = stream.evidence().cloned().map(Box::new);
            let word = |opens| if opens { "opens" } else { "does not open" };
            let seen = vec![
                format!("alice@EXAMPLE.COM is the account {} here", found.account),
                format!(
                    "as {}: its own file {}, the server's {}",
                    found.account,
                    word(found.opens_the_clients),
                    word(found.opens_our_own)
                ),
                format!("as itself again: the server's file {}", word(found.opens_our_own_again)),
            ];
            let is_as_expected = found.opens_the_clients
                && !found.opens_our_own
                && found.opens_our_own_again
                && found.account == ACCOUNT;
            scenario(Outcome::Connected(evidence), seen, is_as_expected)
        }
    })
}

/// Accepts the client, and returns what was found and the server's end of the connection.
fn serve_one(
    stage: &Stage,
    listener: &TcpListener,
    client: &Context,
) -> Result<(Shown, TcpStream), Failure> {
    let address = listener.local_addr();
    thread::scope(|scope| {
        let asked = stage.asked();
        let connected = thread::Builder::new()
            .spawn_scoped(scope, move || TcpStream::connect_with(client, address, &asked))
            .map_err(Failure::io("start a thread"))?;
        let (stream, _) = listener.accept()?;
        let shown = try_files(stage, &stream);
        if let Ok(Ok(client)) = connected.join() {
            drop(client);
        }
        Ok((shown?, stream))
    })
}

fn try_files(stage: &Stage, stream: &TcpStream) -> Result<Shown, Failure> {
    let directory = stage.directory().join("files");
    let failed = |error| Failure::io("make the files of the demo")(error);
    fs::create_dir(&directory).map_err(failed)?;
    let token = stream.impersonation_token()?;
    let account = match token.account() {
        Ok(account) => account,
        Err(error) => return Ok(Shown::NotHere(error)),
    };
    let ours = file(&directory, "ours", None).map_err(failed)?;
    let theirs = file(&directory, "theirs", Some(account.uid())).map_err(failed)?;
    // Through these the account must pass.
    for folder in [stage.directory(), &directory] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).map_err(failed)?;
    }
    let found = token.impersonate(|who| {
        (who.account().name().to_owned(), File::open(&theirs).is_ok(), is_denied(&ours))
    });
    let (account, opens_the_clients, is_denied) = found.map_err(Error::from)?;
    Ok(Shown::Found(Found {
        account,
        opens_the_clients,
        opens_our_own: !is_denied,
        opens_our_own_again: File::open(&ours).is_ok(),
    }))
}

fn is_denied(path: &Path) -> bool {
    File::open(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Makes a file that only its owner can open.
fn file(directory: &Path, called: &str, owner: Option<u32>) -> io::Result<PathBuf> {
    let path = directory.join(called);
    File::create_new(&path)?.write_all(called.as_bytes())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    chown(&path, owner, None)?;
    Ok(path)
}
