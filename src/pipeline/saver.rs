//! Templates on disk: read when weir starts, written while it runs and when it stops.
//!
//! Written soon after exporters sent new ones, by a thread of its own, so that no disk holds up a
//! worker, and at the most once a minute, so that nobody who sends templates chooses how often.
//! Each input of each worker has a file of its own beside the configured name.

use super::worker::{Intaker, Worker};
use crate::base::channel::{Receiver, Sender, bounded};
use crate::base::time::{Nanos, SECOND};
use crate::config::Config;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;
use std::thread::JoinHandle;

/// Least time between two writings of a worker's templates.
const PAUSE: u64 = 60 * SECOND;

/// A file that is to be written: its name and what will be in it.
type Page = (String, Vec<u8>);

/// A worker's way to the thread that writes.
pub struct Saver {
    file: String,
    worker: usize,
    pages: Sender<Page>,
    /// Not before this time is anything written again.
    next: Nanos,
}

impl Saver {
    /// For worker number `worker`; none when the configuration keeps no templates.
    pub fn new(config: &Config, worker: usize, pages: &Pages) -> Option<Self> {
        Some(Self {
            file: config.templates.clone()?,
            worker,
            pages: pages.clone()?,
            next: Nanos(0),
        })
    }

    /// Hands what changed to the thread that writes, if it is time; gives the time when there is
    /// something to hand over, if that is later.
    pub fn run(&mut self, inputs: &mut [Intaker], now: Nanos) -> Option<Nanos> {
        let news = |input: &Intaker| input.decoder.news() != input.saved;
        if !inputs.iter().any(news) {
            return None;
        }
        // A clock that was set back does not make anybody wait for longer than the pause.
        if now < self.next && self.next.0 - now.0 <= PAUSE {
            return Some(self.next);
        }
        self.next = Nanos(now.0.saturating_add(PAUSE));
        for input in inputs.iter_mut().filter(|input| news(input)) {
            let news = input.decoder.news();
            if let Some(bytes) = input.decoder.save() {
                let page = (template_file(&self.file, &input.name, self.worker), bytes);
                if self.pages.try_send(page).is_err() {
                    // The disk is slower than a minute: they are tried again after the next one.
                    log::warn!("templates of input {}: not written this time", input.name);
                    continue;
                }
            }
            input.saved = news;
        }
        None
    }
}

/// Where workers hand over what is to be written; none when the configuration keeps no templates.
pub type Pages = Option<Sender<Page>>;

/// The thread that writes, with room for a page of every input of each of `workers`, which all
/// have their first news at once. It ends with the last [`Saver`].
///
/// # Errors
/// When the system gives no thread.
pub fn start(
    config: &Config,
    workers: &[Vec<usize>],
) -> std::io::Result<(Pages, Option<JoinHandle<()>>)> {
    if config.templates.is_none() {
        return Ok((None, None));
    }
    let inputs: usize = workers.iter().map(Vec::len).sum();
    let (pages, receiver) = bounded(inputs.max(1));
    let builder = std::thread::Builder::new().name("templates".into());
    let thread = builder.stack_size(128 << 10).spawn(|| write(receiver))?;
    Ok((Some(pages), Some(thread)))
}

fn write(pages: Receiver<Page>) {
    while let Some((path, bytes)) = pages.recv() {
        store(&path, &bytes);
    }
}

fn store(path: &str, bytes: &[u8]) {
    if let Err(e) = write_whole(Path::new(path), bytes) {
        log::error!("templates: {path}: {e}");
    }
}

/// Writes the templates of a worker that has stopped.
pub fn save(config: &Config, worker: &Worker, at: usize) {
    let Some(file) = &config.templates else {
        return;
    };
    for input in &worker.inputs {
        if let Some(bytes) = input.decoder.save() {
            store(&template_file(file, &input.name, at), &bytes);
        }
    }
}

/// What the files hold, by the input's name and the worker's number.
pub fn load(config: &Config) -> HashMap<(String, usize), Vec<u8>> {
    let mut saved = HashMap::new();
    let Some(file) = &config.templates else {
        return saved;
    };
    let each = config.inputs.iter().map(|i| i.workers.max(1) as usize);
    let workers: usize = each.sum();
    for input in &config.inputs {
        for worker in 0..workers {
            let path = template_file(file, &input.name, worker);
            match read_whole(Path::new(&path), config.limits.templates) {
                Ok(bytes) => {
                    saved.insert((input.name.clone(), worker), bytes);
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => log::warn!("templates of input {}: {path}: {e}", input.name),
            }
        }
    }
    saved
}

fn template_file(file: &str, input: &str, worker: usize) -> String {
    let suffix = if worker == 0 {
        String::new()
    } else {
        format!(".{worker}")
    };
    format!("{file}.{input}{suffix}")
}

/// Bytes of a saved file for each template it may hold, and for all else in it, at the most.
const SAVED_EACH: u64 = 4096;

/// What a file of saved templates holds; an error when it can be none of this configuration's:
/// no file, as a FIFO that would keep the start waiting, or longer than all templates together.
fn read_whole(path: &Path, templates: u32) -> std::io::Result<Vec<u8>> {
    let most = (u64::from(templates) + 256) * SAVED_EACH;
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    if file.take(most + 1).read_to_end(&mut bytes)? as u64 > most {
        return Err(std::io::Error::other("it is too long for saved templates"));
    }
    Ok(bytes)
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // A name that no other input's file has; what is there under it is none that we began now,
    // perhaps a link, so it is not written through.
    let mut new = path.as_os_str().to_owned();
    new.push("~");
    match std::fs::remove_file(&new) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = std::fs::File::create_new(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{self, Decode, Setup};
    use crate::record::FieldSet;

    /// An input whose templates have changed.
    fn input(name: &str) -> Intaker {
        let setup = Setup::new(FieldSet::EMPTY);
        let decoder = decode::build(Decode::Netflow, true, &setup).ok().unwrap();
        Intaker {
            input: 0,
            name: name.into(),
            live: true,
            source: None,
            reopen: Box::new(|| Err(std::io::Error::other("no").into())),
            saved: decoder.news().wrapping_sub(1),
            decoder,
            frame_filters: Vec::new(),
            record_filters: Vec::new(),
            gate: Vec::new(),
            must_pass: 0,
            stage: Default::default(),
            ledger: Default::default(),
            past_loss: Default::default(),
            ended: false,
            broken: false,
            retry_at: Nanos(0),
        }
    }

    #[test]
    fn what_could_not_be_handed_over_is_handed_over_later() {
        let (pages, written) = bounded(1);
        let mut saver = Saver {
            file: "templates".into(),
            worker: 0,
            pages,
            next: Nanos(0),
        };
        let mut inputs = [input("a"), input("b")];
        assert_eq!(saver.run(&mut inputs, Nanos(SECOND)), None);
        assert_eq!(written.try_recv().unwrap().0, "templates.a");
        assert!(written.try_recv().is_none());
        let later = saver.run(&mut inputs, Nanos(2 * SECOND)).unwrap();
        assert_eq!(saver.run(&mut inputs, later), None);
        assert_eq!(written.try_recv().unwrap().0, "templates.b");
        assert_eq!(saver.run(&mut inputs, Nanos(later.0 + PAUSE)), None);
        assert!(written.try_recv().is_none());
    }

    #[test]
    fn saved_templates_are_bounded_files_and_no_links_are_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("templates.a");
        let precious = dir.path().join("precious");
        std::fs::write(&precious, "keep").unwrap();
        std::os::unix::fs::symlink(&precious, dir.path().join("templates.a~")).unwrap();
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(read_whole(&path, 1).unwrap(), b"two");
        assert_eq!(std::fs::read(&precious).unwrap(), b"keep");
        std::fs::write(&path, vec![0; 2 << 20]).unwrap();
        assert!(read_whole(&path, 1).is_err());
        assert!(read_whole(&path, 1024).is_ok());
        assert!(read_whole(dir.path(), 1).is_err());
        let zero = dir.path().join("zero");
        std::os::unix::fs::symlink("/dev/zero", &zero).unwrap();
        assert!(read_whole(&zero, 1).is_err());
    }
}
