use super::*;
use crate::config::native;
use std::net::UdpSocket;

fn config(port: u16, outputs: &[(&str, &str)]) -> Config {
    let names: Vec<String> = outputs
        .iter()
        .map(|(name, _)| format!("{name:?}"))
        .collect();
    let mut text = format!(
        "[input.a]\nkind = \"udp\"\nlisten = \"127.0.0.1:{port}\"\n\
         [aggregate.x]\nby = [\"src_host\"]\nto = [{}]\n",
        names.join(", ")
    );
    for (name, path) in outputs {
        text += &format!("[output.{name}]\nkind = \"file\"\npath = \"{path}\"\n");
    }
    let read = native::parse(&text);
    assert_eq!(read.problems, []);
    read.config
}

fn plan(config: &Config) -> Plan {
    let plan = Plan::new(config).map_err(|problems| format!("{problems:?}"));
    plan.unwrap()
}

#[test]
fn a_start_that_fails_late_takes_nothing_from_the_pipeline_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name| dir.path().join(name).display().to_string();
    let (stays, other) = (path("stays.csv"), path("other.csv"));
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mode = Mode {
        patient: false,
        run: 7,
    };
    let before = config(port, &[("stays", &stays), ("changes", &other)]);
    let kept = &mut Kept::default();
    let first = Pipeline::start(before.clone(), plan(&before), mode, kept).unwrap();
    let outlets = first.outlets.clone();
    let mut kept = first.pause();

    // One output more, and one with another file, which waits for the end of the one before.
    let after = [
        ("stays", &*stays),
        ("changes", &*path("b")),
        ("new", &*path("c")),
    ];
    let after = config(port, &after);
    let mut second = Pipeline::new(after.clone(), plan(&after), mode, &kept).unwrap();
    let (mut sources, mut sinks) = (Vec::new(), Vec::new());
    let ready = second.prepare(&mut sources, &mut sinks, &mut kept);
    assert_eq!((sources.len(), sinks.len()), (1, 3));
    // The last thread that it needs is not to be had.
    drop(ready.ok().unwrap());
    second.give_back(sources, sinks, &mut kept);

    let third = Pipeline::start(before.clone(), plan(&before), mode, &mut kept).unwrap();
    let same = third.outlets.iter().zip(&outlets);
    assert!(same.into_iter().all(|(a, b)| Arc::ptr_eq(a, b)));
    kept.end(Duration::from_secs(5)).wait();
    let view = third.stop(Some(Duration::from_secs(5)));
    assert_eq!(view.outputs.len(), 2);
}
