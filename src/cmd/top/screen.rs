//! The terminal while `weir top` watches. It is given back as it was, whatever happens: at the
//! end, on a signal, in a panic.

use super::Meter;
use super::rate::Rates;
use crate::sink::live::Sort;
use crate::sys::signal::Signals;
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How long a signal may wait to be noticed.
const GLANCE: Duration = Duration::from_millis(200);

/// The terminal in our hands.
struct Screen;

impl Screen {
    fn take() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        enable_raw_mode()?;
        let screen = Self;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    // Nobody can be told when the terminal is gone.
    let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// Shows what `meter` measures until somebody ends it.
pub fn watch(meter: &mut Meter, mut sort: Sort, interval: Duration) -> Result<(), String> {
    let mut signals = Signals::listen().map_err(|e| format!("signals: {e}"))?;
    let mut rates = meter.measure()?;
    let screen = Screen::take().map_err(|e| format!("terminal: {e}"))?;
    let mut next = Instant::now() + interval;
    let ended = loop {
        rates.sort(sort);
        if let Err(e) = draw(&meter.name, &rates, sort) {
            break Err(format!("terminal: {e}"));
        }
        match keys(next, &mut signals) {
            Ok(Some(Key::Sort(by))) => sort = by,
            Ok(Some(Key::Redraw)) => {}
            Ok(Some(Key::Quit)) => break Ok(()),
            Ok(None) => {
                next = Instant::now() + interval;
                match meter.measure() {
                    Ok(now) => rates = now,
                    Err(why) => break Err(why),
                }
            }
            Err(e) => break Err(format!("terminal: {e}")),
        }
    };
    drop(screen);
    ended
}

enum Key {
    Sort(Sort),
    Redraw,
    Quit,
}

/// What was pressed; none when it is time to measure.
fn keys(until: Instant, signals: &mut Signals) -> io::Result<Option<Key>> {
    loop {
        if signals.take().is_some() {
            return Ok(Some(Key::Quit));
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        if !event::poll(left.min(GLANCE))? {
            continue;
        }
        match event::read()? {
            Event::Resize(..) => return Ok(Some(Key::Redraw)),
            Event::Key(key) if key.kind != KeyEventKind::Release => match key.code {
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    return Ok(Some(Key::Quit));
                }
                KeyCode::Char('q') | KeyCode::Esc => return Ok(Some(Key::Quit)),
                KeyCode::Char('b') => return Ok(Some(Key::Sort(Sort::Bytes))),
                KeyCode::Char('p') => return Ok(Some(Key::Sort(Sort::Packets))),
                KeyCode::Char('f') => return Ok(Some(Key::Sort(Sort::Flows))),
                _ => {}
            },
            _ => {}
        }
    }
}

fn draw(name: &str, rates: &Rates, sort: Sort) -> io::Result<()> {
    let (width, height) = size()?;
    let (width, height) = (usize::from(width), usize::from(height));
    let word = sort.word();
    let mut to = io::stdout().lock();
    queue!(to, MoveTo(0, 0), Clear(ClearType::All))?;
    let head = format!("{}, by {word} (b p f, q ends)", rates.summary(name));
    let head: String = head.chars().take(width).collect();
    queue!(to, Print(head))?;
    for (n, line) in rates
        .table(width, height.saturating_sub(2))
        .iter()
        .enumerate()
    {
        let row = u16::try_from(n + 2).unwrap_or(u16::MAX);
        queue!(to, MoveTo(0, row))?;
        if n == 0 {
            queue!(to, SetAttribute(Attribute::Reverse))?;
        }
        queue!(to, Print(line), SetAttribute(Attribute::Reset))?;
    }
    to.flush()
}
