// Threads, channels, processes, sockets, files, panics by Rust's standard library.
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::{mpsc, Arc, Barrier, Condvar, Mutex, RwLock};
use std::time::{Duration, Instant};
use std::{fs, thread};

fn main() -> std::io::Result<()> {
    println!("== threads");
    let total = Arc::new(Mutex::new(0u64));
    let barrier = Arc::new(Barrier::new(8));
    let workers: Vec<_> = (0..8u64)
        .map(|i| {
            let (total, barrier) = (total.clone(), barrier.clone());
            thread::spawn(move || {
                barrier.wait();
                for n in 0..2000 {
                    *total.lock().unwrap() += n * i;
                }
                i
            })
        })
        .collect();
    println!("{} {}", workers.into_iter().map(|w| w.join().unwrap()).sum::<u64>(), total.lock().unwrap());
    let (sender, receiver) = mpsc::channel();
    for i in 0..4 {
        let sender = sender.clone();
        thread::spawn(move || sender.send(i).unwrap());
    }
    drop(sender);
    println!("{}", receiver.iter().sum::<i32>());
    let pair = (Mutex::new(false), Condvar::new());
    let (_guard, late) = pair.1.wait_timeout(pair.0.lock().unwrap(), Duration::from_millis(20)).unwrap();
    println!("{} {}", late.timed_out(), RwLock::new(3).read().unwrap());
    println!("{}", thread::spawn(|| { std::panic::set_hook(Box::new(|_| {})); panic!("expected") }).join().is_err());
    let begin = Instant::now();
    thread::park_timeout(Duration::from_millis(10));
    println!("{}", begin.elapsed() < Duration::from_secs(5));
    println!("== processes");
    let output = Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).output()?;
    println!("{:?} {:?} {:?}", output.status.code(), String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().unwrap();
    let feeder = thread::spawn(move || input.write_all(&[b'x'; 300000]));
    let mut text = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut text)?;
    feeder.join().unwrap()?;
    println!("{} {}", text.len(), child.wait()?);
    let mut child = Command::new("sleep").arg("30").process_group(0).spawn()?;
    child.kill()?;
    println!("{:?}", child.wait()?.signal());
    println!("{:?}", Command::new("/nosuch").spawn().unwrap_err().kind());
    println!("== sockets");
    let listener = UnixListener::bind("rs.sock")?;
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        stream.write_all(text.to_uppercase().as_bytes()).unwrap();
    });
    let mut client = UnixStream::connect("rs.sock")?;
    client.write_all(b"hello")?;
    client.shutdown(std::net::Shutdown::Write)?;
    let mut text = String::new();
    client.read_to_string(&mut text)?;
    server.join().unwrap();
    println!("{text}");
    let (mut a, _b) = UnixStream::pair()?;
    a.set_read_timeout(Some(Duration::from_millis(20)))?;
    println!("{:?}", a.read(&mut [0]).unwrap_err().kind());
    println!("== files");
    fs::create_dir_all("d/e")?;
    let mut file = fs::File::options().read(true).write(true).create(true).truncate(true).open("d/e/f")?;
    file.write_all(b"0123456789")?;
    file.seek(SeekFrom::Start(5))?;
    file.set_len(8)?;
    let mut rest = String::new();
    file.read_to_string(&mut rest)?;
    fs::hard_link("d/e/f", "d/g")?;
    fs::rename("d/g", "d/h")?;
    println!("{rest} {} {:?}", fs::read_dir("d")?.count(), fs::metadata("nosuch").unwrap_err().kind());
    println!("{} {}", fs::copy("d/h", "d/i")?, fs::canonicalize("d/../d/i")?.ends_with("d/i"));
    fs::remove_dir_all("d")?;
    std::process::exit(9)
}
